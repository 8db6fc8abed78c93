"""A process among several that train one run, joined by JAX.

A thread looks now and then at what the others told: whether somebody wants to stop, or has failed.
The main thread may wait for them meanwhile, in the midst of a step.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, TypeVar

from convert.command.signals import undone_by_signals
from train.errors import ShardfeedError, StoppedError, TryAgainError, UsageError
from train.hosts.address import require_free, unresolved
from train.hosts.exchange import connect_devices, gather_bytes, share_arrays
from train.hosts.patience import Patience
from train.hosts.place import Place
from train.hosts.step_watch import StepWatch
from train.hosts.store import Store
from train.hosts.team import Arrays, Row, Stop, Team

__all__ = ["Members", "Team", "join"]

_Value = TypeVar("_Value")

_LOOK_SECONDS = 0.2  # from one look at the store to the next: 0.2 ms of it are work
_LATER_SECONDS = 60  # than ours JAX gives up
_LAST_SECONDS = 3.0  # for the others to hear why rank 0 ends, whose store ends with it

_TOLD, _FAILED, _STOP, _BUSY = "told/", "told/failed", "told/stop", "told/busy"


def join(place: Place) -> Team:
    """Joins the others; after this JAX has the devices of all, and Keras may be imported.

    Args:
        place: Which part this process is.

    Raises:
        UsageError: Keras' backend is not JAX.
        TryAgainError: Not all of them have started in time, or the first one's port is taken.
    """
    if os.environ.get("KERAS_BACKEND") != "jax":
        raise UsageError("several processes train together on JAX only: set KERAS_BACKEND=jax.")
    import jax

    patience = Patience()
    if place.joined:
        return Members(place, patience)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
    jax.config.update("jax_check_proxy_envs", False)  # a warning, where nothing is wrong
    problem = (
        f"rank {place.rank} did not find all {place.size} processes at {place.coordinator} within "
        f"{patience.join:g} s. Look whether all were started and reach this address, and start all "
        "of them again."
    )
    if place.rank == 0:
        require_free(place.coordinator)
    # JAX itself would abort, with a page of its own.

    def give_up() -> None:
        _end(TryAgainError.exit_code, problem + unresolved(place.coordinator))

    timer = threading.Timer(patience.join, give_up)
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.size,
            place.rank,
            cluster_detection_method="deactivate",  # under Slurm it takes one GPU of eight
            initialization_timeout=int(patience.join) + _LATER_SECONDS,
            heartbeat_timeout_seconds=int(patience.heartbeat),
        )
    except RuntimeError as error:
        raise TryAgainError(f"{problem} JAX says: {_first_line(error)}") from error
    finally:
        timer.cancel()
    return Members(place, patience)


class Members(Team):
    """A process among several that train one run.

    Args:
        place: Which part this process is.
        patience: How long to wait for others.
    """

    def __init__(self, place: Place, patience: Patience) -> None:
        super().__init__(place.rank, place.size, place.team, place.flags)
        self._store = Store(place.rank, place.size)
        self._acts = 0
        self._points = 0
        self._stop_point: tuple[int, Stop] | None = None
        self._asked = False
        self._rows_told: set[str] = set()
        self._lock = threading.Lock()
        self._watch = StepWatch(patience.step)
        self._ended = threading.Event()
        self._has_joined = not place.joined  # else whoever joined leaves

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Surrounds a training; of several processes none survives the failure of another."""
        watcher = threading.Thread(target=self._look_out, name="team", daemon=True)
        watcher.start()
        try:
            with undone_by_signals(lambda: self._tell_failure(128 + signal.SIGTERM)):
                yield
        except StoppedError:
            self._leave_together(watcher)
            raise
        except Exception as error:
            self._fail(error)
        else:
            self._leave_together(watcher)

    def by_first(self, act: Callable[[], _Value]) -> _Value:
        """Lets rank 0 act while the others wait; an error of it ends all."""
        self._acts += 1
        key = f"first/{self._acts}"
        with self._watch.paused():
            if self.is_first:
                value = act()
                self._store.tell(key, json.dumps(value))
            else:
                value = json.loads(self._store.wait(key))
        self._watch.begin()
        return value

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Surrounds what rank 0 does alone while the others wait for its next step."""
        with self._watch.paused():
            self._store.tell(_BUSY, "")
            yield
            self._store.forget(_BUSY)

    def connect(self) -> None:
        """Connects the devices; before that only the processes are.

        Raises:
            UsageError: The processes have not equally many.
        """
        import jax

        counts = self._store.exchange("devices", str(jax.local_device_count()))
        if len(set(counts)) > 1:
            raise UsageError(
                f"the processes, from rank 0, have {', '.join(counts)} devices; a batch is shared "
                "by equally many of each. Let some see fewer, for example with "
                "CUDA_VISIBLE_DEVICES."
            )
        connect_devices()

    def gather(self, value: bytes) -> list[bytes]:
        """Returns the values of all ranks, by rank."""
        found = gather_bytes(value)
        self._watch.begin()  # an epoch has ended, or its validation
        return found

    def share_arrays(self, arrays: Arrays, like: Arrays) -> Arrays:
        """Returns the arrays that rank 0 has."""
        return share_arrays(arrays if self.is_first else like, like)

    def collect(self, rows: Sequence[Row]) -> list[Row]:
        """Tells rank 0 some rows; does not wait."""
        if self.is_first:
            return [json.loads(text) for text in self._store.told("rows/").values()]
        for text in map(json.dumps, rows):
            if text not in self._rows_told:
                self._store.tell(f"rows/{self.rank}-{len(self._rows_told)}", text)
                self._rows_told.add(text)
        return []

    def stop(self, wish: Stop | None) -> Stop | None:
        """Returns why all ranks stop here, at the same step; None if they go on."""
        if wish is not None and not self._asked:
            self._asked = True
            self._store.tell_first(_STOP, json.dumps([wish.what, wish.number]))
        with self._lock:
            self._points += 1
            self._watch.step()
            if self._stop_point is None or self._points != self._stop_point[0]:
                return None
            return self._stop_point[1]

    def _look_out(self) -> None:
        """Ends this process when another has failed, and agrees on a step to stop at."""
        while not self._ended.wait(_LOOK_SECONDS):
            try:
                told = self._told()
            except Exception as error:
                if not self._ended.is_set():
                    self._end(75, f"rank 0 has gone: {_first_line(error)}")
                return
            if _STOP in told and self._stop_point is None:
                what, number = json.loads(told[_STOP])
                self._agree(Stop(what=what, number=number))
            if seconds := self._watch.overdue(others_busy=_BUSY in told):
                problem = f"no step was done for {seconds:.0f} s: a process is stuck"
                self._fail(TryAgainError(f"{problem}. {_AGAIN}"))

    def _told(self) -> dict[str, str]:
        """Returns what was told; ends this process if another has failed."""
        told = self._store.told(_TOLD)
        if _FAILED in told and not self._ended.is_set():
            self._end(*self._heard(told[_FAILED]))
        return told

    def _agree(self, stop: Stop) -> None:
        """Finds the first step that no rank has passed; none takes another one meanwhile."""
        with self._lock:
            self._store.tell(f"at/{self.rank}", str(self._points))
            while len(at := self._store.told("at/")) < self.size:
                if self._ended.is_set():  # the others had no step left
                    return
                self._told()
                time.sleep(_LOOK_SECONDS / 10)
            self._stop_point = 1 + max(map(int, at.values())), stop

    def _leave_together(self, watcher: threading.Thread) -> None:
        """Lets go of the others once all are done."""
        import jax

        with self._watch.paused():
            self._store.meet("done")
            self._ended.set()
        watcher.join()
        if self._has_joined:
            jax.distributed.shutdown()

    def _fail(self, error: Exception) -> NoReturn:
        """Tells what went wrong, and ends all ranks: those that compute would wait for ever."""
        line, code = f"{type(error).__name__}: {_first_line(error)}", 1
        if isinstance(error, ShardfeedError):
            line, code = str(error), error.exit_code
        elif type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" not in str(error):
            time.sleep(_LAST_SECONDS)  # whoever failed first tells why, and ends this process
            line, code = f"another process has gone: {_first_line(error)}. {_AGAIN}", 75
        else:
            traceback.print_exception(error)
        first = self._tell_failure(code, line)
        self._end(*((code, line) if first is None else self._heard(first)))

    def _tell_failure(self, code: int, line: str = "") -> str | None:
        """Tells the others that this rank ends; returns what one told that ended before."""
        self._ended.set()
        with contextlib.suppress(Exception):  # rank 0 has gone
            told = self._store.tell_first(_FAILED, json.dumps([code, self.rank, line]))
            if self.is_first:
                self._store.meet("gone", _LAST_SECONDS)
            return None if told else self._store.wait(_FAILED)
        return None

    def _heard(self, told: str) -> tuple[int, str | None]:
        """Returns code and last line where another rank failed: people look at rank 0 first."""
        code, rank, line = json.loads(told)
        return code, f"rank {rank}: {line}" if self.is_first and line else None

    def _end(self, code: int, line: str | None = None) -> NoReturn:
        """Ends this process at once: Python's own end would wait for the other ranks."""
        self._ended.set()
        if line is not None and not self.is_first:
            line = f"rank {self.rank}: {line}"
        with contextlib.suppress(Exception):
            self._store.arrive("gone")
        _end(code, line)


_AGAIN = "Go on with `train resume` from the last checkpoint."


def _end(code: int, line: str | None) -> NoReturn:
    """Ends this process at once, with a last line."""
    with contextlib.suppress(OSError):
        if line is not None:
            print(f"train: error: {line}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
