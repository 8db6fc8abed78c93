"""Trains like the `train` command, with a clock that counts, until something happens to it.

`python killed_training.py kill STEP WORDS...` dies by SIGKILL at the end of a step, counted from 1
over all epochs. `python killed_training.py copy RUN FOLDER WORDS...` copies the run's folder as it
is before each change that is made in it, from the middle of the second epoch to the third: what a
process leaves that is killed there.
"""

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

from fault_injection import Steps

from train.cli import command as cli
from train.training.callbacks import checkpointing as keeper
from train.training.callbacks.recorder import RunRecorder

FROM_STEP, TO_STEP = 17, 23  # of 11 in an epoch


def use_a_counting_clock(start: int = 0) -> None:
    """Makes checkpoints due after a number of steps, not of minutes."""
    ticks = count(start)
    keeper.time = SimpleNamespace(monotonic=lambda: next(ticks))


class StepCount:
    """Counts the steps of training.

    Args:
        on_step: Called with the number of each at its end.
    """

    def __init__(self, on_step=lambda step: None) -> None:
        self.done = 0
        real = RunRecorder.on_train_batch_end

        def on_train_batch_end(recorder, batch, logs=None):
            real(recorder, batch, logs)
            self.done += 1
            on_step(self.done)

        RunRecorder.on_train_batch_end = on_train_batch_end


def kill_after(step: int) -> None:
    StepCount(lambda done: os.kill(os.getpid(), signal.SIGKILL) if done == step else None)


def copy_before_changes(run: Path, folder: Path) -> None:
    steps, copying = StepCount(), []

    def on_change(number: int, kind: str) -> None:
        if FROM_STEP <= steps.done < TO_STEP and not copying:  # a link is a change of its source
            copying.append(number)
            shutil.copytree(run, folder / f"{number:04d}", copy_function=copy)
            copying.clear()

    Steps(str(run), on_change).install()


def copy(source: str, target: str) -> None:
    """Copies a file; those that nobody writes in again are linked."""
    if "part-" not in source and source.endswith((".keras", ".npz")):
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def main() -> None:
    use_a_counting_clock()
    if sys.argv[1] == "kill":
        kill_after(int(sys.argv[2]))
        cli.main(sys.argv[3:])
    else:
        copy_before_changes(Path(sys.argv[2]), Path(sys.argv[3]))
        cli.main(sys.argv[4:])


if __name__ == "__main__":
    main()
