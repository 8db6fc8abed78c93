"""Making batches ready while the network reads those before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from train.predict.sources.inputs import Piece, Sample

_AHEAD_BATCHES = 3  # one is read; one is ready; one, or what is slow of it, is under way


def ready_batches(
    batches: Iterable[list[Piece]], workers: int
) -> Generator[list[Sample], None, None]:
    """Yields each batch's samples, in order, whatever the number of threads.

    Decoders let go of Python's lock, so threads decode side by side. Close the iterator to stop
    them.

    Args:
        batches: The pieces of each batch; a few batches are asked for ahead.
        workers: Threads. At least 1.
    """
    pending: deque[list[Future[list[Sample]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="predict")
    try:
        for pieces in batches:
            pending.append([pool.submit(piece) for piece in pieces])
            if len(pending) >= _AHEAD_BATCHES:
                yield _samples(pending.popleft())
        while pending:
            yield _samples(pending.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _samples(pieces: list[Future[list[Sample]]]) -> list[Sample]:
    return [sample for piece in pieces for sample in piece.result()]
