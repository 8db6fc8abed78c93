"""Decides which errors of the operating system pass by themselves, and says what helps.

For both commands; `storage/hdfs` turns what HDFS answers into such errors. Exit code 75 promises
that the same command succeeds later without a change to it, so a scheduler repeats it for ever.
Everything else is 1 or 2.
"""

from __future__ import annotations

import errno

from convert.errors import ShardfeedError, TryAgainError, UsageError

_DISK = "Free space or repair the disk"
_SERVER = "Wait until the file system's server answers"
_MACHINE = "Wait until other programs have ended"

_PASSING: dict[int, str] = {
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EFBIG: _DISK,  # a batch system's limit of file sizes (`ulimit -f`) acts as a full disk
    errno.EIO: _DISK,
    errno.ESTALE: _SERVER,
    errno.ETIMEDOUT: _SERVER,
    errno.ECONNREFUSED: _SERVER,
    errno.ECONNRESET: _SERVER,
    errno.ECONNABORTED: _SERVER,
    errno.EHOSTDOWN: _SERVER,
    errno.EHOSTUNREACH: _SERVER,
    errno.ENETDOWN: _SERVER,
    errno.ENETUNREACH: _SERVER,
    errno.ENOTCONN: _SERVER,  # a FUSE server that has died
    errno.ENOLCK: _SERVER,  # the lock service of NFS is away
    errno.EAGAIN: _MACHINE,  # too many processes
    errno.ENFILE: _MACHINE,  # too many open files on the whole machine
    errno.ENOMEM: _MACHINE,
    errno.EINTR: _MACHINE,
}
"""What passes: a disk that somebody empties, a server that comes back, a machine less busy."""

_OTHER_KIND = "Something of another kind stands there: move it away, or name another place"
_UNABLE = "Its file system cannot do this: name a place on another one"
_RIGHTS = "Give this user the right, or name another place"

_IN_THE_COMMAND: dict[int, str] = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "Make it writable, or name another place",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ELOOP: "Name the place itself",
    errno.ENOTDIR: _OTHER_KIND,
    errno.EISDIR: _OTHER_KIND,
    errno.EEXIST: _OTHER_KIND,
    errno.ENOTEMPTY: _OTHER_KIND,
    errno.ENXIO: _OTHER_KIND,
    errno.ENODEV: _OTHER_KIND,
    errno.EMLINK: "Put a copy in its place",
    errno.EBADF: "It is closed: open it, or name a file",
    errno.EBUSY: "A mount point cannot be replaced: name a folder inside it",
    errno.EXDEV: "A folder in an image's layer cannot be replaced: name a new folder",
    errno.EINVAL: _UNABLE,
    errno.ENOSYS: _UNABLE,
    errno.EOPNOTSUPP: _UNABLE,
}
"""What stays until the command or the place that it names is changed."""

_AROUND: dict[int, str] = {
    errno.ENOENT: "It was removed, or cannot be made there: look at the folder",
    # A limit of this process: the same command meets it again.
    errno.EMFILE: "Raise the limit with `ulimit -n 65536`, or give fewer --workers",
    errno.EOVERFLOW: "It is too large to be what its name says: restore it, or move it away",
}
"""What stays, and is no fault of the command."""


def passes(error: OSError) -> bool:
    """Returns whether the same command may succeed later, though nobody changes it."""
    if error.errno == errno.ENOENT and str(error.filename).startswith("hdfs://"):
        return True  # without locks there, another converter may have finished and cleared up
    return error.errno in _PASSING


def kind_of(error: OSError) -> type[ShardfeedError]:
    """Returns the kind of error to raise for a system error, which decides the exit code."""
    if passes(error):
        return TryAgainError
    return UsageError if error.errno in _IN_THE_COMMAND else ShardfeedError


def failure(error: OSError, what: str, again: str) -> ShardfeedError:
    """Returns the error to raise: the reason, what helps, and what to do then.

    Args:
        error: What the system said.
        what: What could not be done to which file; begins the message.
        again: The command that goes on, as the end of a sentence.
    """
    remedies = {**_PASSING, **_IN_THE_COMMAND, **_AROUND}
    reason = str(error.strerror or error).rstrip(".")
    remedy = remedies.get(error.errno or 0, "Repair that")
    return kind_of(error)(f"{what}: {reason}. {remedy}, then {again}.")
