"""The summary of a conversion, in lines for people and as JSON for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convert.command.byte_sizes import show_bytes
from convert.dataset.info import QUARANTINE, DatasetInfo
from convert.images.oddities import Oddity, oddity_lines
from convert.write.duplicates import Duplicates
from convert.write.shard_summary import Progress, Sources


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertResult:
    """What a conversion did.

    Attributes:
        dataset: The finished folder.
        info: Its description.
        already_complete: Whether it was finished before; nothing was done then.
        rows: Rows of the manifest.
        records: Records of the dataset, over all splits.
        quarantined: Rows left out.
        resumed_rows: Rows that an earlier, interrupted run had done.
        exif: Whether EXIF orientations were applied.
        sources: What the files were like; None if nothing was done.
        duplicates: Identical pictures; None if nothing was done.
        work: What this run did; its seconds are summed over workers.
        seconds: Time from start to end.
    """

    dataset: str
    info: DatasetInfo
    already_complete: bool = False
    rows: int = 0
    records: int = 0
    quarantined: int = 0
    resumed_rows: int = 0
    exif: bool = False
    sources: Sources | None = None
    duplicates: Duplicates | None = None
    work: Progress = Progress()  # noqa: RUF009  # frozen
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """Returns the lines that end a run."""
        splits = ", ".join(f"{s} {self.info.num_records(s):,}" for s in self.info.splits)
        if self.already_complete:
            left_out = f"; {self.quarantined:,} left out, see {self.dataset}/{QUARANTINE}"
            return [
                f"{self.dataset} is already complete: {splits}{left_out * bool(self.quarantined)}"
            ]
        rows = "row" if self.quarantined == 1 else "rows"
        lines = [f"{self.records:,} records ({splits}), {self.quarantined:,} {rows} left out"]
        if self.work.rows:
            lines.append(self._speed())
        if self.sources is not None:
            lines += _about_sources(self.sources, exif=self.exif)
        if self.duplicates is not None:
            lines += self.duplicates.lines()
        if self.quarantined:
            lines.append(f"the rows left out are listed in {self.dataset}/{QUARANTINE}")
        return [*lines, f"dataset {self.info.dataset_id[:8]} is complete: {self.dataset}"]

    def _speed(self) -> str:
        work = self.work
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.shares().items())
        return (
            f"{work.rows:,} rows in {self.seconds:.1f} s: "
            f"{work.rows / self.seconds:,.0f} files/s, "
            f"{show_bytes(work.input_bytes / self.seconds, 'MB', 1)}/s read; "
            f"bottleneck: {self.bottleneck()} ({shares})"
        )

    def shares(self) -> dict[str, float]:
        """Returns the share of the workers' time that went to each kind of work, in [0, 1]."""
        work = self.work
        seconds = {
            "reading": max(work.read_seconds, 0.0),  # waiting for files
            "decoding": max(work.decode_seconds, 0.0),
            "writing": max(work.write_seconds, 0.0),
        }
        total = sum(seconds.values()) or 1.0
        return {name: value / total for name, value in seconds.items()}

    def bottleneck(self) -> str:
        """Returns which kind of work took most of the workers' time."""
        shares = self.shares()
        return max(shares, key=shares.__getitem__)

    def to_json(self) -> dict[str, Any]:
        """Returns the summary that `--json` prints."""
        found, sources = self.duplicates, self.sources
        return {
            "dataset": self.dataset,
            "dataset_id": self.info.dataset_id,
            "already_complete": self.already_complete,
            "rows": self.rows,
            "records": self.records,
            "quarantined": self.quarantined,
            "dropped_alpha": self._count("dropped_alpha"),
            "exif_oriented": self._count("oriented"),
            "oddities": {o: self._count(o) for o in sources.oddities} if sources else None,
            "leaked": found.leaked if found else None,
            "conflicting": found.conflicting if found else None,
            "resumed_rows": self.resumed_rows,
            "input_bytes": self.work.input_bytes,
            "bottleneck": self.bottleneck() if self.work.rows else None,
            "seconds": round(self.seconds, 3),
        }

    def _count(self, oddity: Oddity) -> int | None:
        """Returns how many sources were odd in one way; None where it is not known."""
        if self.sources is None:
            return None
        seen = self.sources.oddities.get(oddity)
        return seen.count if seen else 0


def _about_sources(sources: Sources, *, exif: bool) -> list[str]:
    """Returns lines about the source files: formats, sizes, oddities."""
    lines = []
    if sources.formats:
        formats = ", ".join(f"{count:,} {kind}" for kind, count in sources.formats.items())
        small, large = (f"{w}x{h}" for w, h in (sources.smallest, sources.largest))
        sizes = small if small == large else f"from {small} to {large}"
        lines.append(f"sources: {formats}; {sizes} pixels")
    num_sources = sum(sources.formats.values())
    return lines + oddity_lines(sources.oddities, exif=exif, num_sources=num_sources)
