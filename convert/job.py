"""A conversion from start to end: plan, lock, write what is missing, commit, sum up."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from convert.config import ConvertConfig
from convert.engine import run_local
from convert.errors import TooManyBadRowsError, TryAgainError, UsageError
from convert.image import ImageOptions
from convert.manifest import read_manifest
from convert.metadata import DatasetInfo, Shard
from convert.output import check_output, remove_replaced
from convert.plan import Plan, make_plan
from convert.progress import ProgressReporter
from convert.quarantine import Quarantined
from convert.shard import Progress, ShardJob, ShardSummary
from convert.staging import Staging, staging_key
from convert.storage import locked
from convert.vocabulary import read_vocabulary

_REASONS_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertResult:
    """What a conversion did.

    Attributes:
        dataset: The finished folder.
        info: Its description.
        already_complete: Whether it was finished before; nothing was done then.
        rows: Rows of the manifest.
        records: Records written, over all splits.
        quarantined: Rows left out.
        dropped_alpha: Records whose transparency was dropped.
        resumed_rows: Rows that an earlier, interrupted run had done.
        input_bytes: Bytes of source files read by this run.
        read_seconds: Time that workers waited for files, summed over workers.
        seconds: Time from start to end.
    """

    dataset: str
    info: DatasetInfo
    already_complete: bool = False
    rows: int = 0
    records: int = 0
    quarantined: int = 0
    dropped_alpha: int = 0
    resumed_rows: int = 0
    input_bytes: int = 0
    read_seconds: float = 0.0
    seconds: float = 0.0


def convert_dataset(
    config: ConvertConfig, say: Callable[[str], None] = lambda line: None
) -> ConvertResult:
    """Converts a manifest's images into a dataset.

    Killed at any moment and run again, it goes on where it was and ends with the same bytes.

    Args:
        config: What and how.
        say: Called with one line for each thing a user may want to know meanwhile.

    Raises:
        UsageError: The manifest, an option, or what stands at the output does not fit.
        TooManyBadRowsError: More rows are bad than `max_bad_fraction`.
        TryAgainError: The disk is full or failed, or workers died.
    """
    try:
        return _convert(config, say)
    except OSError as error:
        what = error.filename or config.dataset
        raise TryAgainError(
            f"{what}: {error.strerror or error}. "
            "Free space or repair the disk, then run the same command again: it goes on."
        ) from error


def _convert(config: ConvertConfig, say: Callable[[str], None]) -> ConvertResult:
    started = time.monotonic()
    manifest = read_manifest(config.manifest)
    plan = make_plan(manifest, config, _given_vocabularies(config.vocabulary))
    root = config.root or os.path.dirname(os.path.abspath(config.manifest))
    if not os.path.isdir(root):
        raise UsageError(f"--root {root}: no such folder. The manifest's paths start there.")
    parent, name = os.path.split(os.path.abspath(config.dataset))
    try:
        os.makedirs(parent, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{config.dataset}: its parent folder cannot be made: {error.strerror}."
        ) from error
    lock = os.path.join(parent, f".{name}.lock")
    with locked(lock, lambda: say(f"waiting for another convert that writes {config.dataset}")):
        found = check_output(config.dataset, plan.plan_id, overwrite=config.overwrite)
        if found is not None:
            return _complete(config.dataset, found, manifest.num_rows, started)
        _check_bad(plan.quarantined, manifest.num_rows, config.max_bad_fraction)
        return _Conversion(config, plan, root, say).run(started)


def _complete(dataset: str, info: DatasetInfo, rows: int, started: float) -> ConvertResult:
    """Returns the result for a dataset that was there already."""
    records = sum(info.num_records(split) for split in info.splits)
    return ConvertResult(
        dataset=dataset,
        info=info,
        already_complete=True,
        rows=rows,
        records=records,
        quarantined=rows - records,
        seconds=time.monotonic() - started,
    )


class _Conversion:
    """One run over the shards that are not done yet."""

    def __init__(
        self, config: ConvertConfig, plan: Plan, root: str, say: Callable[[str], None]
    ) -> None:
        self._config = config
        self._plan = plan
        self._root = root
        self._say = say
        self._staging = Staging(config.dataset, staging_key(plan.plan_id, root))
        self._progress = Progress()

    def run(self, started: float) -> ConvertResult:
        plan, config = self._plan, self._config
        self._staging.prepare()
        files = plan.files()
        summaries = self._staging.finished(files)
        resumed = sum(s.records + len(s.quarantined) for s in summaries.values())
        if resumed:
            self._say(f"going on: {resumed:,} rows are already done")
        summaries |= self._write(
            [place for file, place in files.items() if file not in summaries], resumed
        )
        quarantined = _merge(plan.quarantined, summaries.values())
        try:
            _check_bad(quarantined, plan.manifest.num_rows, config.max_bad_fraction)
        except TooManyBadRowsError:
            self._staging.forget([s for s in summaries.values() if s.quarantined])
            raise
        info = _describe(plan, config, summaries)
        lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in quarantined]
        self._staging.commit(config.dataset, info, "".join(lines), overwrite=config.overwrite)
        remove_replaced(config.dataset, self._say)
        return ConvertResult(
            dataset=config.dataset,
            info=info,
            rows=plan.manifest.num_rows,
            records=sum(s.records for s in summaries.values()),
            quarantined=len(quarantined),
            dropped_alpha=sum(s.dropped_alpha for s in summaries.values()),
            resumed_rows=resumed,
            input_bytes=self._progress.input_bytes,
            read_seconds=self._progress.read_seconds,
            seconds=time.monotonic() - started,
        )

    def _write(self, todo: list[tuple[str, int]], resumed: int) -> dict[str, ShardSummary]:
        """Writes the missing shards; returns their summaries by file."""
        if not todo:
            return {}
        reporter = ProgressReporter(sum(map(len, self._plan.splits.values())), resumed)

        def on_progress(progress: Progress) -> None:
            self._progress = self._progress.plus(progress)
            reporter.add(progress)

        specs = (self._plan.shard(*place) for place in todo)
        num_workers = min(self._config.num_workers, len(todo))
        summaries = {}
        try:
            for summary in run_local(self._shard_job(), specs, num_workers, on_progress):
                self._staging.record(summary)
                summaries[summary.file] = summary
        finally:
            reporter.close()
        return summaries

    def _shard_job(self) -> ShardJob:
        config = self._config
        image = ImageOptions(
            crop=config.crop,
            size=config.image_size,
            channels=config.channels,
            alpha=config.alpha,
            resample=config.resample,
            pad_crop=config.pad_crop,
            max_pixels=config.max_pixels,
        )
        return ShardJob(
            root=self._root, staging=self._staging.path, layout=self._plan.layout, image=image
        )


def _given_vocabularies(flags: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Reads the files of `--vocabulary`; the key `*` stands for all outputs."""
    given: dict[str, tuple[str, ...]] = {}
    for flag in flags:
        output, equals, path = flag.partition("=")
        key = output if equals else "*"
        if key in given:
            raise UsageError(f"--vocabulary is given twice for {key.replace('*', 'all outputs')}.")
        given[key] = read_vocabulary(path if equals else flag)
    return given


