"""The options of `train bench`: each field is one flag."""

from __future__ import annotations

from dataclasses import dataclass, fields

from train.config import AugmentOn, Head, Precision, TrainConfig
from train.errors import UsageError

_LONGEST_SECONDS = 3600.0  # no number gets better by waiting longer


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What to measure; all but `seconds` mean what they mean in `TrainConfig`.

    Attributes:
        dataset: Folder that `convert` made.
        batch_size: Images of a step. At least 1.
        model: Name of the network, or `module:function`.
        width: What its numbers of channels are multiplied with. Above 0.
        precision: What layers compute in.
        head: `shared`, `separate`, or `auto`.
        augment: How far the images are changed at random, or `module:function`.
        augment_on: Where they are changed.
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.
        seed: Of initial weights, order, dropout and augmentation. In [0, 2**32).
        seconds: Time that each part may take. In (0, 3600].
        cache: A folder on a fast disk that shards are read through.
        cache_bytes: What it may take.
    """

    dataset: str
    batch_size: int = 32
    model: str = "resnet10"
    width: float = 1.0
    precision: Precision = "auto"
    head: Head = "auto"
    augment: str = "default"
    augment_on: AugmentOn = "auto"
    window: int | None = None
    seed: int = 0
    seconds: float = 5.0
    cache: str | None = None
    cache_bytes: int | None = None

    def __post_init__(self) -> None:
        _ = self.training  # checks its values
        if not 0 < self.seconds <= _LONGEST_SECONDS:
            raise UsageError(
                f"--seconds must be in (0, {_LONGEST_SECONDS:g}], got {self.seconds:g}."
            )

    @property
    def training(self) -> TrainConfig:
        """The training that is measured."""
        shared = [field.name for field in fields(self) if field.name != "seconds"]
        return TrainConfig(**{name: getattr(self, name) for name in shared})
