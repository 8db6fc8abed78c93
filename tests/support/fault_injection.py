"""Faults on purpose: what the processes of a command can be made to do.

`faulty` gives an environment in which every Python process first makes one call of this module.
"""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

CREATIONS = ("open", "os.link", "os.mkdir", "os.rename", "sync")
"""Changes of a folder that need room on the disk; `open` is one where it is for writing."""

CHANGES = (*CREATIONS, "os.remove", "os.rmdir")

STARTS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec", "pty.spawn")
"""Audit events of what starts a process; how multiprocessing starts workers has none."""

# Sizes of images in tests of Spark.
DEADLY = (13, 13)  # ends every process that decodes it
HELD = (14, 14)  # the first process to decode it stays for ever
FAILING = (15, 15)  # the first one fails
FULL = (16, 16)  # all fail

OnStep = Callable[[int, str], None]


def faulty(folder: Path, call: str) -> dict[str, str]:
    """Returns an environment whose Python processes start with a call of this module.

    Args:
        folder: Where the `sitecustomize` goes.
        call: Of a function below, as Python.
    """
    folder.mkdir(exist_ok=True)
    text = f"import fault_injection\n\nfault_injection.{call}\n"
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    path = [str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def is_worker() -> bool:
    return "--multiprocessing-fork" in sys.orig_argv


def is_command() -> bool:
    return sys.orig_argv[1:3] == ["-m", "convert"]


# What `faulty` can call


def end_every_worker() -> None:
    """Ends workers before they have looked at any row."""
    if is_worker():
        die()


def fail_on_size(size: tuple[int, int], how: str, once: str = "") -> None:
    """Makes images of one size end workers, after they are decoded.

    Args:
        size: (width, height).
        how: Name of a signal that ends the process, or `MemoryError`.
        once: A file that is made at the first failure and then prevents others.
    """

    def fail() -> None:
        if once and os.path.exists(once):
            return
        if once:
            Path(once).touch()
        if how == "MemoryError":
            raise MemoryError
        os.kill(os.getpid(), signal.Signals[how])

    _on_size(size, fail)


def hold_on_size(size: tuple[int, int], told: str) -> None:
    """Makes images of one size occupy workers for ever.

    Args:
        size: (width, height).
        told: A file that is made when it begins.
    """

    def hold() -> None:
        Path(told).touch()
        while True:
            pow(3, 10**5, 10**4000)  # a moment in C, then the next

    _on_size(size, hold)


def stumble(told: str) -> None:
    """Makes images of the sizes above hurt the workers of Spark's tasks.

    Args:
        told: A folder. The first process that meets a size makes a file of its width there, with
            its own number.
    """

    def meet(size: tuple[int, int]) -> bool:
        """Returns whether this process is the first to meet a size."""
        path = Path(told, str(size[0]))
        try:
            with path.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return path.read_text() == str(os.getpid())
        return True

    def hold() -> None:
        while meet(HELD):
            time.sleep(0.1)

    def fail_once() -> None:
        if meet(FAILING):
            fail()

    def fail() -> None:
        from convert.errors import TryAgainError

        raise TryAgainError("the disk is full. Try again.")

    fail_on_size(DEADLY, "SIGSEGV")
    _on_size(HELD, hold)
    _on_size(FAILING, fail_once)
    _on_size(FULL, fail)


def _on_size(size: tuple[int, int], act: Callable[[], None]) -> None:
    """Makes workers do something before they resize an image of some size."""
    if not is_worker():
        return
    from PIL import Image

    real = Image.Image.resize

    def resize(image: Any, *more: Any) -> Any:
        if image.size == size:
            act()
        return real(image, *more)

    Image.Image.resize = resize  # type: ignore[method-assign]


def log_starts(file: str) -> None:
    """Writes down every process that any of the processes starts by way of Python."""

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTS:
            with open(file, "a", encoding="utf-8") as log:
                log.write(f"{event} {arguments!r}\n")

    sys.addaudithook(audit)


def die_at_step(folder: str, step: int) -> None:
    """Kills the command before its n-th change below a folder."""
    if is_command():
        Steps(folder, lambda number, _: die() if number == step else None).install()


def count_steps(folder: str, file: str) -> None:
    """Keeps the number of the command's changes below a folder in a file elsewhere."""

    def on_step(number: int, kind: str) -> None:
        Path(file).write_text(str(number))

    if is_command():
        Steps(folder, on_step).install()


# Faults of the current process


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run_out_of_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Steps:
    """Counts the changes that this process makes below a folder.

    Args:
        folder: The folder.
        on_step: Called with each change's number, from 1, and its kind, before it is made.
        exchanges: Whether the file system shall know renameat2(2).
    """

    def __init__(self, folder: str, on_step: OnStep, exchanges: bool = True) -> None:
        self._inside = os.path.join(os.path.realpath(folder), "")
        self._on_step = on_step
        self._exchanges = exchanges
        self._count = 0
        self._renameat2: Callable[[str, str, int], bool] | None = None

    def install(self) -> None:
        """Starts to count; this cannot be taken back."""
        sys.addaudithook(self._audit)
        # A killed process loses nothing that it has written, so there is no need to wait.
        os.fsync = lambda descriptor: self._step("sync")

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CHANGES and self._is_change(event, arguments):
            self._step(event)

    def _is_change(self, event: str, arguments: tuple[Any, ...]) -> bool:
        path, last = arguments[0], arguments[-1]
        if event == "open" and not last & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return False
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a descriptor
        if event in ("os.remove", "os.rmdir") and last >= 0:
            return True  # below a folder that is open: so `rmtree` does it
        whole = os.path.join(os.getcwd(), os.fsdecode(path))
        return os.path.abspath(whole).startswith(self._inside)

    def _step(self, kind: str) -> None:
        if self._renameat2 is None and (local := sys.modules.get("convert.storage.local")):
            self._renameat2, local._renameat2 = local._renameat2, self._rename
        self._count += 1
        self._on_step(self._count, kind)

    def _rename(self, source: str, target: str, flags: int) -> bool:
        """Stands for renameat2, which causes no audit event."""
        if not self._exchanges:
            return False
        self._step("os.rename")
        assert self._renameat2 is not None  # it is what this one stands for
        return self._renameat2(source, target, flags)


def nothing(told: str) -> None:
    """Does nothing."""


def hold_training(told: str) -> None:
    """As `stand_in_for_training`, and it does not end."""
    stand_in_for_training(told, hold=True)


def stand_in_for_training(told: str, hold: bool = False) -> None:
    """Makes `train --hosts auto` only write down how it was called.

    Args:
        told: Folder to write into.
        hold: Whether a first attempt waits until it is told to stop.
    """
    if "SHARDFEED_MEMBER" not in os.environ:
        return
    folder = Path(told)

    def train(verb: str, run: str, say: Any, team: Any) -> Any:
        from train.errors import StoppedError
        from train.training.result import TrainResult
        from train.training.stop_signals import StopSignals

        with StopSignals() as stop:
            part = folder / f"{verb}-{team.rank}.{os.getpid()}"
            part.write_text(json.dumps(dict(os.environ)))
            part.rename(folder / f"{verb}-{team.rank}")
            say(f"{run}: {verb} of {team.size} \x1b[31m")
            while verb == "fit" and hold and not stop.received:
                time.sleep(0.05)
            if stop.received:
                (folder / f"stopped-{team.rank}").touch()
                raise StoppedError("stopped", stop.received)
        return TrainResult(
            run=run, epochs=1, steps=2, best={}, images_per_second=3.0, input_wait=0.0,
            seconds=4.0, bad_records=0,
        )  # fmt: skip

    def place(name: str, **members: Any) -> None:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(members)

    place("keras")
    place("train.hosts.joined_team", join=lambda place: place)
    place("train.training.start", train_model=lambda c, say, team: train("fit", c.run, say, team))
