"""Chooses the files of a full cache that are removed for another one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedFile:
    """A file of a cache.

    Attributes:
        name: Its name.
        size: In bytes.
        used: When it was last used, or written to, in seconds.
    """

    name: str
    size: int
    used: float


def candidates(
    files: Sequence[CachedFile],
    size: int,
    rank: float | None,
    share: int,
    rank_of: Callable[[str], float | None],
    others: Collection[str],
) -> list[CachedFile]:
    """Returns the files that may be removed for a shard, the first ones first.

    First those of no reader that lives, the longest unused first. Of its own a reader gives away
    those that it uses last: its order is known, and least recently used would be nearly the worst
    choice for one that goes through everything again and again. Others lose the longest unused
    ones, as long as the reader has less than its share or cannot go on without.

    Args:
        files: All of the cache.
        size: Bytes of the shard.
        rank: Its place among the shards that its reader uses next. None: it is needed now.
        share: Bytes that the reader's shards may take from those of other readers.
        rank_of: Returns the place of one of the reader's own files among those that it uses next;
            None for the files of others.
        others: Names that other living readers use.
    """
    ranks = {file.name: rank_of(file.name) for file in files}
    own = [file for file in files if ranks[file.name] is not None]
    strange = sorted((file for file in files if ranks[file.name] is None), key=lambda f: f.used)
    nobodys = [file for file in strange if file.name not in others]
    theirs = [file for file in strange if file.name in others]
    may_grow = sum(file.size for file in own) + size <= share
    given = sorted(own, key=lambda file: ranks[file.name] or 0.0, reverse=True)
    if rank is not None:
        given = [file for file in given if (ranks[file.name] or 0.0) > rank]
    if may_grow:
        return [*nobodys, *theirs, *given]
    return [*nobodys, *given, *(theirs if rank is None else [])]
