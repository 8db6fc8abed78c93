"""How much memory a run may fill, and whether a window fits in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from convert.command.byte_sizes import show_bytes

WINDOW_SHARE = 4
"""A window may take one part in so many: its neighbour, the model and others need the rest."""

_PROC = Path("/proc")
_SYS = Path("/sys")
_KIBIBYTE = 1024


def available_bytes(*, proc: Path = _PROC, sys: Path = _SYS) -> int | None:
    """Returns the smaller of the machine's memory and what the process's cgroups are limited to.

    Args:
        proc: Where procfs is mounted.
        sys: Where sysfs is mounted.

    Returns:
        Bytes, or None where the system tells of neither.
    """
    limits = [*_machine(proc / "meminfo"), *_cgroup_limits(proc / "self" / "cgroup", sys)]
    return min(limits, default=None)


def window_warning(window: int, stride: int, *, proc: Path = _PROC, sys: Path = _SYS) -> str | None:
    """Returns a warning if a window takes too much of the memory; None if it fits.

    Args:
        window: Records that are shuffled as one, at most those of the split.
        stride: Bytes of a record.
        proc: Where procfs is mounted.
        sys: Where sysfs is mounted.
    """
    available = available_bytes(proc=proc, sys=sys)
    if available is None or window * stride * WINDOW_SHARE <= available:
        return None
    fitting = max(1, available // WINDOW_SHARE // stride)
    return (
        f"a window of {window:,} records takes {show_bytes(window * stride, 'GB', 1)}, more than a "
        f"quarter of the {show_bytes(available, 'GB', 1)} of memory: the disk may slow training "
        f"down. --window {fitting} would fit."
    )


def _machine(meminfo: Path) -> Iterator[int]:
    """Yields the machine's memory, if it tells."""
    for line in _lines(meminfo):
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * _KIBIBYTE


def _cgroup_limits(cgroup: Path, sys: Path) -> Iterator[int]:
    """Yields the limits of the process's cgroups and of those around them.

    In a container the path may be the host's, of which only the end or nothing is mounted. Folders
    that are not there have no limit to tell, and the walk ends at the mount, which is then the
    container's own cgroup.
    """
    for line in _lines(cgroup):
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mount, name = sys / "fs" / "cgroup", "memory.max"  # version 2
        elif "memory" in controllers.split(","):
            mount, name = sys / "fs" / "cgroup" / "memory", "memory.limit_in_bytes"  # version 1
        else:
            continue
        inside = Path(path.lstrip("/"))
        for folder in (inside, *inside.parents):
            yield from _limit(mount / folder / name)


def _limit(path: Path) -> Iterator[int]:
    """Yields the limit that a file tells, if there is one."""
    for line in _lines(path):
        if line.isdigit():  # "max": none
            yield int(line)


def _lines(path: Path) -> list[str]:
    """Returns the lines of a file; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
