"""The folder of a cache: files named by their content, never more bytes than allowed.

    SHARDFEED_CACHE       without it nothing here is touched
    lock                  held for a moment by whoever makes room, or changes a name
    wanted                held by whoever cannot go on without room: nobody fetches ahead meanwhile
    readers/              see `reservations`
    shards/DIGEST-SIZE    whole and checked; whoever looks at it holds a shared lock on it
    shards/*.part         being fetched, of full size from the start

No lock outlives its process, and no file is deleted that somebody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence

from convert.command.byte_sizes import show_bytes
from convert.os_errors import kind_of
from convert.storage.regular_files import file_kind, open_regular
from train.cache.eviction import CachedFile
from train.cache.locked_files import has_name, holding, open_locked
from train.cache.partial_file import SUFFIX, Part
from train.cache.reservations import Member, Members, leave, needed
from train.errors import FormatError, TryAgainError, UsageError

MARKER = "SHARDFEED_CACHE"
_TEXT = "shardfeed keeps shards of datasets here. While no training runs, all may be deleted.\n"

# Twice as long as HDFS is waited for: whoever writes nothing for so long is stopped or hangs.
_STALLED_SECONDS = 300.0

Choice = Callable[[Sequence[CachedFile], dict[str, Member]], Sequence[CachedFile]]


class CacheFolder:
    """A folder of shards that processes share.

    Args:
        path: The folder; made if it is missing.
        budget: Bytes that it may take. None: half of what is free there, with what it has.

    Attributes:
        path: The folder.
        budget: Bytes that it may take.

    Raises:
        UsageError: It is not empty and no cache, or cannot be made.
    """

    def __init__(self, path: str, budget: int | None = None) -> None:
        self.path = os.path.abspath(path)
        try:
            self._make()
            self.budget = self._half() if budget is None else budget
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be made a cache: {error.strerror}. "
                "Name another folder with --cache."
            ) from error
        self._members = Members(self._inside("readers"))

    def _make(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        names = os.listdir(self.path)
        if names and MARKER not in names:
            raise UsageError(
                f"{self.path}: not empty, and no cache of shardfeed: it has no {MARKER}. "
                "Name a new or empty folder with --cache."
            )
        for name in ("readers", "shards"):
            _require_folder(self._inside(name))
        with open(self._inside(MARKER), "a+", encoding="utf-8", opener=open_regular) as marker:
            if not marker.tell():
                marker.write(_TEXT)
        for name in ("readers", "shards"):
            os.makedirs(self._inside(name), exist_ok=True)

    def _half(self) -> int:
        disk = os.statvfs(self.path)
        return (disk.f_bavail * disk.f_frsize + sum(file.size for file in self.files())) // 2

    def admit(self, member: Member) -> Callable[[], None]:
        """Lets a reader in.

        Returns:
            To be called when it has ended.

        Raises:
            UsageError: The process's readers alone hold more than the cache may take.
            TryAgainError: All readers together do.
        """
        with self._locked():
            present = list(self._members.living().values())
            budget = max([self.budget, *(other.budget for other in present)])
            of_process = [other for other in present if other.process == member.process]
            alone, together = needed([*of_process, member]), needed([*present, member])
            if alone > budget:
                raise UsageError(
                    f"{self.path}: {show_bytes(budget)} are too little to read through: the shards "
                    f"of a window and of what else is open take up to {alone:,} bytes at once. "
                    f"Give --cache-bytes {alone} or more, or a smaller --window."
                )
            if together > budget:
                raise TryAgainError(
                    f"{self.path}: full of shards that {len(present)} other readers need: they and "
                    f"this one take up to {together:,} bytes at once, the cache may have "
                    f"{budget:,}. Wait until one ends, give --cache-bytes {together}, or name "
                    "another --cache."
                )
            path, descriptor = self._members.register(member)
        return lambda: leave(path, descriptor, member.process)

    def files(self) -> list[CachedFile]:
        """Returns all files, those that are being fetched too."""
        found = []
        with os.scandir(self._inside("shards")) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):  # nothing that we made
                    continue
                with contextlib.suppress(FileNotFoundError):  # it has just got another name
                    status = entry.stat(follow_symlinks=False)
                    found.append(
                        CachedFile(name=entry.name, size=status.st_size, used=status.st_mtime)
                    )
        return found

    def file(self, name: str) -> str:
        """Returns the path of a file."""
        return self._inside("shards", name)

    def open(self, name: str) -> int | None:
        """Opens a file under a shared lock: it stays until it is closed. None: it is missing.

        Raises:
            FormatError: It cannot be read, or is no regular file.
        """
        try:
            return open_locked(self.file(name), fcntl.LOCK_SH)
        except OSError as error:
            raise FormatError(
                f"{self.file(name)}: cannot be read: {error.strerror}. Remove it, or name another "
                "folder with --cache."
            ) from error

    def discard(self, name: str, descriptor: int) -> None:
        """Removes an open file that is damaged, unless it was replaced already; closes it."""
        with self._locked():
            if has_name(descriptor, self.file(name)):
                os.unlink(self.file(name))
        os.close(descriptor)

    def reserve(self, name: str, size: int, choice: Choice) -> Part | None:
        """Makes room for a file and begins it.

        Args:
            name: The file; it was missing a moment ago.
            size: Its size.
            choice: Returns of all files those that may be removed, the first ones first; told of
                the readers too.

        Returns:
            None: somebody else fetches it or has done so, or what would have to give way is in use.

        Raises:
            TryAgainError: The disk has less room than the cache may take.
        """
        with self._locked():
            files = self._without_dead_parts()
            part = self._free_part(name, files)
            if part is None:
                return None
            members = self._members.living()
            budget = max([self.budget, *(member.budget for member in members.values())])
            missing = sum(file.size for file in files) + size - budget
            if missing > 0:
                whole = [file for file in files if not file.name.endswith(SUFFIX)]
                if not self._remove(missing, choice(whole, members)):
                    return None
            return Part(self.file(part), self.file(name), size)

    def publish(self, part: Part) -> int:
        """Gives a file that was fetched its name; returns a descriptor as `open` does."""
        with self._locked():
            return part.publish()

    def wanted(self) -> contextlib.AbstractContextManager[None]:
        """Lets nobody fetch ahead, so that there will be room."""
        return holding(self._inside("wanted"), fcntl.LOCK_SH)

    def is_wanted(self) -> bool:
        """Returns whether somebody cannot go on without room."""
        try:
            with holding(self._inside("wanted"), fcntl.LOCK_EX | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True

    def _inside(self, *names: str) -> str:
        return os.path.join(self.path, *names)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with holding(self._inside("lock"), fcntl.LOCK_EX):
                yield
        except OSError as error:
            raise kind_of(error)(
                f"{self.path}: cannot be written: {error.strerror}. Repair the disk, or name "
                "another one with --cache; then run the same command again."
            ) from error

    def _without_dead_parts(self) -> list[CachedFile]:
        """Returns all files, and removes what dead processes have left half fetched."""
        kept = []
        for file in self.files():
            if file.name.endswith(SUFFIX):
                path = self.file(file.name)
                descriptor = open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if descriptor is not None:
                    os.unlink(path)
                    os.close(descriptor)
                    continue
            kept.append(file)
        return kept

    def _free_part(self, name: str, files: Sequence[CachedFile]) -> str | None:
        """Returns the name of a new part; None if the file is there or comes without us."""
        if any(file.name == name for file in files):
            return None
        parts = {file.name: file.used for file in files if file.name.startswith(f"{name}.")}
        if any(time.time() - used < _STALLED_SECONDS for used in parts.values()):
            return None
        names = (f"{name}.{number}{SUFFIX}" for number in range(len(parts) + 1))
        return next(part for part in names if part not in parts)

    def _remove(self, missing: int, files: Sequence[CachedFile]) -> bool:
        """Removes files that nobody holds until there is room; all of them or none."""
        with contextlib.ExitStack() as stack:
            chosen = []
            for file in files:
                if missing <= 0:
                    break
                path = self.file(file.name)
                descriptor = open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if descriptor is not None:
                    stack.callback(os.close, descriptor)
                    chosen.append(path)
                    missing -= file.size
            if missing > 0:
                return False
            for path in chosen:
                os.unlink(path)
            return True


def _require_folder(path: str) -> None:
    """Raises `UsageError` for a link in the place of a folder: old files in it are deleted."""
    if os.path.lexists(path) and file_kind(os.lstat(path)) == "a link":
        raise UsageError(f"{path}: a link, expected a folder. Name another folder with --cache.")
