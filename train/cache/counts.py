"""What a cache has done for its readers so far."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, fields

from convert.command.byte_sizes import show_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheTotals:
    """What a cache has done.

    Attributes:
        hits: Shards that were needed and had been fetched before this reader was opened, or were
            still there from their last use.
        misses: Shards that were fetched.
        fetched_bytes: Their bytes.
        fetch_seconds: Time in which something was fetched.
        waited_seconds: Time in which a batch could not be made for want of a shard.
    """

    hits: int = 0
    misses: int = 0
    fetched_bytes: int = 0
    fetch_seconds: float = 0.0
    waited_seconds: float = 0.0

    def __add__(self, other: CacheTotals) -> CacheTotals:
        return self._with(other, 1)

    def __sub__(self, other: CacheTotals) -> CacheTotals:
        return self._with(other, -1)

    def _with(self, other: CacheTotals, sign: int) -> CacheTotals:
        names = [field.name for field in fields(self)]
        return CacheTotals(
            **{name: getattr(self, name) + sign * getattr(other, name) for name in names}
        )

    @property
    def fetched_bytes_per_second(self) -> float | None:
        """How fast shards came while something was fetched; None if nothing was."""
        return self.fetched_bytes / self.fetch_seconds if self.fetched_bytes else None

    def to_json(self) -> dict[str, float | None]:
        """Returns the numbers by name."""
        return {**asdict(self), "fetched_bytes_per_second": self.fetched_bytes_per_second}

    def __str__(self) -> str:
        text = f"{self.hits:,} shards were there, {self.misses:,} fetched"
        if self.fetched_bytes_per_second is not None:
            rate = show_bytes(self.fetched_bytes_per_second)
            text += f" ({show_bytes(self.fetched_bytes)} at {rate}/s)"
        return f"{text}, waited {self.waited_seconds:.1f} s"


class Stopwatch:
    """A context that counts the time in which at least one thread is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._total = self._started = 0.0

    @property
    def seconds(self) -> float:
        """The time so far."""
        with self._lock:
            running = time.monotonic() - self._started if self._inside else 0.0
            return self._total + running

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._started = time.monotonic()
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._total += time.monotonic() - self._started


class CacheCounts:
    """Counts; threads may share it.

    Attributes:
        fetching: Surrounds a fetch.
        waiting: Surrounds a wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = self._misses = self._bytes = 0
        self._fresh: set[str] = set()  # fetched, not used yet
        self.fetching, self.waiting = Stopwatch(), Stopwatch()

    def totals(self) -> CacheTotals:
        """Returns the numbers so far."""
        with self._lock:
            return CacheTotals(
                hits=self._hits,
                misses=self._misses,
                fetched_bytes=self._bytes,
                fetch_seconds=self.fetching.seconds,
                waited_seconds=self.waiting.seconds,
            )

    def fetched(self, name: str, size: int) -> None:
        """Counts a shard that was fetched."""
        with self._lock:
            self._misses += 1
            self._bytes += size
            self._fresh.add(name)

    def used(self, name: str) -> None:
        """Counts a shard that is used."""
        with self._lock:
            self._hits += name not in self._fresh
            self._fresh.discard(name)
