"""How many bytes of shards the windows of an order need at once, whatever the epoch."""

from __future__ import annotations

from collections.abc import Sequence

from train.records.order import RecordOrder


def largest_window(order: RecordOrder, shard_bytes: Sequence[int]) -> int:
    """Returns the most bytes that the shards of one window may take.

    Shards are permuted anew in each epoch, so for a shuffled order it is a bound: a window touches
    two shards in part at most, and between them as many whole ones as its records allow.

    Args:
        order: Tells what windows hold.
        shard_bytes: Size of each shard.
    """
    if not order.shuffled:
        return max(
            (_touched(order, window, shard_bytes) for window in range(order.num_windows)), default=0
        )
    used = [
        (records, size)
        for records, size in zip(order.shard_records, shard_bytes, strict=True)
        if records
    ]
    total = sum(size for _, size in used)
    if order.num_windows <= 1:
        return total
    at_ends = sum(sorted((size for _, size in used), reverse=True)[:2])
    inside = [(records, size) for records, size in used if records <= order.window - 2]
    return min(total, at_ends + min(_by_number(inside, order), _by_density(inside, order)))


def _touched(order: RecordOrder, window: int, shard_bytes: Sequence[int]) -> int:
    return sum(shard_bytes[span.shard] for span in order.window_spans(0, window))


def _by_number(shards: Sequence[tuple[int, int]], order: RecordOrder) -> int:
    """Returns the bytes of as many shards as fit inside a window, the largest ones."""
    left, number = order.window - 2, 0
    for records in sorted(records for records, _ in shards):
        left -= records
        number += left >= 0
    return sum(sorted((size for _, size in shards), reverse=True)[:number])


def _by_density(shards: Sequence[tuple[int, int]], order: RecordOrder) -> int:
    """Returns the bytes that the records inside a window take if they are the largest ones."""
    left, total = order.window - 2, 0
    for records, size in sorted(shards, key=lambda shard: shard[1] / shard[0], reverse=True):
        total += -(-size * min(records, left) // records)
        left -= min(records, left)
    return total
