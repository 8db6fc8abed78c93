"""The options of a training run: each field is one flag of `train`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from train.errors import UsageError

Head = Literal["auto", "shared", "separate"]
ModelName = Literal["resnet10"]
VerifyRecords = Literal["off", "first", "always"]
OnBadRecord = Literal["stop", "skip"]

CHANGEABLE = (
    "dataset", "epochs", "patience", "checkpoint_minutes", "keep_checkpoints", "verify_records",
    "on_bad_record", "manifest",
)  # fmt: skip
"""The options that a run may be resumed with other values of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """What to train and how; the defaults learn on sets of 1,000 images.

    Attributes:
        dataset: Folder that `convert` made.
        run: Folder to make. None: the next free number under `runs/`.
        epochs: Times that the training split is gone through. At least 1.
        batch_size: Images of a step. At least 1.
        learning_rate: Peak of the schedule: linear warm-up, then half a cosine down to 0.
        weight_decay: Decoupled decay of kernels, as in AdamW. At least 0.
        warmup: Share of all steps that the warm-up takes. In [0, 1).
        label_smoothing: Share of the target spread over all classes. In [0, 1).
        clip_norm: Largest global norm of a step's gradient. Above 0.
        model: Name of the network.
        head: One classifier for all outputs (`shared`), or one each (`separate`). `auto`: shared
            where the outputs have one vocabulary.
        augment: Whether to change training images at random.
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.
        seed: Of initial weights, order, dropout and augmentation. In [0, 2**32).
        patience: Epochs without a better one after which to stop. None: go through all.
        checkpoint_minutes: Minutes from one checkpoint to the next; each epoch's end has one
            besides. 0: after every step.
        keep_checkpoints: Newest checkpoints that stay. At least 1.
        deterministic: Whether to use only kernels that always give the same bits. On CPUs those
            are the usual ones; on a GPU they are slower.
        verify_records: Whether to compare a record's CRC the `first` time that it is read,
            `always`, or never (`off`).
        on_bad_record: `stop`, or `skip`: another record stands in for a bad one.
        manifest: The dataset's manifest, so that messages can name a bad record's source.
    """

    dataset: str
    run: str | None = None
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    model: ModelName = "resnet10"
    head: Head = "auto"
    augment: bool = True
    window: int | None = None
    seed: int = 0
    patience: int | None = None
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    deterministic: bool = False
    verify_records: VerifyRecords = "first"
    on_bad_record: OnBadRecord = "stop"
    manifest: str | None = None

    def __post_init__(self) -> None:
        for flag, value in (
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--window", 1 if self.window is None else self.window),
            ("--patience", 1 if self.patience is None else self.patience),
            ("--keep-checkpoints", self.keep_checkpoints),
        ):
            _require(value >= 1, f"{flag} must be at least 1, got {value}.")
        _require(
            0 < self.learning_rate <= 10,
            f"--learning-rate must be in (0, 10], got {self.learning_rate:g}.",
        )
        _require(
            self.weight_decay >= 0, f"--weight-decay must be 0 or more, got {self.weight_decay:g}."
        )
        _require(0 <= self.warmup < 1, f"--warmup must be in [0, 1), got {self.warmup:g}.")
        _require(
            0 <= self.label_smoothing < 1,
            f"--label-smoothing must be in [0, 1), got {self.label_smoothing:g}.",
        )
        _require(self.clip_norm > 0, f"--clip-norm must be above 0, got {self.clip_norm:g}.")
        _require(
            0 <= self.checkpoint_minutes < math.inf,
            f"--checkpoint-minutes must be 0 or more, got {self.checkpoint_minutes:g}.",
        )
        for flag, choice, choices in (
            ("--model", self.model, ModelName),
            ("--head", self.head, Head),
            ("--verify-records", self.verify_records, VerifyRecords),
            ("--on-bad-record", self.on_bad_record, OnBadRecord),
        ):
            _require(
                choice in get_args(choices),
                f"{flag} must be one of {', '.join(get_args(choices))}, got {choice!r}.",
            )
        # Keras takes seeds of 32 bits.
        _require(0 <= self.seed < 1 << 32, f"--seed must be in [0, 2**32), got {self.seed}.")


def _require(condition: bool, message: str) -> None:
    """Raises `UsageError` with a message unless a condition holds."""
    if not condition:
        raise UsageError(message)
