"""A process's place among those that train one run, as its launcher tells it by the environment."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from train.errors import UsageError

SIZE, RANK, ADDRESS = "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAX_COORDINATOR_ADDRESS"
"""The variables to set where no launcher tells a place."""

LAUNCHER, SPARK = "SHARDFEED_LAUNCHER", "Spark"
"""Where a launcher of ours sets these three: its name, and the one there is."""

LOOKED_FOR = (
    f"{SIZE}, {RANK} and {ADDRESS} (by hand), JOB_COMPLETION_INDEX (Kubernetes), "
    "OMPI_COMM_WORLD_RANK (Open MPI), RANK with MASTER_ADDR (torchrun), SLURM_STEP_NODELIST "
    "(Slurm, under srun), a process that has joined already (Ray)"
)

HAND = "hand"
"""The launcher where somebody, or a program of his, sets these three."""

_SLURM_PORTS = 1 << 12  # the last of all, as JAX chooses: jax/_src/clusters/slurm_cluster.py


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A process's place among those that train one run.

    Attributes:
        coordinator: `HOST:PORT` at which the first process brings all together.
        rank: Number of this process. In [0, size).
        size: Number of processes. At least 1.
        launcher: Name of what has started them, for people.
        joined: Whether this process is connected to the others already.
    """

    coordinator: str
    rank: int
    size: int
    launcher: str
    joined: bool = False

    @property
    def flags(self) -> str:
        """The words of a command line that start all processes again."""
        return (
            f"--engine spark --num-hosts {self.size}" if self.launcher == SPARK else "--hosts auto"
        )

    @property
    def team(self) -> str:
        """All processes, for people: `2 processes of Slurm`."""
        by = "started by hand" if self.launcher == HAND else f"of {self.launcher}"
        return f"{self.size} processes {by}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Launcher:
    """The variables by which a launcher tells a place.

    Attributes:
        name: The launcher's name.
        marks: Variables that only this launcher sets: it has started the process if all are there.
        size: Variable with the number of processes.
        rank: Variable with the number of this one.
    """

    name: str
    marks: tuple[str, ...]
    size: str
    rank: str


# A launcher that another one starts comes before that one: `srun torchrun`, mpirun in a job.
_LAUNCHERS = (
    _Launcher(name=HAND, marks=(RANK,), size=SIZE, rank=RANK),
    _Launcher(
        name="Kubernetes",
        marks=("JOB_COMPLETION_INDEX",),
        size=SIZE,
        rank="JOB_COMPLETION_INDEX",
    ),
    _Launcher(
        name="Open MPI",
        marks=("OMPI_COMM_WORLD_RANK",),
        size="OMPI_COMM_WORLD_SIZE",
        rank="OMPI_COMM_WORLD_RANK",
    ),
    _Launcher(
        name="torchrun",
        marks=("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
        size="WORLD_SIZE",
        rank="RANK",
    ),
    _Launcher(
        name="Slurm",
        marks=("SLURM_STEP_NODELIST",),
        size="SLURM_STEP_NUM_TASKS",
        rank="SLURM_PROCID",
    ),
)


def place_of(environ: Mapping[str, str]) -> Place | None:
    """Returns the place that an environment tells; None if it tells none.

    Args:
        environ: The environment's variables.

    Raises:
        UsageError: It tells a part only, or a value that cannot be.
    """
    launcher = next((one for one in _LAUNCHERS if all(map(environ.get, one.marks))), None)
    if launcher is None:
        alone = next((name for name in (SIZE, ADDRESS) if environ.get(name)), None)
        if alone is None:
            return None
        raise UsageError(
            f"{alone}={environ[alone]} is set, {RANK} is not. Set it to this process's number, "
            f"from 0, or unset {alone}."
        )
    size = _number(environ, launcher.size, launcher, 1, None)
    rank = _number(environ, launcher.rank, launcher, 0, size)
    return Place(
        coordinator=_coordinator(environ, launcher),
        rank=rank,
        size=size,
        launcher=environ.get(LAUNCHER, launcher.name),
    )


def joined_place() -> Place | None:
    """Returns the place of a process that has joined others already, as in a Ray `JaxTrainer`.

    JAX is not loaded for it: where it is not, nobody has joined.
    """
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return None
    from jax._src.distributed import global_state

    return Place(
        coordinator=global_state.coordinator_address or "",
        rank=global_state.process_id,
        size=global_state.num_processes,
        launcher="Ray" if "ray" in sys.modules else HAND,
        joined=True,
    )


def require_place(environ: Mapping[str, str]) -> Place:
    """Returns this process's place.

    Raises:
        UsageError: Nothing tells it, or not all of it.
    """
    place = joined_place() or place_of(environ)
    if place is None:
        srun = " In a Slurm job, start it with `srun`." if environ.get("SLURM_JOB_ID") else ""
        raise UsageError(
            "--hosts auto: nothing says which of several processes this one is. Looked for "
            f"{LOOKED_FOR}. Set the first three, or leave out --hosts: one host's devices are all "
            f"used without it.{srun}"
        )
    return place


def unused_launcher(environ: Mapping[str, str]) -> Place | None:
    """Returns the place among several processes that an environment tells, for a warning."""
    try:
        place = place_of(environ)
    except UsageError:  # as an Indexed Job whose processes have nothing to do with each other
        return None
    return place if place is not None and place.size > 1 else None


def first_host(nodes: str) -> str:
    """Returns the first host of Slurm's list of nodes: `node01` of `node[01-03,7],gpu1`."""
    found = re.match(r"(?:\[[^]]*\]|[^,\[])+", nodes)
    return re.sub(r"\[([^],-]+)[^]]*\]", r"\1", found[0] if found else nodes)


def _number(
    environ: Mapping[str, str], name: str, launcher: _Launcher, low: int, high: int | None
) -> int:
    """Returns a variable's number; raises `UsageError` unless it is in [low, high)."""
    text = environ.get(name)
    within = f"in [{low}, {high})" if high is not None else f"of at least {low}"
    if not text:
        raise UsageError(
            f"{' and '.join(f'{mark}={environ[mark]}' for mark in launcher.marks[:1])} is set, "
            f"{name} is not. Set it to a number {within}."
        )
    value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if value < low or (high is not None and value >= high):
        raise UsageError(f"{name} must be a number {within}, got {text!r}.")
    return value


def _coordinator(environ: Mapping[str, str], launcher: _Launcher) -> str:
    """Returns the address of the first process."""
    if address := environ.get(ADDRESS):
        found = re.fullmatch(r"\S+:([0-9]{1,5})", address)
        if found is None or not 1 <= int(found[1]) <= 65535:
            raise UsageError(f"{ADDRESS} must be HOST:PORT of the first process, got {address!r}.")
        return address
    if launcher.name == "torchrun":  # which listens at its own port
        port = _number(environ, "MASTER_PORT", launcher, 1, 65535)
        return f"{environ['MASTER_ADDR']}:{port + 1}"
    if launcher.name == "Slurm":
        numbers = (environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        step = sum(int(number) for number in numbers if number.isdecimal())  # a port for each step
        port = 65536 - _SLURM_PORTS + step % _SLURM_PORTS
        return f"{first_host(environ['SLURM_STEP_NODELIST'])}:{port}"
    mark = launcher.marks[0]
    raise UsageError(
        f"{mark}={environ[mark]} is set, {ADDRESS} is not. Set it to HOST:PORT of the first "
        "process, with any port that is free there."
    )
