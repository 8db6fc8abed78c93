"""Options, splits and model of one training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import keras

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from convert.storage.places import absolute
from train.config import CHANGEABLE, OF_PLACES, TrainConfig, is_custom
from train.errors import UsageError
from train.evaluation.evaluate import BATCH_SIZE
from train.evaluation.parts import Part
from train.hosts.devices import require_even
from train.hosts.team import Team
from train.input.augmentation_choice import require_repeatable
from train.input.augmentation_place import fed_batches
from train.input.open_source import common_info, open_batches
from train.input.options import SourceArguments
from train.model.build import build_compiled, resolved_head, use_deterministic_kernels
from train.model.precision import resolved_precision
from train.records.batches import BatchSource
from train.records.count_classes import count_classes
from train.records.folds import Fold
from train.records.label_checks import require_labels, require_sense
from train.records.reading.reader import RecordReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is trained, opened and checked.

    Attributes:
        config: The options.
        info: The dataset's description; of several, that with most classes.
        datasets: The datasets.
        training: Batches to train on.
        validation: Batches to validate on, or None.
        weights_digest: SHA-256 of the file whose weights were the first ones. None: they were
            random, or are not known yet.
    """

    config: TrainConfig
    info: DatasetInfo
    datasets: tuple[OpenDataset, ...]
    training: BatchSource
    validation: BatchSource | None
    weights_digest: str | None = None

    @classmethod
    def open(
        cls, config: TrainConfig, datasets: Sequence[OpenDataset] = (), team: Team | None = None
    ) -> Job:
        """Opens the splits of datasets, all splits of one folder each.

        Args:
            config: The options.
            datasets: The datasets. None of them: they are opened here.
            team: Who shares each batch of training. None: this process makes all of it.

        Raises:
            UsageError: An option or the dataset's splits do not fit, or a team's devices cannot
                share a batch evenly.
            FormatError: The dataset is no valid one.
            RecordError: A label is out of range, or a record damaged whose label is read.
        """
        if config.deterministic:
            use_deterministic_kernels()
        datasets = tuple(datasets or map(open_dataset, config.datasets))
        _require_each_once(datasets)
        info = common_info(datasets)
        if team is not None:  # also a process alone, whose devices share each batch
            size = config.images_per_step
            flag = "--batch-size" if size == config.batch_size else "--overfit"
            require_even(flag, size, team.size)
        asked = partial(
            SourceArguments,
            verify_records=config.verify_records,
            on_bad_record=config.on_bad_record,
            manifest=config.manifest,
            limit=config.overfit,
            cache=config.cache,
            cache_bytes=config.cache_bytes,
        )
        training = open_batches(
            asked(
                datasets,
                "train",
                config.images_per_step,
                config.seed,
                augment="none" if config.overfit else config.augment,
                window=config.window,
                weights=config.shares,
                rank=team.rank if team else 0,
                num_ranks=team.size if team else 1,
            ),
            Fold(*config.left_out).others if config.left_out else None,
        )
        validation = None
        split = "validation" if config.overfit is None else "train"
        held_out = [dataset for dataset in datasets if split in dataset.info.splits]
        if held_out:
            validation = open_batches(asked(held_out, split, BATCH_SIZE, shuffle=False))
        else:
            _refuse_without_validation(config)
        require_sense(config.dataset, info)
        read = (training, validation) if config.overfit is None else (training,)  # of one split
        for source in read:
            if source is not None and config.on_bad_record == "stop":
                require_labels(source.reader, info, source.order.num_records)
        if training.augment is not None and is_custom(config.augment):
            require_repeatable(config.augment, training)
        return cls(
            config=config, info=info, datasets=datasets, training=training, validation=validation
        )

    @property
    def validation_records(self) -> list[int]:
        """Records of each dataset in the validation split, where it is that of several."""
        if not self.parts:
            return []
        found = {part.number: part.records for part in self.parts}
        return [found.get(number, 0) for number in range(1, len(self.datasets) + 1)]

    @property
    def parts(self) -> list[Part]:
        """The validation split's parts, where it is that of several datasets."""
        if len(self.datasets) == 1 or self.config.overfit is not None:
            return []
        return [
            Part(number=number, path=one.path, records=one.info.num_records("validation"))
            for number, one in enumerate(self.datasets, 1)
            if "validation" in one.info.splits
        ]

    @property
    def fed(self) -> BatchSource:
        """Batches to train on as the model takes them: it may be the one that changes them."""
        return fed_batches(self.training, self.config.augment, self.config.augment_on)

    @property
    def readers(self) -> list[RecordReader]:
        """Readers of all splits."""
        return [source.reader for source in (self.training, self.validation) if source]

    @property
    def options(self) -> dict[str, Any]:
        """The options, those that depend on the dataset resolved, and its id."""
        return {
            **asdict(self.config),
            "dataset": absolute(self.config.dataset),
            "more_datasets": [absolute(path) for path in self.config.more_datasets],
            "cache": self.config.cache and os.path.abspath(self.config.cache),
            "weights": self.config.weights and absolute(self.config.weights),
            "weights_digest": self.weights_digest,
            **_identity([dataset.info.dataset_id for dataset in self.datasets]),
            "window": self.training.order.window,
            "head": resolved_head(self.config, self.info),
            "precision": resolved_precision(self.config.precision),
        }

    def model(self) -> keras.Model:
        """Returns the model with fresh weights.

        Raises:
            UsageError: It cannot be built.
        """
        counts = None
        if self.config.class_balance:
            counts = count_classes(self.training.reader, self.info)
        return build_compiled(self.config, self.info, self.training.num_steps, counts)


def unchangeable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of a run's options that a resume must have again."""
    return {name: value for name, value in options.items() if name not in (*CHANGEABLE, *OF_PLACES)}


def _identity(ids: Sequence[str]) -> dict[str, Any]:
    """Returns what config.json says of the datasets: one id, and if they are several each."""
    if len(ids) == 1:
        return {"dataset_id": ids[0]}
    return {"dataset_id": sha256(" ".join(ids).encode()).hexdigest(), "dataset_ids": list(ids)}


def _require_each_once(datasets: Sequence[OpenDataset]) -> None:
    """Raises `UsageError` if a dataset was named twice; shares say what shall come more often."""
    seen: dict[str, str] = {}
    for dataset in datasets:
        other = seen.get(dataset.info.dataset_id)
        if other is not None:
            raise UsageError(
                f"{dataset.path}: the same dataset as {other}. Name it once; --shares says how "
                "often its records come."
            )
        seen[dataset.info.dataset_id] = dataset.path


def _refuse_without_validation(config: TrainConfig) -> None:
    """Raises `UsageError` for an option that asks what only a validation split can tell."""
    for flag, value in (("--patience", config.patience), ("--target", config.target)):
        if value is not None:
            raise UsageError(
                f"{flag} needs a validation split, {config.dataset} has none. Leave it out, "
                "or convert again with --split train=0.9,validation=0.1."
            )
