"""The options of a training run: each field is one flag of `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from train.errors import UsageError

Head = Literal["auto", "shared", "separate"]
ModelName = Literal["resnet10"]


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

    def __post_init__(self) -> None:
        for flag, value in (
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--window", 1 if self.window is None else self.window),
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
            self.model in get_args(ModelName),
            f"--model must be one of {', '.join(get_args(ModelName))}, got {self.model!r}.",
        )
        _require(
            self.head in get_args(Head),
            f"--head must be one of {', '.join(get_args(Head))}, got {self.head!r}.",
        )
        # Keras takes seeds of 32 bits.
        _require(0 <= self.seed < 1 << 32, f"--seed must be in [0, 2**32), got {self.seed}.")


def _require(condition: bool, message: str) -> None:
    """Raises `UsageError` with a message unless a condition holds."""
    if not condition:
        raise UsageError(message)
