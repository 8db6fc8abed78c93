#!/bin/sh
#SBATCH --job-name=strips
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
# Trains one run on all nodes: sbatch docs/slurm.sh DATASET RUN, both on a file system of all nodes.
# Five minutes before its time is up the run writes a checkpoint; then the job queues again.
export KERAS_BACKEND=jax
if [ -e "$2/config.json" ]; then
    set -- resume "$2"
else
    set -- fit "$1" --run "$2" --batch-size 4096
fi
srun train "$@" --hosts auto --json
code=$?
case $code in
75 | 143) scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit $code
