"""An audit from start to end: train the folds, judge every record, write table and page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset
from convert.os_errors import failure
from convert.storage.places import filesystem_of, is_remote
from train.audit.config import AuditConfig
from train.audit.findings import Findings
from train.audit.fold_runs import train_folds
from train.audit.judgement import Array, Judgement
from train.audit.judges import judge_all, open_split
from train.audit.page import page
from train.audit.table import table
from train.audit.twin_images import Looks, find_twins, looks_of
from train.errors import UsageError
from train.evaluation.evaluate_run import require_fit
from train.evaluation.seen_images import seen_digests
from train.runs.dataset_identity import dataset_of, own_ids, reading
from train.runs.files.untrusted_folder import require_plain
from train.runs.folder import AUDIT, RunFolder
from train.runs.open import read_run

Say = Callable[[str], None]

TABLE, PAGE = "audit.csv", "audit.html"
"""The folder in a run's folder, and the files in it."""

_REMEDY = "Name the original, or this one to audit it all the same: `train audit RUN DATASET`."
_NAMED = 5  # records in the summary


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditResult:
    """What an audit came to.

    Attributes:
        found: The findings.
        folder: Where table and page are.
    """

    found: Findings
    folder: str
    can_fold: bool

    def lines(self) -> list[str]:
        """Returns the findings for people."""
        found = self.found
        judged = f"{len(found.judgement):,} records judged"
        if found.folds:
            judged += f", those of the training split by {found.folds} runs that had not seen them"
        elif found.is_seen is None:
            judged += "; which of them the run was trained on is not known"
        elif found.num_seen:
            judged += f", {found.num_seen:,} of them by the run that was trained on them"
            judged += "; --folds 3 lets others judge these" if self.can_fold else ""
        return [
            judged,
            f"{found.num_suspected:,} labels are suspected to be wrong, "
            f"{len(found.doubtful):,} differ from what is read, "
            f"{len(found.twins):,} pairs of pictures have different labels",
            *map(self._named, found.doubtful[:_NAMED]),
            f"the table is in {os.path.join(self.folder, TABLE)}, "
            f"the page to decide on in {os.path.join(self.folder, PAGE)}",
        ]

    def _named(self, record: int) -> str:
        found = self.found
        (path,) = found.paths([record])
        where = f"{path or 'manifest'} (row {found.judgement.row[record]})"
        return (
            f"{where}: labelled {found.label(record)}, read as {found.reading(record)}, "
            f"label believed {found.judgement.belief[record]:.1%}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the findings for programs."""
        found = self.found
        return {
            "run": found.run,
            "dataset_id": found.info.dataset_id,
            "records": len(found.judgement),
            "folds": found.folds,
            "seen": None if found.is_seen is None else found.num_seen,
            "suspected": found.num_suspected,
            "doubtful": len(found.doubtful),
            "same_picture": len(found.twins),
            "table": os.path.join(self.folder, TABLE),
            "page": os.path.join(self.folder, PAGE),
        }


def audit_run(run: RunFolder, config: AuditConfig, say: Say = lambda line: None) -> AuditResult:
    """Judges every record of a dataset and writes audit.csv and audit.html.

    Args:
        run: The run; its best weights judge, and its options train the folds.
        config: What to judge, and what to show.
        say: Called with one line for each thing a user may want to know meanwhile.

    Raises:
        UsageError: The dataset or an option does not fit the run.
        MismatchError: In the place of the run's own dataset is another one now.
        FormatError: The dataset or a model cannot be read.
        RecordError: A record is damaged.
        TryAgainError: The disk is full or damaged.
        StoppedError: SIGTERM or Ctrl-C came while a fold was trained; the same audit goes on.
    """
    with reading(lambda: dataset_of(run, config.dataset, _REMEDY, how="after the run")) as dataset:
        require_fit(dataset.path, dataset.info, run.dataset_info())
        own = own_ids(run.config())
        is_own = dataset.info.dataset_id in own
        if config.folds and len(own) > 1:
            raise UsageError(
                f"{run.address}: was trained on {len(own)} datasets, and --folds leaves out "
                "records of one. Leave --folds out, or audit a run of this dataset alone."
            )
        if config.folds and not is_own:
            raise UsageError(
                f"{dataset.path}: is not the run's own dataset, and --folds judges what a run is "
                "trained on. Leave --folds out."
            )
        folder = _make_folder(run, None if is_own and len(own) == 1 else dataset.info)
        paths: list[str] = []
        if config.folds:
            paths = train_folds(
                run, folder, config.folds, dataset.path, config.model, config.augment, say
            )
        found = _find(run, paths, dataset, config, is_own=is_own)
        _write(os.path.join(folder, TABLE), table(found))
        _write(os.path.join(folder, PAGE), page(found, config.pictures))
    can_fold = is_own and len(own) == 1 and run.config().get("weights") is None
    return AuditResult(found=found, folder=folder, can_fold=can_fold)


def _make_folder(run: RunFolder, other: DatasetInfo | None) -> str:
    """Makes the folder for what is written; returns its path.

    Args:
        run: The run.
        other: The dataset, if it is not the run's only one; it gets a folder of its own.
    """
    folder = run.shown(AUDIT)
    if not is_remote(folder):
        require_plain(run.path, run.address, (), (AUDIT,))
    if other is not None:
        folder = os.path.join(folder, other.dataset_id[:8])
    try:
        filesystem_of(folder).make_folder(folder)
    except OSError as error:
        again = "run the same command again"
        raise failure(error, f"{folder}: cannot be made", again) from error
    return folder


def _find(
    run: RunFolder,
    fold_paths: Sequence[str],
    dataset: OpenDataset,
    config: AuditConfig,
    *,
    is_own: bool,
) -> Findings:
    """Judges all records and compares all pictures."""
    cache = run.config().get("cache") if is_own else None
    with contextlib.ExitStack() as stack:
        folds = [stack.enter_context(read_run(path)) for path in fold_paths]
        judgement = judge_all(run, folds, dataset, cache)
    sources = {
        split: open_split(dataset, split, cache, config.manifest)
        for split in dataset.info.splits
        if dataset.info.num_records(split)
    }
    joined = Looks.join([looks_of(source.reader) for source in sources.values()])
    found = Findings(
        run=run.address,
        info=dataset.info,
        sources=sources,
        folds=len(folds),
        judgement=judgement,
        is_seen=_seen(run, judgement, joined.digests),
        twins=[],
    )
    found.twins.extend(find_twins(joined, judgement.labels, found.picture))
    return found


def _seen(run: RunFolder, judgement: Judgement, digests: Array) -> Array | None:
    """Returns which records their judge was trained on; a fold's run has not seen its part."""
    seen = seen_digests(run)
    if seen is None:
        return None
    is_seen: Array = np.isin(digests, seen) & (judgement.fold == 0)
    return is_seen


def _write(path: str, text: str) -> None:
    """Writes a file that is there whole or not at all, in an older one's place."""
    try:
        filesystem_of(path).replace(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        again = "run the same command again"
        raise failure(error, f"{path}: cannot be written", again) from error
