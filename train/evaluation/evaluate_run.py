"""Measures the best weights of a run on a split of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset
from train.errors import UsageError
from train.evaluation.calibration import FITTED_SPLIT, Calibration
from train.evaluation.calibration_file import read_calibration, scales_for
from train.evaluation.evaluate import BATCH_SIZE, evaluate_source
from train.evaluation.predictions import WORST, Evaluation, rare_classes, worst_records
from train.evaluation.scores import RarityGroup
from train.evaluation.seen_images import count_seen
from train.input.open_source import open_source
from train.records.texts import blanks_of
from train.runs.class_counts_file import read_class_counts
from train.runs.dataset_identity import dataset_of, own_ids, reading
from train.runs.folder import RunFolder

_REMEDY = (
    "Name the original, or this one to evaluate on it all the same: `train evaluate RUN DATASET`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvaluation:
    """An evaluation with what is needed to tell about it.

    Attributes:
        split: The split.
        dataset_id: Id of the evaluated dataset.
        info: That dataset; with the run's classes, where it has only the first of them.
        evaluation: The predictions.
        worst: The wrongly read records with the largest losses, the worst first.
        rows: Their manifest rows.
        paths: Their images, as the manifest spells them; empty where that is not known.
        rarity: How well characters are read, by how often training saw their class. None: the run
            has not ended, and so has not counted its classes.
        calibration: How the confidences were calibrated.
        is_own: Whether the dataset is the one that the run was trained on.
        seen: Records whose pictures the run was trained on. None: not known, or it is its own.
    """

    split: str
    dataset_id: str
    info: DatasetInfo
    evaluation: Evaluation
    worst: list[int]
    rows: list[int]
    paths: list[str]
    rarity: list[RarityGroup] | None
    calibration: Calibration
    is_own: bool = True
    seen: int | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether the split is the one that the calibration was fitted on."""
        return self.is_own and self.split == FITTED_SPLIT and self.calibration.scale is not None


def evaluate_run(
    run: RunFolder,
    dataset: str | None = None,
    split: str | None = None,
    num_worst: int = WORST,
    *,
    cache: str | None = None,
    cache_bytes: int | None = None,
) -> RunEvaluation:
    """Evaluates a run's best weights.

    Args:
        run: The run.
        dataset: Any dataset of the same outputs. None: the run's own.
        split: None: `test` if there is one, else `validation`.
        num_worst: Wrongly read records to name. At least 0.
        cache: As in `train.SourceOptions`. None: for the run's own dataset, that of the run.
        cache_bytes: As in `train.SourceOptions`.

    Raises:
        UsageError: `num_worst` is negative, the dataset does not fit the run, or has no such split.
        MismatchError: In the place of the run's own dataset is another one now.
        FormatError: The dataset, the model or the run's class_counts.json cannot be read.
    """
    if num_worst < 0:
        raise UsageError(f"--worst must be 0 or more, got {num_worst}.")
    if cache is None and dataset is None:
        cache = run.config().get("cache")
    with reading(lambda: dataset_of(run, dataset, _REMEDY, how="after the run")) as found:
        return _evaluate_on(run, found, split, num_worst, cache, cache_bytes)


def _evaluate_on(
    run: RunFolder,
    dataset: OpenDataset,
    split: str | None,
    num_worst: int,
    cache: str | None,
    cache_bytes: int | None,
) -> RunEvaluation:
    """Evaluates a run's best weights on a dataset that is open; see `evaluate_run`."""
    path, info, trained = dataset.path, dataset.info, run.dataset_info()
    require_fit(path, info, trained)
    is_own = info.dataset_id in own_ids(run.config())
    split = split or choose_split(path, info)
    source = open_source(
        dataset, split, BATCH_SIZE, seed=0, shuffle=False, cache=cache, cache_bytes=cache_bytes
    )
    if info.classes != trained.classes:
        info = replace(info, outputs=trained.outputs, vocabularies=trained.vocabularies)
    counts = read_class_counts(run)
    model, calibration = run.load_model(), read_calibration(run)
    scales = scales_for(run, calibration, dataset.info.dataset_id, split)
    evaluation = evaluate_source(model, source, blanks_of(info), scales=scales)
    worst = worst_records(evaluation, num_worst)
    numbers = np.array(worst, np.int64)
    return RunEvaluation(
        split=split,
        dataset_id=dataset.info.dataset_id,
        info=info,
        evaluation=evaluation,
        worst=worst,
        rows=source.reader.rows(numbers).tolist(),
        paths=source.reader.sources(numbers),
        rarity=None if counts is None else rare_classes(evaluation, info, counts),
        calibration=calibration,
        is_own=is_own,
        seen=None if is_own else count_seen(run, source.reader, info),
    )


def choose_split(path: str, info: DatasetInfo) -> str:
    """Returns the split that was kept for the end: `test` if there is one, else `validation`.

    Raises:
        UsageError: A dataset has neither.
    """
    split = next((name for name in ("test", "validation") if name in info.splits), None)
    if split is None:
        raise UsageError(
            f"{path}: neither `test` nor `validation`; the splits are {', '.join(info.splits)}. "
            "Name one with --split."
        )
    return split


def require_fit(path: str, info: DatasetInfo, trained: DatasetInfo) -> None:
    """Checks that a dataset has the outputs and image size of a run, and its first classes or all.

    Args:
        path: The dataset's folder, for messages.
        info: The dataset.
        trained: What the run remembers of its own.

    Raises:
        UsageError: It has others.
    """
    has_first = all(
        trained.classes.get(output, ())[: len(classes)] == classes
        for output, classes in info.classes.items()
    )
    sizes = [_sizes(trained), _sizes(trained if has_first else info)]
    for what, ours, theirs, remedy in (
        ("image size", trained.image_shape, info.image_shape, "the run's --size and --channels"),
        ("outputs", list(trained.outputs), list(info.outputs), "labels of the same outputs"),
        ("classes", *sizes, "--vocabulary DATASET, the run's dataset"),
    ):
        if ours != theirs:
            raise UsageError(
                f"{path}: its {what} {theirs} are not the run's {ours}. Convert it with {remedy}."
            )
    if not has_first:
        raise UsageError(
            f"{path}: its classes are not those of the run. "
            "Convert it with --vocabulary DATASET, the run's dataset."
        )


def _sizes(info: DatasetInfo) -> list[int]:
    return [len(classes) for classes in info.classes.values()]
