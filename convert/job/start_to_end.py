"""A conversion from start to end: plan, lock, write what is missing, commit, sum up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from convert.config import ConvertConfig
from convert.dataset.info import QUARANTINE, DatasetInfo
from convert.engines.engine import Engine, open_engine
from convert.errors import FormatError, ShardfeedError, TryAgainError
from convert.job.conversion import Conversion
from convert.job.report import ConvertResult
from convert.job.request import read_request
from convert.os_errors import failure
from convert.storage.hdfs.error_translation import UnavailableError
from convert.storage.places import is_remote, read_lines
from convert.storage.regular_files import IrregularFileError
from convert.write.commit_dataset import remove_replaced
from convert.write.output import Output
from convert.write.retry import retryable_rows
from convert.write.source_note import require_same_sources


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
        ShardfeedError: A file cannot be read or written for a reason that stays.
    """
    try:
        with open_engine(config) as engine:
            return _convert(config, engine, say)
    except OSError as error:
        what = str(error.filename or config.dataset)
        raise failure(error, what, "run the same command again: it goes on") from error


def _convert(config: ConvertConfig, engine: Engine, say: Callable[[str], None]) -> ConvertResult:
    started = time.monotonic()
    request = read_request(config)
    config, root, output = request.config, request.root, request.output
    found = output.finished_before(request.given, request.corrections)
    if found is not None:
        return _complete(config.dataset, found, started)
    plan = request.plan()
    output.make_parent()
    with output.alone(say):
        staging = output.staging(plan.plan_id)
        conversion = Conversion(config, plan, root, staging, engine, say)
        found = output.finished(plan.plan_id)
        if found is not None:
            require_same_sources(config.dataset, plan, root, conversion.source_reader(), say)
        retry = _rows_to_retry(config, say) if found is not None else []
        if found is not None and not retry:
            remove_replaced(config.dataset, say)
            staging.remove()
            return _complete(config.dataset, found, started)
        request.tell(plan, say)
        try:
            return conversion.run(found, retry, started)
        except (OSError, TryAgainError) as error:
            info = None if found else _finished_meanwhile(config, output, plan.plan_id, error)
            if info is None:
                raise
            say(f"another convert has finished {config.dataset} meanwhile")
            staging.remove()
            return _complete(config.dataset, info, started)


def _finished_meanwhile(
    config: ConvertConfig, output: Output, identity: str, error: Exception
) -> DatasetInfo | None:
    """Returns the dataset if another converter has finished it, which may be what went wrong."""
    if not is_remote(config.dataset) or config.overwrite or isinstance(error, UnavailableError):
        return None
    try:
        return output.finished(identity)
    except (ShardfeedError, OSError):
        return None


def _rows_to_retry(config: ConvertConfig, say: Callable[[str], None]) -> list[int]:
    """Returns the rows of a finished dataset that are converted again."""
    if not config.retry_quarantined:
        return []
    rows = retryable_rows(config.dataset)
    if rows:
        say(f"trying {len(rows):,} of the rows that were left out again")
    else:
        say("no row was left out for its file: there is nothing to try again")
    return rows


def _complete(dataset: str, info: DatasetInfo, started: float) -> ConvertResult:
    """Returns the result for a dataset that was there already."""
    records = sum(info.num_records(split) for split in info.splits)
    path = os.path.join(dataset, QUARANTINE)
    try:
        quarantined = sum(1 for _ in read_lines(path))
    except (FileNotFoundError, IsADirectoryError, IrregularFileError) as error:
        what = "missing" if isinstance(error, FileNotFoundError) else error.strerror
        raise FormatError(
            f"{path}: {what}. Restore it, or convert again with --overwrite."
        ) from error
    return ConvertResult(
        dataset=dataset,
        info=info,
        already_complete=True,
        rows=records + quarantined,
        records=records,
        quarantined=quarantined,
        seconds=time.monotonic() - started,
    )
