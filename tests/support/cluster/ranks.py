"""Processes that train one run together on this machine, and what happens to one of them.

As a script, one of them: `ranks.py RANK STEP WHAT WORDS...` is the `train` command in which
something happens to a rank, or to `all`, at the end of a step, counted from 1 in its session: a
signal, `late` (a day passes by its clock), `stuck`, `full` (its disk), or `nan` (its loss, on all
ranks). All but `as usual` read the clock and validate as no user's training does.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fault_cases import MARK, end_all, processes, wait_for

from train.hosts.place import require_place
from train.hosts.supervisor import is_member

ROOT = Path(__file__).parents[3]
NOTHING = ("0", "0", "nothing")
AS_USUAL = ("0", "0", "as usual")
JOINED = "SHARDFEED_TEST_JOINED"  # set: the processes join before they train, as Ray's workers
PATIENCE = 300  # many processes start, and compile


@dataclass(frozen=True)
class Ended:
    """How the ranks ended.

    Attributes:
        codes: Exit codes, by rank.
        said: What each printed to stderr.
        stdout: What the first printed to stdout.
    """

    codes: list[int]
    said: list[str]
    stdout: str


def environment(devices: int = 1, **more: object) -> dict[str, str]:
    """Returns an environment for a process on JAX that sees some devices."""
    path = os.pathsep.join([str(ROOT), *(str(p) for p in (ROOT / "tests/support").glob("*/"))])
    path += os.pathsep + str(ROOT / "tests/support")
    flags = f"--xla_force_host_platform_device_count={devices}"
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return {
        **env,
        "PYTHONPATH": path,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": flags,
        **{name: str(value) for name, value in more.items()},
    }


def compiled(folder: Path) -> dict[str, str]:
    """Returns variables by which processes compile once what they share."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Ranks:
    """Running processes of one team.

    Args:
        folder: Where their output goes.
        size: How many there are to be.
        words: The command line of `train`; a list for each rank, if they differ.
        act: What happens to whom: rank, step, what.
        started: Which are started. None: all.
        more: Environment variables.
    """

    def __init__(self, folder: Path, size, words, act=NOTHING, started=None, **more) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._folder, port = folder, free_port()
        self.processes = []
        for rank in range(size) if started is None else started:
            own = words[rank] if isinstance(words[0], list) else words
            env = environment(
                JAX_NUM_PROCESSES=size,
                JAX_PROCESS_ID=rank,
                JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{port}",
                **{MARK: folder, **more},
            )
            command = [sys.executable, __file__, *act, *own, "--hosts", "auto"]
            with self._file(rank, "out").open("w") as out, self._file(rank, "err").open("w") as err:
                self.processes.append(
                    subprocess.Popen(list(map(str, command)), env=env, stdout=out, stderr=err)
                )

    def _file(self, rank: int, name: str) -> Path:
        return self._folder / f"{rank}.{name}"

    def wait(self) -> Ended:
        """Waits until all have ended, with whatever they have started."""
        try:
            codes = [process.wait(PATIENCE) for process in self.processes]
            wait_for(lambda: not processes(self._folder))
        finally:
            end_all(self._folder)
        said = [path.read_text() for path in sorted(self._folder.glob("*.err"))]
        return Ended(codes, said, min(self._folder.glob("*.out")).read_text())


def train_together(folder: Path, size, words, act=NOTHING, **more) -> Ended:
    """Trains as several ranks; arguments as `Ranks`."""
    return Ranks(folder, size, words, act, **more).wait()


def train_alone(words, act=NOTHING, devices: int = 1, **more) -> subprocess.CompletedProcess[str]:
    """Runs `train` on JAX as one process that sees some devices."""
    command = [sys.executable, __file__, *act, *map(str, words)]
    env = environment(devices, **more)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def _prepare(rank: str, at_step: str, what: str) -> None:
    """Makes something happen at the end of a step."""
    import killed_training

    from train.evaluation import evaluate, evaluate_run
    from train.hosts import step_watch
    from train.runs.folder import RunFolder
    from train.training import job
    from train.training.callbacks.recorder import RunRecorder

    killed_training.use_a_counting_clock()
    # So that there are six batches to share.
    evaluate.BATCH_SIZE = evaluate_run.BATCH_SIZE = job.BATCH_SIZE = 5
    is_meant = rank in ("all", os.environ.get("JAX_PROCESS_ID", "0"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    acts: dict[str, Callable[[], object]] = {
        "late": lambda: killed_training.use_a_counting_clock(86_400),
        "stuck": lambda: time.sleep(PATIENCE),
        "full": lambda: setattr(RunFolder, "models", full),
        "nan": lambda: None,
    }

    def act(step: int) -> None:
        if step == int(at_step) and is_meant:
            acts.get(what, lambda: os.kill(os.getpid(), signal.Signals[what]))()

    if what == "stuck":
        step_watch._FIRST_STEPS = 8  # a checkpoint is among them: no rank compiles any more
    if what == "nan":
        real = RunRecorder.on_train_batch_end

        def diverge(recorder, batch, logs=None):
            loss = float("nan") if batch + 1 >= int(at_step) else logs["loss"]
            real(recorder, batch, {**logs, "loss": loss})

        RunRecorder.on_train_batch_end = diverge
    killed_training.StepCount(act)


if __name__ == "__main__":
    from train.cli import main

    what = [sys.argv.pop(1) for _ in range(3)]
    if JOINED in os.environ:
        import jax

        place = require_place(os.environ)
        jax.distributed.initialize(place.coordinator, place.size, place.rank)
    is_parent = "--hosts" in sys.argv and not is_member() and JOINED not in os.environ
    if not is_parent and what != list(AS_USUAL):
        _prepare(*what)
    main(sys.argv[1:])
