"""Times a converter's work from within, once its libraries are loaded."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator

END_SECONDS = 10  # workers that are still running then would show in the command's own time


@contextlib.contextmanager
def timed() -> Iterator[None]:
    """Prints the wall and CPU seconds of its body, those of its workers included, as JSON."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        yield
    finally:
        seconds = time.perf_counter() - wall
        for worker in multiprocessing.active_children():
            worker.join(END_SECONDS)  # only then its CPU time counts
        print(json.dumps({"wall": seconds, "cpu": _cpu_seconds() - cpu}), flush=True)


def _cpu_seconds() -> float:
    """Returns the CPU time of this process and of its finished children."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
