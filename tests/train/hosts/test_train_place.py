"""A process finds its place among others by what its launcher sets, or says what is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from train.errors import UsageError
from train.hosts.place import (
    Place,
    first_host,
    joined_place,
    place_of,
    require_place,
    unused_launcher,
)

HAND = {
    "JAX_NUM_PROCESSES": "3",
    "JAX_PROCESS_ID": "2",
    "JAX_COORDINATOR_ADDRESS": "h0:1234",
}
INDEXED = {**HAND, "JOB_COMPLETION_INDEX": "1"}
del INDEXED["JAX_PROCESS_ID"]
MPI = {
    "OMPI_COMM_WORLD_SIZE": "3",
    "OMPI_COMM_WORLD_RANK": "0",
    "JAX_COORDINATOR_ADDRESS": "h0:1",
}
TORCHRUN = {"WORLD_SIZE": "4", "RANK": "3", "MASTER_ADDR": "h0", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_JOB_ID": "4095",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_PROCID": "15",
    "SLURM_STEP_NODELIST": "node[07-08,11],gpu1",
}


def without(environ: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in environ.items() if key != name}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, None),  # sbatch alone
        ({"RANK": "1", "WORLD_SIZE": "2"}, None),  # names that anybody may use
        (HAND, ("h0:1234", 2, 3, "hand")),
        (INDEXED, ("h0:1234", 1, 3, "Kubernetes")),
        ({**INDEXED, **HAND}, ("h0:1234", 2, 3, "hand")),
        (MPI, ("h0:1", 0, 3, "Open MPI")),
        ({**SLURM, **MPI}, ("h0:1", 0, 3, "Open MPI")),  # mpirun in a job of Slurm
        (TORCHRUN, ("h0:29501", 3, 4, "torchrun")),
        ({**SLURM, **TORCHRUN}, ("h0:29501", 3, 4, "torchrun")),  # srun torchrun
        (SLURM, ("node07:61441", 15, 16, "Slurm")),  # 61440 is the first port
        ({**SLURM, "JAX_COORDINATOR_ADDRESS": "ib0:9"}, ("ib0:9", 15, 16, "Slurm")),
    ],
)
def test_what_launchers_tell(environ, place) -> None:
    names = ("coordinator", "rank", "size", "launcher")
    assert place_of(environ) == (place and Place(**dict(zip(names, place, strict=True))))


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("node7", "node7"),
        ("node7,node9", "node7"),
        ("node[01-03,7]", "node01"),
        ("node[9,11-12],gpu1", "node9"),
        ("gpu1,node[9,11-12]", "gpu1"),
        ("rack[2-3]n[05-06].local", "rack2n05.local"),
    ],
)
def test_the_first_host_of_a_list(nodes, host) -> None:
    assert first_host(nodes) == host


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            without(HAND, "JAX_PROCESS_ID"),
            "JAX_NUM_PROCESSES=3 is set, JAX_PROCESS_ID is not. Set it to this process's number, "
            "from 0, or unset JAX_NUM_PROCESSES.",
        ),
        (
            {"JAX_COORDINATOR_ADDRESS": "h0:1234"},
            "JAX_COORDINATOR_ADDRESS=h0:1234 is set, JAX_PROCESS_ID is not. Set it to this "
            "process's number, from 0, or unset JAX_COORDINATOR_ADDRESS.",
        ),
        (
            without(HAND, "JAX_NUM_PROCESSES"),
            "JAX_PROCESS_ID=2 is set, JAX_NUM_PROCESSES is not. Set it to a number of at least 1.",
        ),
        (
            without(HAND, "JAX_COORDINATOR_ADDRESS"),
            "JAX_PROCESS_ID=2 is set, JAX_COORDINATOR_ADDRESS is not. Set it to HOST:PORT of the "
            "first process, with any port that is free there.",
        ),
        (
            {**HAND, "JAX_PROCESS_ID": "3"},
            "JAX_PROCESS_ID must be a number in [0, 3), got '3'.",
        ),
        (
            {**HAND, "JAX_NUM_PROCESSES": "two"},
            "JAX_NUM_PROCESSES must be a number of at least 1, got 'two'.",
        ),
        (
            {**HAND, "JAX_COORDINATOR_ADDRESS": "h0"},
            "JAX_COORDINATOR_ADDRESS must be HOST:PORT of the first process, got 'h0'.",
        ),
        (
            {"JOB_COMPLETION_INDEX": "0"},
            "JOB_COMPLETION_INDEX=0 is set, JAX_NUM_PROCESSES is not. Set it to a number of at "
            "least 1.",
        ),
        (
            without(MPI, "JAX_COORDINATOR_ADDRESS"),
            "OMPI_COMM_WORLD_RANK=0 is set, JAX_COORDINATOR_ADDRESS is not. Set it to HOST:PORT of "
            "the first process, with any port that is free there.",
        ),
        (
            {**TORCHRUN, "MASTER_PORT": "65535"},
            "MASTER_PORT must be a number in [1, 65535), got '65535'.",
        ),
        (
            without(SLURM, "SLURM_PROCID"),
            "SLURM_STEP_NODELIST=node[07-08,11],gpu1 is set, SLURM_PROCID is not. Set it to a "
            "number in [0, 16).",
        ),
    ],
)
def test_a_part_is_an_error_that_names_it(environ, message) -> None:
    with pytest.raises(UsageError) as caught:
        place_of(environ)
    assert str(caught.value) == message
    assert unused_launcher(environ) is None


def test_nothing_is_an_error_that_lists_what_was_looked_for() -> None:
    with pytest.raises(UsageError) as caught:
        require_place({})
    assert str(caught.value).startswith("--hosts auto: nothing says which of several processes")
    for launcher in ("by hand", "Kubernetes", "Open MPI", "torchrun", "Slurm", "Ray"):
        assert launcher in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "size"), [({}, None), (HAND, 3), ({**HAND, "JAX_NUM_PROCESSES": "1"}, None)]
)
def test_only_a_launcher_of_several_is_worth_a_warning(environ, size) -> None:
    environ = {**environ, "JAX_PROCESS_ID": "0"} if environ else {}
    found = unused_launcher(environ)
    assert (found and found.size) == size


@pytest.mark.parametrize("joined", [False, True])
def test_a_process_that_has_joined_already(monkeypatch, joined) -> None:
    """As a worker of Ray's JaxTrainer: JAX itself knows the place."""
    import jax._src.distributed as distributed

    state = SimpleNamespace(coordinator_address="h0:5", process_id=1, num_processes=2)
    monkeypatch.setattr(distributed, "global_state", state)
    monkeypatch.setattr("jax.distributed.is_initialized", lambda: joined)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    expected = Place(coordinator="h0:5", rank=1, size=2, launcher="Ray", joined=True)
    assert joined_place() == (expected if joined else None)
    assert require_place(HAND).joined is joined


def test_a_job_of_slurm_outside_of_srun_is_told_of_srun():
    for environ, told in (({}, False), ({"SLURM_JOB_ID": "7"}, True)):
        with pytest.raises(UsageError) as caught:
            require_place(environ)
        assert ("start it with `srun`" in str(caught.value)) == told
