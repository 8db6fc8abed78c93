"""Addresses of files on HDFS."""

from __future__ import annotations

import posixpath
import re

from convert.errors import UsageError

SCHEME = "hdfs://"
_ADDRESS = re.compile(r"hdfs://([^/]*)(/.*)?", re.DOTALL)


def split_address(address: str) -> tuple[str, str]:
    """Returns the authority and the path of an `hdfs://` address.

    Raises:
        UsageError: It is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"{address!r} is no address. Write hdfs://HOST:PORT/PATH.")
    return found[1], posixpath.normpath(found[2] or "/")


def path_of(address: str) -> str:
    """Returns the path of an address, without the authority.

    Raises:
        UsageError: It is none.
    """
    return split_address(address)[1]
