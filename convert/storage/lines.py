"""The lines and digests of files, a part of a file in memory at a time."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator

from convert.storage.regular_files import IrregularFileError

MOST_BYTES = 1 << 29
"""Of a text that is read whole; the largest, `dataset.json` of 920,000 shards, has 200 MB."""
_LONGEST_LINE = 1 << 24  # of a file that is read by lines: many times the longest path and label


def require_at_most(size: int, most_bytes: int, path: str) -> None:
    """Refuses a text that is too large to be what its name says.

    Args:
        size: Its bytes.
        most_bytes: That it may have.
        path: Its path; the error names it.

    Raises:
        OSError: It has more bytes.
    """
    if size > most_bytes:
        problem = f"{size:,} bytes, expected at most {most_bytes:,}"
        raise IrregularFileError(errno.EOVERFLOW, problem, path)


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Returns the digest of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def lines_of(pieces: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Yields a file's lines, each with its end; only a part is in memory.

    Args:
        pieces: The file's content.
        path: Its path; an error names it.

    Raises:
        OSError: It cannot be read, or has a line that is too long.
    """
    rest = b""
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        if len(rest) > _LONGEST_LINE:
            problem = f"a line of more than {_LONGEST_LINE:,} bytes"
            raise IrregularFileError(errno.EOVERFLOW, problem, path)
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest
