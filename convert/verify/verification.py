"""Verifies a dataset: every byte is as it was written, rows and labels agree with the manifest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convert.command.byte_sizes import show_bytes
from convert.command.progress import ProgressBar
from convert.command.streams import say
from convert.config import usable_cores
from convert.dataset.read import OpenDataset, open_dataset
from convert.errors import ShardfeedError, UsageError
from convert.verify.all_shards import AllRecords
from convert.verify.expectation import Expectation
from convert.verify.result import VerifyResult
from convert.verify.shards.one_shard import shard_checks
from convert.verify.shards.processes import inspect_here, inspect_in_processes
from convert.verify.shards.spans import Inspection, Span, divide
from convert.verify.sidecars import check_quarantine, check_texts, find_foreign

_SPAN_BYTES = 64 << 20  # some tenths of a second of one core's work, as is the next
_DECODED_SPAN_BYTES = 4 << 20  # where images are decoded
_SPANS_OF_PROCESS = 4  # for fewer it is not worth the time that its start takes


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyConfig:
    """What to verify, and against what.

    Attributes:
        dataset: The dataset's folder.
        manifest: The manifest that it was made from: rows and labels are compared with it, and
            messages name paths. With `--from-names` the folder of images.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        allow: More folders that paths and links may lead into.
        deep: Decode the sources again and compare every pixel.
        workers: Processes. None: one per usable core.
    """

    dataset: str
    manifest: str | None = None
    root: str | None = None
    allow: tuple[str, ...] = ()
    deep: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers must be at least 1, got {self.workers}.")
        if self.deep and self.manifest is None:
            raise UsageError("--deep needs --manifest FILE: it names the source of each record.")
        for flag, is_given in (("--root", self.root is not None), ("--allow", bool(self.allow))):
            if is_given and not self.deep:
                raise UsageError(f"{flag} needs --deep: nothing else reads the sources.")

    @property
    def num_workers(self) -> int:
        """Processes that may be started; by default one per core that this process may use."""
        return usable_cores() if self.workers is None else self.workers


def verify_dataset(config: VerifyConfig) -> VerifyResult:
    """Checks every byte of a dataset. Nothing is changed.

    Raises:
        FormatError: There is no dataset, or its description cannot be read.
        UsageError: The manifest is not that of the dataset, or cannot be read.
        ReplacedError: Another dataset took its place meanwhile.
        TryAgainError: HDFS or a source could not be read, or workers died.
    """
    started = time.monotonic()
    dataset = open_dataset(config.dataset)
    try:
        with dataset.folder.reading():
            result = _Verification(config, dataset).run(started)
    except OSError as error:
        what = error.filename or config.dataset
        raise ShardfeedError(f"{what}: cannot be read: {error.strerror or error}.") from error
    changed = dataset.folder.change()
    if changed is not None:  # what stands there now was not verified
        raise changed
    return result


class _Verification:
    """One run over all files of a dataset."""

    def __init__(self, config: VerifyConfig, dataset: OpenDataset) -> None:
        self._config = config
        self._folder, self._info = dataset.folder, dataset.info
        self._manifest: Expectation | None = None
        if config.manifest is not None:
            self._manifest = Expectation(
                config.dataset, dataset.info, config.manifest, config.root, config.allow
            )
        self._shards = shard_checks(self._folder, self._info)
        self._records = AllRecords(self._shards)
        self._total = sum(shard.readable for shard in self._shards)
        self._left_out = np.empty(0, np.int64)

    def run(self, started: float) -> VerifyResult:
        """Checks everything.

        Args:
            started: When the whole job began.
        """
        folder, info, manifest = self._folder, self._info, self._manifest
        problems = list(check_texts(folder, info))
        quarantined, more = check_quarantine(folder)
        problems += more + find_foreign(folder, info)
        self._left_out = np.array([entry.row for entry in quarantined or ()], np.int64)
        num_rows = None
        if manifest is not None:
            problems += manifest.problems(quarantined)
            num_rows = manifest.plan.manifest.num_rows
        elif quarantined is not None:
            num_rows = sum(shard.shard.records for shard in self._shards) + len(quarantined)
        self._inspect()
        self._records.check_rows(self._left_out, num_rows, manifest)
        return VerifyResult(
            dataset=folder.path,
            info=info,
            problems=[p for shard in self._shards for p in shard.problems()] + problems,
            duplicates=self._records.duplicates(),
            sound_records=self._records.num_sound(),
            bytes=self._total,
            compared=self._compared(),
            seconds=time.monotonic() - started,
        )

    def _inspect(self) -> None:
        """Has all shards checked."""
        config, manifest = self._config, self._manifest
        sources = manifest.source_job() if manifest is not None and config.deep else None
        job = Inspection(folder=self._folder, info=self._info, sources=sources)
        is_slow = config.deep or not self._info.is_raw
        span_bytes = _DECODED_SPAN_BYTES if is_slow else _SPAN_BYTES
        num_workers = min(config.num_workers, self._total // (_SPANS_OF_PROCESS * span_bytes))
        bar = ProgressBar(self._total, say, unit="B", unit_scale=True, desc="verify")
        findings = 0

        def line() -> str:
            return (
                f"verified {bar.done / 1e9:,.1f} of {show_bytes(self._total, 'GB', 1)}, "
                f"{findings:,} findings, {show_bytes(bar.rate, 'MB', 0)}/s, "
                f"{bar.seconds_left:,.0f} s left"
            )

        def on_bytes(num_bytes: int) -> None:
            bar.add(num_bytes, line, lambda: f"{findings:,} findings")

        if num_workers <= 1:
            reports = inspect_here(job, self._spans(), on_bytes)
        else:
            spans = self._divided(span_bytes, num_workers)
            reports = inspect_in_processes(job, spans, num_workers, on_bytes)
        with contextlib.closing(bar), contextlib.closing(reports):
            for report in reports:
                self._records.take(report)
                self._shards[report.shard].take(report)
                findings += report.findings.counts.total()

    def _spans(self) -> Iterator[Span]:
        """Yields what there is to check, a span a shard."""
        for check in self._shards:
            expected = None
            if self._manifest is not None and self._manifest.is_comparable:
                expected = self._manifest.shard(
                    check.split, check.index, check.shard, self._left_out
                )
                if expected is None:
                    check.add_not_compared()
            span = check.span(expected)
            if span is not None:
                yield span

    def _divided(self, span_bytes: int, num_workers: int) -> Iterator[Span]:
        """Yields what there is to check; a large shard is divided."""
        # With more than half of a worker's share it would leave the others without work at the end.
        half = self._total // (2 * num_workers)
        for whole in self._spans():
            yield from divide(whole, span_bytes if whole.bytes > half else whole.bytes)

    def _compared(self) -> str:
        """Returns the words of the last line that say what records were compared with."""
        if self._manifest is None:
            return ""
        return ", rows and labels equal the manifest" + ", pixels the sources" * self._config.deep
