"""One flag for each field of `TrainConfig`, for the verbs that train."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from train.cli.startup import CACHE, CACHE_BYTES, NO_CACHE, NO_CACHE_BYTES, size
from train.config import (
    CHANGEABLE,
    FINE_TUNING,
    TARGETS,
    Augmentation,
    AugmentOn,
    Head,
    ModelName,
    OnBadRecord,
    Precision,
    TrainConfig,
    VerifyRecords,
)

_NUMBERS = (
    ("epochs", "N", int, "times to go through the training split"),
    ("batch_size", "N", int, "images of a step"),
    ("learning_rate", "RATE", float, "peak of warm-up and cosine decay"),
    ("weight_decay", "RATE", float, "decoupled decay of kernels"),
    ("warmup", "SHARE", float, "share of the steps that the warm-up takes"),
    ("label_smoothing", "SHARE", float, "share of the target spread over all classes"),
    ("clip_norm", "NORM", float, "largest global norm of a gradient"),
    ("gradient_accumulation", "N", int, "batches whose mean gradient makes one step"),
    ("ema", "MOMENTUM", float, "momentum of the moving average of the weights; 0: no average"),
    (
        "class_balance",
        "SHARE",
        float,
        "how far rare classes weigh more: 0 not at all, 1 as if all were equally frequent",
    ),
    ("width", "FACTOR", float, "multiplies the network's numbers of channels"),
    ("seed", "N", int, "seed of weights, order, dropout and augmentation"),
    ("window", "N", int, "records shuffled as one"),
    ("patience", "N", int, "stop after N epochs that were not better than the best"),
    ("max_minutes", "MINUTES", float, "stop after so long, with a checkpoint"),
    ("overfit", "N", int, "learn N records by heart, to find mistakes"),
    ("checkpoint_minutes", "MINUTES", float, "time between checkpoints; 0: at each step"),
    ("keep_checkpoints", "N", int, "number of newest checkpoints to keep"),
    ("cache_bytes", "SIZE", size, CACHE_BYTES),
)
_CHOICES = (
    ("precision", Precision, "number format that layers compute in"),
    ("head", Head, "classifier for all outputs, or one each"),
    ("augment_on", AugmentOn, "what changes the images; auto: device on an accelerator, else host"),
    ("verify_records", VerifyRecords, "when to compare a record's CRC"),
    ("on_bad_record", OnBadRecord, "stop at a bad record, or use another one in its place"),
)
_TEXTS = (
    ("model", "NAME", f"{', '.join(get_args(ModelName))}, or module:function of your own"),
    ("weights", "RUN", "run or .keras file whose weights to begin with"),
    ("augment", "NAME", f"{', '.join(get_args(Augmentation))}, or module:function of your own"),
    ("target", "METRIC=SHARE", f"stop when {' or '.join(TARGETS)} on validation reaches it"),
    ("leave_out", "K/N", "do not train on the K-th of N parts of the split, as folds of audit do"),
    ("manifest", "FILE", "the dataset's manifest: messages name a bad record's source"),
    ("cache", "DIR", CACHE),
)
_SWITCHES = (
    ("augment", "--no-augment", "none", "the same as --augment none"),
    ("deterministic", "--deterministic", True, "use only kernels that always give the same bits"),
)
_WITHOUT_A_VALUE = {
    "window": "as many as 4 GiB hold",
    "weights": "random ones",
    "shares": "each record once an epoch",
    "patience": "go through all epochs",
    "target": "go through all epochs",
    "max_minutes": "no limit",
    "overfit": "train properly",
    "leave_out": "train on all",
    "manifest": "messages name rows only",
    "cache": NO_CACHE,
    "cache_bytes": NO_CACHE_BYTES,
}


def add_options(parser: argparse.ArgumentParser, *, resumed: bool = False) -> None:
    """Adds the flags; those that are not given become None.

    Args:
        parser: Of a verb.
        resumed: Whether a run's options are the defaults; `--help` then shows only what may change.
    """
    defaults = {field.name: field.default for field in fields(TrainConfig)}

    def told(name: str, text: str) -> str:
        if not resumed:
            usual = str(_WITHOUT_A_VALUE.get(name, defaults[name]))
            if name in FINE_TUNING:
                usual += f", with --weights {FINE_TUNING[name]}"
            return f"{text} (default: {usual})"
        return f"{text} (default: the run's)" if name in CHANGEABLE else argparse.SUPPRESS

    for name, metavar, kind, text in _NUMBERS:
        parser.add_argument(_flag(name), type=kind, metavar=metavar, help=told(name, text))
    for name, metavar, text in _TEXTS:
        parser.add_argument(_flag(name), metavar=metavar, help=told(name, text))
    for name, choices, text in _CHOICES:
        parser.add_argument(_flag(name), choices=get_args(choices), help=told(name, text))
    parser.add_argument(
        "--shares",
        metavar="N,N,...",
        type=lambda text: tuple(map(float, text.split(","))),
        help=told("shares", "shares of several datasets, such as 3,1"),
    )
    for name, flag, value, text in _SWITCHES:
        parser.add_argument(
            flag,
            dest=name,
            action="store_const",
            const=value,
            help=argparse.SUPPRESS if resumed else text,
        )


def given_options(namespace: argparse.Namespace) -> dict[str, Any]:
    """Returns the fields of `TrainConfig` that a command line names."""
    values = {field.name: getattr(namespace, field.name, None) for field in fields(TrainConfig)}
    if values["dataset"] is not None:
        values["dataset"], *more = values["dataset"]
        values["more_datasets"] = tuple(more)
    return {name: value for name, value in values.items() if value is not None}


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Returns words that name options, of which `given_options` makes the same again.

    Args:
        options: {field of `TrainConfig`: value}, without datasets and run.
    """
    words = []
    for name, value in options.items():
        if value is True:
            words += [_flag(name)]
        else:
            text = ",".join(map(repr, value)) if isinstance(value, tuple) else str(value)
            words += [f"{_flag(name)}={text}"]
    return words


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
