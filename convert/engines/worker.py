"""A worker process of the local engine: writes shards until its pipe closes or its parent dies.

The row that it is at stands in shared memory, so that the parent can tell which one ended it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from convert.config import Box
from convert.errors import ImageError, ShardfeedError
from convert.images import render
from convert.os_errors import failure
from convert.plan.shard_specs import ShardSpec
from convert.storage.hdfs.client import use_settings
from convert.write.shard import ShardJob, write_shard
from convert.write.summary import Progress, ShardSummary

OUT_OF_MEMORY = 71
"""Exit code of a worker that the system gave no more memory; any number that is not taken."""


def work(job: ShardJob, pipe: Connection, position: Any) -> None:
    """Writes the shards that come through a pipe; sends back progress, summaries and errors.

    Args:
        job: What all shards share.
        pipe: Brings each ShardSpec.
        position: Shared integer, set to the index of the row that is being decoded.
    """
    settle()
    use_settings(job.hadoop)

    def on_row(index: int) -> None:
        position.value = index

    while True:
        try:
            spec = pipe.recv()
            pipe.send(_attempt(job, spec, pipe.send, on_row))
        except (EOFError, ConnectionError):  # the parent is gone, or was killed amid a message
            return
        position.value = -1


def try_row(job: ShardJob, path: str, box: Box | None) -> None:
    """Reads and decodes one row of a shard and forgets it: does this end the process?

    Args:
        job: What all shards share.
        path: The row's.
        box: Its own crop box, if it has one.
    """
    settle()
    use_settings(job.hadoop)
    try:
        render(job.source_reader().read(path), job.image, box)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (ImageError, ShardfeedError):
        return  # bad, but harmless


def settle() -> None:
    """Sets up a fresh process."""
    # The parent turns Ctrl-C into an orderly stop; a worker has nothing of its own to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # decoders warn about harmless oddities of single files
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _attempt(
    job: ShardJob,
    spec: ShardSpec,
    report: Callable[[Progress], None],
    on_row: Callable[[int], None],
) -> ShardSummary | ShardfeedError:
    """Writes a shard; a failure that may pass becomes a message."""
    try:
        return write_shard(job, spec, report, on_row)
    except ShardfeedError as error:
        return error
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # as any other death: this process may be short of all things
    except OSError as error:
        again = "run the same command again: it goes on"
        return failure(error, f"{spec.file}: cannot be written", again)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # only called in workers
    wait([parent.sentinel])
    os._exit(1)
