"""The readers of a cache folder, and the bytes that each must be able to hold there at once.

A reader that may hold what it registered never waits for another one for ever: all that are let
in fit into the folder together. A registration is a file that its process keeps locked, so it ends
with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from convert.storage.places import read_text
from convert.storage.regular_files import IrregularFileError
from train.cache.locked_files import open_locked
from train.errors import FormatError
from train.runs.files.json_csv import is_text, is_whole

_FILE = re.compile(r"[0-9]+-[0-9a-f]{32}\.json")
_MOST_BYTES = 1 << 28  # names of some million shards
_PROCESS = uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A reader of a cache.

    Attributes:
        process: Names the process that it belongs to.
        shards: Names the shards that it reads: readers with the same ones share them.
        need: Bytes that it may hold at once.
        whole: Bytes of all its shards.
        budget: Bytes that its user lets the cache have.
        names: Its files in the cache.
    """

    process: str
    shards: str
    need: int
    whole: int
    budget: int
    names: tuple[str, ...]


def this_process() -> str:
    """Returns a name that no other process has."""
    return f"{os.getpid()}-{_PROCESS}"  # a fork has another number


def needed(members: Iterable[Member]) -> int:
    """Returns the bytes that the readers may hold together; shards they share count once."""
    needs: dict[str, int] = defaultdict(int)
    wholes: dict[str, int] = {}
    for member in members:
        needs[member.shards] += member.need
        wholes[member.shards] = member.whole
    return sum(min(need, wholes[shards]) for shards, need in needs.items())


class Members:
    """The readers of a cache folder; whoever asks holds the folder's lock.

    Args:
        path: The folder of their registrations.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, Member] = {}  # a file never changes

    def register(self, member: Member) -> tuple[str, int]:
        """Lets a reader in, as long as a descriptor stays open.

        Returns:
            What `leave` takes: its file, and the descriptor.
        """
        path = os.path.join(self._path, f"{os.getpid()}-{uuid.uuid4().hex}.json")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            content = json.dumps(asdict(member)).encode()
            while content:
                content = content[os.write(descriptor, content) :]
        except BaseException:
            os.unlink(path)
            os.close(descriptor)
            raise
        return path, descriptor

    def living(self) -> dict[str, Member]:
        """Returns the readers by their files; removes those of dead processes.

        Files of other names are left alone.

        Raises:
            FormatError: One that a process holds is no registration.
            OSError: One cannot be read, or is no regular file.
        """
        members = {}
        for name in filter(_FILE.fullmatch, os.listdir(self._path)):
            path = os.path.join(self._path, name)
            descriptor = open_locked(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if descriptor is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                os.close(descriptor)
                continue
            with contextlib.suppress(FileNotFoundError):  # it is just leaving
                if name not in self._known:
                    self._known[name] = _read(path)
                members[path] = self._known[name]
        return members


def leave(path: str, descriptor: int, process: str) -> None:
    """Ends a registration; needs no lock, so it may run at any moment.

    Args:
        path: Its file.
        descriptor: What holds it.
        process: Who made it; a fork of that process leaves it alone.
    """
    if process == this_process():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    os.close(descriptor)


def _read(path: str) -> Member:
    """Reads a registration that a living process holds."""
    try:
        content = json.loads(read_text(path, _MOST_BYTES))
        member = Member(**{**content, "names": tuple(content["names"])})
    except (IrregularFileError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path) from error
    if not _is_sound(member):
        raise _damaged(path)
    return member


def _is_sound(member: Member) -> bool:
    """Returns whether a registration has the values that `register` writes."""
    numbers = (member.need, member.whole, member.budget)
    texts = (member.process, member.shards, *member.names)
    return all(map(is_whole, numbers)) and all(map(is_text, texts))


def _damaged(path: str) -> FormatError:
    return FormatError(
        f"{path}: no registration of a reader that this version of shardfeed knows, and a process "
        "holds it. End that process, or name another folder with --cache."
    )