def _merge(planned: list[Quarantined], summaries: Iterable[ShardSummary]) -> list[Quarantined]:
    """Returns all rows left out, by row."""
    met = [row for summary in summaries for row in summary.quarantined]
    return sorted([*planned, *met], key=lambda quarantined: quarantined.row)


def _check_bad(quarantined: list[Quarantined], num_rows: int, limit: float) -> None:
    """Raises if more rows are bad than allowed, with the most frequent reasons."""
    if len(quarantined) <= limit * num_rows and len(quarantined) < num_rows:
        return
    too_many = f"more than --max-bad-fraction {limit:g} allows"
    counts = Counter(row.reason for row in quarantined).most_common(_REASONS_SHOWN)
    first = {row.reason: row for row in reversed(quarantined)}
    reasons = "; ".join(
        f"{count:,} {reason} (row {first[reason].row}, {first[reason].path}: "
        f"{first[reason].detail})"
        for reason, count in counts
    )
    verdict = too_many if limit < 1 else "so nothing is left"
    raise TooManyBadRowsError(
        f"{len(quarantined):,} of {num_rows:,} rows are bad, {verdict}: {reasons}. "
        "Repair the cause or raise the limit, then run the same command again."
    )


def _describe(plan: Plan, config: ConvertConfig, summaries: dict[str, ShardSummary]) -> DatasetInfo:
    """Returns the content of `dataset.json`."""
    width, height = config.image_size
    image: dict[str, Any] = {
        "height": height,
        "width": width,
        "channels": config.channels,
        "encoding": "raw",
        "crop": list(config.crop) if config.crop else None,
        "resample": config.resample,
        "alpha": config.alpha,
        "pad_crop": config.pad_crop,
        "row_boxes": plan.boxes is not None,
        "max_pixels": config.max_pixels,
    }
    splits: dict[str, list[Shard]] = {split: [] for split in plan.splits}
    for file, (split, _) in plan.files().items():
        done = summaries[file]
        splits[split].append(
            Shard(file=file, records=done.records, bytes=done.bytes, sha256=done.sha256)
        )
    return DatasetInfo(
        name=plan.name,
        image=image,
        outputs=plan.vocabularies.outputs,
        vocabularies=plan.vocabularies.classes,
        splits={split: tuple(shards) for split, shards in splits.items()},
        plan_id=plan.plan_id,
        manifest_sha256=plan.manifest.sha256,
        options=plan.options,
    )
