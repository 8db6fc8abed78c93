"""What `hdfs-native` raises, as the errors of a local disk, and whether it may pass.

Answers of the NameNode arrive as built-in exceptions or as `RPCError("java.Class", "message")`,
the Java stack behind the message. `client` asks again where an error may pass; one that lasts is
a `TryAgainError`, exit code 75.
"""

from __future__ import annotations

import errno
import os
import re

from convert.errors import TryAgainError

_OTHER = re.compile(r'\w+\("(?P<message>(?:[^"\\]|\\.)*)')
_RPC = re.compile(r'RPCError\("(?P<kind>[\w.$]+)", "(?P<message>(?:[^"\\]|\\.)*)')

# The end of a Java class's name -> what it means. All others may pass.
_FINAL = {
    "AccessControlException": errno.EACCES,
    "AuthorizationException": errno.EACCES,
    "InvalidToken": errno.EACCES,
    "ParentNotDirectoryException": errno.ENOTDIR,
    "PathIsNotDirectoryException": errno.ENOTDIR,
    "PathIsNotEmptyDirectoryException": errno.ENOTEMPTY,
    "QuotaExceededException": errno.EDQUOT,
    "MaxDirectoryItemsExceededException": errno.ENOSPC,
    "PathComponentTooLongException": errno.ENAMETOOLONG,
    "InvalidPathException": errno.EINVAL,
    "IllegalArgumentException": errno.EINVAL,
    "HadoopIllegalArgumentException": errno.EINVAL,
    "UnsupportedOperationException": errno.ENOTSUP,
}
# What a plain IOException says of a rename, or a refusal of a path below a file.
_WORDS = {
    "(is not a directory)": errno.ENOTDIR,
    "directory is not empty": errno.ENOTEMPTY,
    "must both be directories": errno.EEXIST,
    "under source": errno.EINVAL,
}
_DENIED = ("SASL", "GSSAPI", "Kerberos")
_PASSING = (ConnectionError, TimeoutError, InterruptedError)


class UnavailableError(TryAgainError):
    """HDFS has failed for passing reasons, again and again."""


class PassingError(OSError):
    """A call failed for a reason that may pass: tried again, it may succeed."""


def translate(error: Exception, path: str) -> OSError:
    """Returns the error that a local disk would have raised.

    Args:
        error: What the client raised.
        path: The file or folder that was asked for.

    Returns:
        An `OSError` with errno, one line of text, and the path; a `PassingError` if the call may
        succeed when it is tried again.
    """
    text = describe(error)
    if isinstance(error, FileNotFoundError):
        if text.startswith("Path is not a file"):
            return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if isinstance(error, FileExistsError):
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, text, path)
    if isinstance(error, OSError) and error.errno and not isinstance(error, _PASSING):
        return error  # our own
    number = _final(error)
    if number is not None:
        return OSError(number, text, path)
    return PassingError(errno.EIO, text, path)


def describe(error: BaseException) -> str:
    """Returns the first line of an error, without the Java stack behind it."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    text = str(error)
    found = _RPC.search(text) or _OTHER.match(text)
    text = found["message"] if found else text
    text = text.partition(": [")[0]  # what follows describes each DataNode at length
    lines = re.split(r"\\n|\n", text)
    return lines[0].replace('\\"', '"').strip().rstrip(".") or type(error).__name__


def _final(error: Exception) -> int | None:
    """Returns the errno of an error that will not pass."""
    text = str(error)
    found = _RPC.search(text)
    if found is None:
        if text.startswith("InvalidArgument"):
            return errno.EINVAL
        return errno.EACCES if any(word in text for word in _DENIED) else None
    kind, message = found["kind"].rpartition(".")[2], found["message"]
    meanings = [number for words, number in _WORDS.items() if words in message]
    meanings += [number for name, number in _FINAL.items() if kind.endswith(name)]
    return next(iter(meanings), None)
