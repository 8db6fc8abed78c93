"""Planning without converting: what a dataset would hold, how large, how long it would take."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convert.command.byte_sizes import show_bytes
from convert.config import Box, ConvertConfig
from convert.dataset.record import layout_of_image
from convert.engines.process_pool import ProcessPool
from convert.errors import ImageError
from convert.images import render
from convert.job.conversion import shard_job
from convert.job.request import read_request
from convert.plan.shard_specs import Plan
from convert.show.table import counted
from convert.write.write_shard import ShardJob

_TRIED = 64  # rows, spread evenly over the manifest
_TRY_SECONDS = 5.0  # after which no further row is tried


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanResult:
    """What a conversion would make.

    Attributes:
        plan: The plan.
        tried: Images that were read and resized to estimate time and bytes.
        failures: What was wrong with others, path first; they would be left out.
        image_seconds: Mean time of an image, in one process; 0.0 if none could be read.
        record_bytes: Mean size of a record. Exact if images are stored raw.
        workers: Processes that would share the work.
    """

    plan: Plan
    tried: int
    failures: list[str]
    image_seconds: float
    record_bytes: float
    workers: int

    @property
    def records(self) -> int:
        """Records over all splits, if every image can be read."""
        return sum(map(len, self.plan.splits.values()))

    @property
    def seconds(self) -> float:
        """Expected time of the conversion on this machine."""
        return self.records * self.image_seconds / self.workers

    def lines(self) -> list[str]:
        """Returns the plan for people."""
        plan, left_out = self.plan, len(self.plan.quarantined)
        splits = ", ".join(
            f"{name} {len(rows):,} in {counted(plan.num_shards(name), 'shard')}"
            for name, rows in plan.splits.items()
        )
        lines = [
            f"plan {plan.plan_id[:8]}: {self.records:,} records of {plan.manifest.num_rows:,} "
            f"rows ({splits}), {left_out:,} left out by the manifest alone"
        ]
        if self.record_bytes:
            size = show_bytes(self.records * self.record_bytes)
            lines.append(f"{size}: {self.record_bytes:,.0f} bytes a record")
        if self.tried:
            processes = counted(self.workers, "process", "processes")
            lines.append(
                f"about {_duration(self.seconds)} in {processes} of this machine: "
                f"{self.image_seconds * 1e3:.2f} ms an image, mean of {self.tried}"
            )
        if self.failures:
            tried = self.tried + len(self.failures)
            lines.append(
                f"{len(self.failures)} of {tried} images tried would be left out, such as "
                f"{self.failures[0]}"
            )
        return [*lines, "nothing was written"]

    def to_json(self) -> dict[str, Any]:
        """Returns the plan for programs."""
        plan = self.plan
        return {
            "plan_id": plan.plan_id,
            "rows": plan.manifest.num_rows,
            "records": self.records,
            "quarantined": len(plan.quarantined),
            "splits": {
                name: {"records": len(rows), "shards": plan.num_shards(name)}
                for name, rows in plan.splits.items()
            },
            "outputs": {
                name: len(plan.vocabularies.of(name)) for name in plan.vocabularies.outputs
            },
            "bytes": round(self.records * self.record_bytes) or None,
            "seconds": round(self.seconds, 3) if self.tried else None,
            "tried": self.tried,
            "failed": len(self.failures),
        }


def plan_dataset(config: ConvertConfig, say: Callable[[str], None]) -> PlanResult:
    """Plans a conversion, and tries some images; writes nothing.

    Args:
        config: The options of the conversion.
        say: Called with one line for each thing a user may want to know.

    Raises:
        UsageError: The manifest, an option or the place of the dataset does not fit.
        TooManyBadRowsError: The manifest alone rules out more rows than `max_bad_fraction`.
        TryAgainError: The processes that try images died again and again.
    """
    request = read_request(config)
    plan = request.plan()
    request.tell(plan, say)
    staging = request.output.staging(plan.plan_id)
    trial = _Trial(shard_job(request.config, plan, request.root, staging))
    deadly: list[str] = []

    def spare(rows: list[_Row], index: int) -> list[_Row]:
        deadly.append(f"{rows[index][0]}: decoding it ended the process")
        return rows[:index] + rows[index + 1 :]

    name = "the process that tried images"
    work = ProcessPool(trial, 1, lambda done: None, lambda rows: name, spare)
    tried = next(iter(work.run([_rows_to_try(plan)])))
    count = len(tried.bytes)
    sizes = [layout_of_image(plan.layout.num_labels, size).stride for size in tried.bytes]
    is_raw = config.encoding == "raw"
    return PlanResult(
        plan=plan,
        tried=count,
        failures=deadly + tried.failures,
        image_seconds=tried.seconds / max(1, count),
        record_bytes=plan.layout.stride if is_raw else sum(sizes) / max(1, count),
        workers=config.num_workers,
    )


_Row = tuple[str, Box | None]


def _rows_to_try(plan: Plan) -> list[_Row]:
    """Returns the paths and boxes of some rows, from all over the manifest."""
    rows = np.sort(np.concatenate(list(plan.splits.values())))
    some = rows[np.linspace(0, len(rows) - 1, min(_TRIED, len(rows))).astype(np.int64)]
    paths = plan.manifest.columns["path"].take(some).to_pylist()
    boxes = [None] * len(some) if plan.boxes is None else plan.boxes[some].tolist()
    return [(path, tuple(box) if box else None) for path, box in zip(paths, boxes, strict=True)]


@dataclass(slots=True)
class _Tried:
    """What became of some images: each one's encoded size, what was wrong with others."""

    bytes: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """Reads and renders images in a process of its own, since an image can end one."""

    job: ShardJob

    def __call__(
        self, rows: list[_Row], report: Callable[[int], None], on_row: Callable[[int], None]
    ) -> _Tried:
        reader = self.job.source_reader()
        tried = _Tried()
        on_row(0)
        for path, box in rows[:1]:
            with contextlib.suppress(ImageError):
                render(reader.read(path), self.job.image, box)  # the first takes longer
        for index, (path, box) in enumerate(rows):
            on_row(index)
            started = time.perf_counter()
            try:
                rendered = render(reader.read(path), self.job.image, box)
            except ImageError as error:
                tried.failures.append(f"{path}: {error.detail}")
                continue
            tried.bytes.append(len(rendered.content))
            tried.seconds += time.perf_counter() - started
            if tried.seconds > _TRY_SECONDS:
                break
        return tried


def _duration(seconds: float) -> str:
    """Returns a time for people: `40 s`, `12 min`, `3.5 hours`."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"
