"""Reading images with a run's best weights, from the first thread to the last line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from convert.command.streams import stdin_lines
from convert.dataset.info import DatasetInfo
from convert.plan.dialects.roles import ManifestOptions
from train.evaluation.calibration_file import read_calibration
from train.predict.config import PredictConfig
from train.predict.network import BatchReader
from train.predict.output_file import check_output, open_output
from train.predict.prefetch import ready_batches
from train.predict.progress import ReadingProgress
from train.predict.result import Score, predictions
from train.predict.sources.image_files import FileInputs, ManifestInputs
from train.predict.sources.inputs import Inputs, stack
from train.predict.sources.paths import image_paths
from train.predict.sources.split_records import RecordInputs
from train.predict.tables import CsvTable, JsonTable, Table
from train.predict.threshold import choose_threshold
from train.runs.dataset_identity import dataset_of, reading
from train.runs.folder import RunFolder

_REMEDY = "Name the original with --dataset, or this one to read it all the same."


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResult:
    """What reading came to.

    Attributes:
        images: Images named, bad ones included.
        errors: Those that could not be read.
        accuracy: How much was right, as a line. None: not known.
        accepted: How much was accepted, as a line. None: no threshold was asked for.
        summary: The rest, as a line.
    """

    images: int
    errors: int
    accuracy: str | None
    accepted: str | None
    summary: str


def predict_images(
    run: RunFolder, config: PredictConfig, say: Callable[[str], None] = lambda line: None
) -> PredictResult:
    """Reads images and writes what they say, in their order.

    Args:
        run: The run; its best weights read.
        config: What to read, and where to write.
        say: Prints a line for people now and then.

    Raises:
        UsageError: The inputs do not fit the run, or its evidence is not enough for `accept`.
        FormatError: The model or the dataset cannot be read.
        TryAgainError: The output cannot be written.
    """
    check_output(config, run)
    info = run.dataset_info()
    with _opened(run, config, info) as inputs:
        return _predict(run, config, info, inputs, say)


def _predict(
    run: RunFolder,
    config: PredictConfig,
    info: DatasetInfo,
    inputs: Inputs,
    say: Callable[[str], None],
) -> PredictResult:
    """Reads inputs that are open and writes what they say."""
    model, calibration = run.load_model(), read_calibration(run)
    limit = choose_threshold(calibration, config, run.address)
    least = None if limit is None else limit.threshold
    scale = calibration.scale
    reader = BatchReader(model, config.batch_size, max(1, config.top_k), scale)
    power = scale.power if scale else 1.0
    table = _table(config, info, inputs)
    score, accepted = Score(info), 0
    quiet = config.output is None and sys.stdout.isatty()
    progress = ReadingProgress(inputs.total, say, quiet=quiet)
    batches = ready_batches(inputs.batches(config.batch_size), config.num_workers)
    with (
        contextlib.closing(batches),
        contextlib.closing(progress),
        open_output(config.output) as file,
    ):
        file.write(table.header())
        for samples in batches:
            images = stack(samples)
            readings = reader.read(images) if len(images) else []
            found = list(predictions(samples, readings, info, power, least))
            file.write(table.lines(found))
            file.flush()  # who reads along need not wait
            score.add(samples, found)
            accepted += sum(bool(prediction.accept) for prediction in found)
            progress.add(len(found), sum(bool(prediction.error) for prediction in found))
    return PredictResult(
        images=progress.images,
        errors=progress.errors,
        accuracy=score.line(),
        accepted=None if limit is None else limit.line(accepted, progress.images),
        summary=progress.summary(),
    )


@contextlib.contextmanager
def _opened(run: RunFolder, config: PredictConfig, info: DatasetInfo) -> Iterator[Inputs]:
    """Opens whatever a `with` block reads."""
    if config.reads_split:
        with reading(
            lambda: dataset_of(run, config.dataset, _REMEDY, how="with --dataset")
        ) as dataset:
            yield RecordInputs(dataset, config.split, config.manifest, info)
    elif config.manifest is not None:
        options = ManifestOptions(
            encoding=config.manifest_encoding,
            path_column=config.path_column,
            text_column=config.text_column,
        )
        yield ManifestInputs(config.manifest, config.root, config.allow, info, options)
    else:
        yield FileInputs(image_paths(config.images, stdin_lines()), info)


def _table(config: PredictConfig, info: DatasetInfo, inputs: Inputs) -> Table:
    if config.format == "jsonl":
        return JsonTable(info.outputs, config.top_k, inputs.has_truths)
    return CsvTable(config.top_k, inputs.has_truths, config.says_accept)
