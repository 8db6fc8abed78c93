"""A process among several that train one run, joined by JAX.

What is small goes through JAX's key-value store, which rank 0 keeps: it works while a device
computes, and before and after. A thread looks there now and then: whether somebody wants to stop,
whether somebody has failed. What is large goes from device to device.
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
from typing import Any, NoReturn, TypeVar

import numpy as np

from convert.command.signals import undone_by_signals
from train.errors import ShardfeedError, StoppedError, TryAgainError, UsageError
from train.hosts.patience import Patience
from train.hosts.place import Place
from train.hosts.solo import Arrays, Row, Stop, Team
from train.hosts.step_watch import StepWatch

__all__ = ["Members", "Team", "join"]

_Value = TypeVar("_Value")

_LOOK_SECONDS = 0.2  # from one look at the store to the next: 0.2 ms of it are work
_WAIT_MS = 5_000  # for a value, before it is asked for again
_LATER_SECONDS = 60  # than ours JAX gives up
_LAST_SECONDS = 3.0  # for the others to hear why rank 0 ends, whose store ends with it
_CHUNK_BYTES = 64 << 20  # of arrays that are sent at once: bounds what lies on the devices

_TOLD, _FAILED, _STOP, _BUSY = "told/", "told/failed", "told/stop", "told/busy"


def join(place: Place) -> Team:
    """Joins the others; after this JAX has the devices of all, and Keras may be imported.

    Args:
        place: Which part this process is.

    Raises:
        UsageError: Keras' backend is not JAX.
        TryAgainError: Not all of them have started in time.
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
        f"{patience.join:g} s. Look whether all were started, and start all of them again."
    )
    # JAX itself would abort, with a page of its own.
    timer = threading.Timer(patience.join, lambda: _end(TryAgainError.exit_code, problem))
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
        from jax._src import distributed  # no public name leads to the store

        super().__init__(place.rank, place.size, place.team)
        self._store: Any = distributed.global_state.client
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
                self._store.key_value_set(key, json.dumps(value))
            else:
                value = json.loads(self._await(key))
        self._watch.begin()
        return value

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Surrounds what rank 0 does alone while the others wait for its next step."""
        with self._watch.paused():
            self._store.key_value_set(_BUSY, "1", allow_overwrite=True)
            yield
            self._store.key_value_delete(_BUSY)

    def connect(self) -> None:
        """Connects the devices; before that only the processes are."""
        sys.stdout.flush()
        stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # Gloo prints what it connects to
        try:
            self.gather(b"")
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
            os.close(nowhere)

    def gather(self, value: bytes) -> list[bytes]:
        """Returns the values of all ranks, by rank."""
        from jax.experimental import multihost_utils

        # As bytes: floats would lose bits on the way.
        sizes = multihost_utils.process_allgather(np.array([len(value)], np.int32)).reshape(-1)
        width = max(1 << 10, 1 << int(sizes.max()).bit_length())  # few sizes to compile for
        padded = np.zeros(width, np.uint8)
        padded[: len(value)] = np.frombuffer(value, np.uint8)
        rows = multihost_utils.process_allgather(padded).reshape(self.size, width)
        self._watch.begin()  # an epoch has ended, or its validation
        return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]

    def share_arrays(self, arrays: Arrays, like: Arrays) -> Arrays:
        """Returns the arrays that rank 0 has."""
        from jax.experimental import multihost_utils

        source = arrays if self.is_first else like
        data = np.frombuffer(b"".join(array.tobytes() for array in source.values()), np.uint8)
        shared = bytearray()
        for start in range(0, len(data), _CHUNK_BYTES):
            chunk = data[start : start + _CHUNK_BYTES]
            shared += np.asarray(multihost_utils.broadcast_one_to_all(chunk)).tobytes()
        found, start = {}, 0
        for name, array in like.items():
            stop = start + array.nbytes
            found[name] = np.frombuffer(shared[start:stop], array.dtype).reshape(array.shape)
            start = stop
        return found

    def collect(self, rows: Sequence[Row]) -> list[Row]:
        """Tells rank 0 some rows; does not wait."""
        if self.is_first:
            return [json.loads(text) for _, text in self._store.key_value_dir_get("rows/")]
        for text in map(json.dumps, rows):
            if text not in self._rows_told:
                self._store.key_value_set(f"rows/{self.rank}-{len(self._rows_told)}", text)
                self._rows_told.add(text)
        return []

    def stop(self, wish: Stop | None) -> Stop | None:
        """Returns why all ranks stop here, at the same step; None if they go on."""
        if wish is not None and not self._asked:
            self._asked = True
            self._tell_once(_STOP, json.dumps([wish.what, wish.number]))
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
        told = dict(self._store.key_value_dir_get(_TOLD))
        if _FAILED in told and not self._ended.is_set():
            self._end(int(told[_FAILED]))
        return told

    def _agree(self, stop: Stop) -> None:
        """Finds the first step that no rank has passed; none takes another one meanwhile."""
        with self._lock:
            self._store.key_value_set(f"at/{self.rank}", str(self._points))
            while len(at := self._store.key_value_dir_get("at/")) < self.size:
                self._told()
                time.sleep(_LOOK_SECONDS / 10)
            self._stop_point = 1 + max(int(points) for _, points in at), stop

    def _leave_together(self, watcher: threading.Thread) -> None:
        """Lets go of the others once all are done."""
        import jax

        with self._watch.paused():
            self._await_all("done")
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
        if self._tell_failure(code):
            self._end(code, line)
        self._end(int(self._store.key_value_try_get(_FAILED)))

    def _tell_failure(self, code: int) -> bool:
        """Tells the others that this rank ends; returns whether it is the first that does."""
        self._ended.set()
        with contextlib.suppress(Exception):
            is_first = self._tell_once(_FAILED, str(code))
            if self.is_first:
                self._await_all("gone", _LAST_SECONDS)
            return is_first
        return True

    def _end(self, code: int, line: str | None = None) -> NoReturn:
        """Ends this process at once: Python's own end would wait for the other ranks."""
        self._ended.set()
        if line is not None and not self.is_first:
            line = f"rank {self.rank}: {line}"
        with contextlib.suppress(Exception):
            self._store.key_value_set(f"gone/{self.rank}", "")
        _end(code, line)

    def _tell_once(self, key: str, value: str) -> bool:
        """Tells something, unless somebody has."""
        try:
            self._store.key_value_set(key, value)
        except RuntimeError as error:
            if "ALREADY_EXISTS" not in str(error):
                raise
            return False
        return True

    def _await(self, key: str) -> str:
        """Waits until something is told."""
        while True:
            try:
                return str(self._store.blocking_key_value_get(key, _WAIT_MS))
            except RuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise

    def _await_all(self, what: str, seconds: float | None = None) -> None:
        """Waits until all ranks have come here, or for some time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with contextlib.suppress(RuntimeError):  # there already
            self._store.key_value_set(f"{what}/{self.rank}", "")
        while len(self._store.key_value_dir_get(f"{what}/")) < self.size:
            if deadline is not None and time.monotonic() > deadline:
                return
            time.sleep(_LOOK_SECONDS / 2)


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
