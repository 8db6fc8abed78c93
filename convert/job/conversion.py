"""One run of a conversion that is planned: write the missing shards, commit, sum up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np

from convert.command.progress import ProgressBar
from convert.command.streams import say
from convert.config import SPLITS, ConvertConfig
from convert.dataset.info import DatasetInfo
from convert.engines.engine import Engine
from convert.errors import TooManyBadRowsError
from convert.images import ImageOptions
from convert.images.sources.reader import Reader
from convert.job.quarantine import check_bad, merge_bad, quarantine_text
from convert.job.report import ConvertResult
from convert.plan.rejected_rows import Quarantined
from convert.plan.shard_specs import Plan
from convert.write.commit_dataset import remove_replaced
from convert.write.describe import describe
from convert.write.duplicates import Duplicates, find_duplicates
from convert.write.retry import adopt_shards
from convert.write.shard_summary import Progress, ShardSummary, merge_sources
from convert.write.source_note import SourceNote, changed_shards, whole_root
from convert.write.staging import Staging
from convert.write.write_shard import ShardJob


class Conversion:
    """One run over the shards that are not done yet.

    Args:
        config: The options.
        plan: What to write.
        root: Folder of the sources.
        staging: Where the dataset grows.
        engine: Writes the shards.
        tell: Called with one line for each thing a user may want to know meanwhile.
    """

    def __init__(
        self,
        config: ConvertConfig,
        plan: Plan,
        root: str,
        staging: Staging,
        engine: Engine,
        tell: Callable[[str], None],
    ) -> None:
        self._config = config
        self._plan = plan
        self._root = root
        self._engine = engine
        self._tell = tell
        self._staging = staging
        self._progress = Progress()
        self._job = shard_job(config, plan, root, staging)

    def run(self, old: DatasetInfo | None, retry: list[int], started: float) -> ConvertResult:
        """Writes what is missing and commits.

        Args:
            old: The finished dataset whose bad rows are converted again, if any.
            retry: Those rows.
            started: When the whole job began.
        """
        plan, config = self._plan, self._config
        self._staging.prepare()
        files = plan.files()
        summaries = self._of_the_plan(self._staging.finished(files, self._engine.intact))
        if old is not None:
            summaries |= adopt_shards(config.dataset, old, plan, retry, self._staging, summaries)
        summaries = self._without_changed(summaries)
        resumed = sum(s.records + len(s.quarantined) for s in summaries.values())
        if resumed and old is None:
            self._tell(f"going on: {resumed:,} rows are already done")
        summaries |= self._write(
            [place for file, place in files.items() if file not in summaries], resumed
        )
        quarantined = merge_bad(plan.quarantined, summaries.values())
        info = describe(plan, self._job.image, summaries)
        self._commit(info, quarantined, summaries, old)
        return ConvertResult(
            dataset=config.dataset,
            info=info,
            rows=plan.manifest.num_rows,
            records=sum(s.records for s in summaries.values()),
            quarantined=len(quarantined),
            resumed_rows=resumed,
            exif=config.exif,
            sources=merge_sources(s.sources for s in summaries.values()),
            duplicates=_duplicates(plan, summaries),
            work=self._progress,
            seconds=time.monotonic() - started,
        )

    def source_reader(self) -> Reader:
        """Returns the reader of the source files."""
        return self._job.source_reader()

    def _of_the_plan(self, summaries: dict[str, ShardSummary]) -> dict[str, ShardSummary]:
        """Returns the finished shards but those of other rows than planned, which are deleted."""
        places = self._plan.files()
        planned = {
            file: summary
            for file, summary in summaries.items()
            if summary.is_of_rows(self._plan.shard_rows(*places[file]))
        }
        self._staging.discard(summaries[file] for file in summaries.keys() - planned.keys())
        return planned

    def _without_changed(self, summaries: dict[str, ShardSummary]) -> dict[str, ShardSummary]:
        """Returns the finished shards but those whose sources changed since, which are deleted."""
        origins = {file: summary.origin for file, summary in summaries.items()}
        changed = changed_shards(self._plan, origins, self.source_reader())
        if changed:
            self._tell(
                f"converting {len(changed):,} of {len(origins):,} finished shards again: their "
                "images have changed since"
            )
            self._staging.discard([summaries[file] for file in changed])
        return {file: s for file, s in summaries.items() if file not in changed}

    def _commit(
        self,
        info: DatasetInfo,
        quarantined: list[Quarantined],
        summaries: dict[str, ShardSummary],
        old: DatasetInfo | None,
    ) -> None:
        """Puts the dataset in place, unless too many rows are bad."""
        config = self._config
        try:
            num_rows = self._plan.manifest.num_rows
            check_bad(quarantined, num_rows, config.max_bad_fraction, self._root)
        except TooManyBadRowsError:
            self._staging.forget([s for s in summaries.values() if s.quarantined])
            raise
        replaces = config.overwrite or old is not None
        origins = {file: summaries[file].origin for file in self._plan.files()}
        source = SourceNote(root=whole_root(self._root), shards=origins)
        bad, paths = quarantine_text(quarantined), self._plan.manifest.columns["path"]
        self._staging.commit(config.dataset, info, bad, source, paths, overwrite=replaces)
        remove_replaced(config.dataset, self._tell)

    def _write(self, todo: list[tuple[str, int]], resumed: int) -> dict[str, ShardSummary]:
        """Writes the missing shards; returns their summaries by file."""
        if not todo:
            return {}
        total = sum(map(len, self._plan.splits.values()))
        bar = ProgressBar(total, say, done=resumed, unit=" rows", desc="convert")

        def line() -> str:
            return (
                f"{bar.done:,} of {total:,} rows, {self._progress.bad:,} bad, "
                f"{bar.rate:,.0f} rows/s, {bar.seconds_left:,.0f} s left"
            )

        def on_progress(progress: Progress) -> None:
            self._progress = self._progress.plus(progress)
            bar.add(progress.rows, line, lambda: f"{self._progress.bad} bad")

        specs = (self._plan.shard(*place) for place in todo)
        with contextlib.closing(bar):
            written = self._engine.write(self._job, specs, on_progress)
            return {summary.file: summary for summary in written}


def shard_job(config: ConvertConfig, plan: Plan, root: str, staging: Staging) -> ShardJob:
    """Returns what is the same for all shards of a conversion."""
    return ShardJob(
        root=root,
        staging=staging.path,
        num_labels=len(plan.vocabularies.outputs),
        image=ImageOptions.of(config, row_boxes=plan.boxes is not None),
        allow=staging.allow,
    )


def _duplicates(plan: Plan, summaries: dict[str, ShardSummary]) -> Duplicates:
    """Looks for identical pictures among all records."""
    rows, splits, digests = [], [], []
    for file, (split, index) in plan.files().items():
        planned = plan.shard_rows(split, index)
        bad = [quarantined.row for quarantined in summaries[file].quarantined]
        rows.append(planned[~np.isin(planned, bad)])
        splits.append(np.full(len(rows[-1]), SPLITS.index(split), np.int8))
        digests.append(np.frombuffer(summaries[file].image_digests, "<u8"))
    everything = np.concatenate(rows)
    return find_duplicates(
        np.concatenate(digests), everything, np.concatenate(splits), plan.labels[everything]
    )
