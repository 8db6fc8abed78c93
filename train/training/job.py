"""Options, splits and model of one training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import keras

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from convert.storage.places import absolute
from train.config import CHANGEABLE, TrainConfig
from train.errors import UsageError
from train.evaluation.evaluate import BATCH_SIZE
from train.input.open_source import open_batches
from train.input.options import SourceArguments
from train.model.build import build_compiled, resolved_head, use_deterministic_kernels
from train.model.precision import resolved_precision
from train.records.batches import BatchSource
from train.records.class_counts import count_classes
from train.records.folds import Fold
from train.records.labels import require_labels, require_sense
from train.records.reader import RecordReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is trained, opened and checked.

    Attributes:
        config: The options.
        info: The dataset's description.
        training: Batches to train on.
        validation: Batches to validate on, or None.
    """

    config: TrainConfig
    info: DatasetInfo
    training: BatchSource
    validation: BatchSource | None

    @classmethod
    def open(cls, config: TrainConfig, dataset: OpenDataset | None = None) -> Job:
        """Opens the splits of a dataset, all of one folder.

        Args:
            config: The options.
            dataset: The dataset. None: it is opened here.

        Raises:
            UsageError: An option or the dataset's splits do not fit.
            FormatError: The dataset is no valid one.
            RecordError: A label is out of range, or a record damaged whose label is read.
        """
        if config.deterministic:
            use_deterministic_kernels()
        dataset = dataset or open_dataset(config.dataset)
        info = dataset.info
        asked = partial(
            SourceArguments,
            dataset,
            verify_records=config.verify_records,
            on_bad_record=config.on_bad_record,
            manifest=config.manifest,
            limit=config.overfit,
            cache=config.cache,
            cache_bytes=config.cache_bytes,
        )
        training = open_batches(
            asked(
                "train",
                min(config.batch_size, config.overfit or config.batch_size),
                config.seed,
                augment=config.augment and config.overfit is None,
                window=config.window,
            ),
            Fold(*config.left_out).others if config.left_out else None,
        )
        validation = None
        split = "validation" if config.overfit is None else "train"
        if split in info.splits:
            validation = open_batches(asked(split, BATCH_SIZE, shuffle=False))
        else:
            _refuse_without_validation(config)
        require_sense(config.dataset, info)
        read = (training, validation) if config.overfit is None else (training,)  # of one split
        for source in read:
            if source is not None and config.on_bad_record == "stop":
                require_labels(source.reader, info, source.order.num_records)
        return cls(config=config, info=info, training=training, validation=validation)

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
            "cache": self.config.cache and os.path.abspath(self.config.cache),
            "dataset_id": self.info.dataset_id,
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
    return {name: value for name, value in options.items() if name not in (*CHANGEABLE, "run")}


def _refuse_without_validation(config: TrainConfig) -> None:
    """Raises `UsageError` for an option that asks what only a validation split can tell."""
    for flag, value in (("--patience", config.patience), ("--target", config.target)):
        if value is not None:
            raise UsageError(
                f"{flag} needs a validation split, {config.dataset} has none. Leave it out, "
                "or convert again with --split train=0.9,validation=0.1."
            )
