"""What the processes of a session take: CPU time and memory, from /proc."""

from __future__ import annotations

import os
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_CPU_CLOCK = 2  # linux/posix-timers.h: CPUCLOCK_SCHED, the clock of a whole process
_HEADER = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")  # the line of /proc/PID/smaps that opens a mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What the processes of a session hold.

    Attributes:
        total: Bytes; pages that several share are counted once.
        mapped: Part of it that is page cache of the mapped dataset, which the kernel can take back.
    """

    total: int = 0
    mapped: int = 0


def members(session: int) -> list[int]:
    """Returns the processes of a session."""
    if not os.path.isdir("/proc"):
        return []
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _in(int(name), session)]


def cpu_seconds() -> float:
    """Returns the CPU time of this session, read from its leader.

    That is this process, its children that have ended, and all others by their own clocks, which
    count nanoseconds; /proc/PID/stat would count hundredths of a second.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = [process for process in members(os.getsid(0)) if process != os.getpid()]
    living = sum(_clock(process) for process in others)
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def memory(session: int, folder: Path) -> Memory:
    """Returns the memory of a session's processes, and how much of it maps files of a folder."""
    total = mapped = 0
    for process in members(session):
        try:
            lines = Path(f"/proc/{process}/smaps").read_text(errors="replace").splitlines()
        except OSError:  # it has ended meanwhile
            continue
        in_folder = False
        for line in lines:
            if line.startswith("Pss:"):
                share = int(line.split()[1]) * 1024
                total += share
                mapped += share if in_folder else 0
            elif _HEADER.match(line):
                in_folder = f" {folder}/" in line
    return Memory(total=total, mapped=mapped)


def _in(process: int, session: int) -> bool:
    """Returns whether a process belongs to a session."""
    try:
        return os.getsid(process) == session
    except OSError:  # it has ended meanwhile
        return False


def _clock(process: int) -> float:
    """Returns the CPU time of another process; 0 if it has ended."""
    try:
        return time.clock_gettime(~process << 3 | _CPU_CLOCK)
    except OSError:
        return 0.0
