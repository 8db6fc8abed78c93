"""The options of a training run: each field is one flag of `train`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from convert.errors import require, require_choice

Head = Literal["auto", "shared", "separate"]
ModelName = Literal["resnet10", "resnet18", "resnet34", "cnn"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Augmentation = Literal["none", "light", "default", "strong"]
AugmentOn = Literal["auto", "host", "device"]
VerifyRecords = Literal["off", "first", "always"]
OnBadRecord = Literal["stop", "skip"]

CHANGEABLE = (
    "dataset", "epochs", "patience", "target", "max_minutes", "checkpoint_minutes",
    "keep_checkpoints", "augment_on", "verify_records", "on_bad_record", "manifest", "cache",
    "cache_bytes",
)  # fmt: skip
"""The options that a run may be resumed with other values of."""

YOUNGER = ("weights", "more_datasets", "shares", "leave_out", "augment_on")
"""Options that the first runs did not have: the config.json of such a run goes without them."""

FINE_TUNING = {"learning_rate": 3e-4, "warmup": 0.1}
"""Defaults that `weights` changes: what was learned before must survive the first epochs."""

OF_PLACES = ("run", "more_datasets")
"""Options that only say where something is: a resume compares what is there."""

TARGETS = ("exact", "character_accuracy")
"""The metrics of the validation split that `target` may name."""

_WIDEST = 16.0  # times the channels: beyond, one layer takes gigabytes


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """What to train and how; the defaults learn on sets of 1,000 images.

    Attributes:
        dataset: Folder that `convert` made.
        more_datasets: Others, to train on all of them.
        shares: Their shares of the records, in any unit, one for each dataset. None: each record
            comes once an epoch.
        run: Folder to make. None: the next free number under `runs/`.
        epochs: Times that the training split is gone through. At least 1.
        batch_size: Images of a step. At least 1.
        learning_rate: Peak of the schedule: linear warm-up, then half a cosine down to 0.
        weight_decay: Decoupled decay of kernels, as in AdamW. At least 0.
        warmup: Share of all steps that the warm-up takes. In [0, 1).
        label_smoothing: Share of the target spread over all classes. In [0, 1).
        clip_norm: Largest global norm of a step's gradient. Above 0.
        gradient_accumulation: Batches whose mean gradient makes one change of the weights. At
            least 1.
        ema: Momentum of the moving average of the weights, which is what is validated and saved;
            lower in the first steps. In [0, 1); 0: there is no average.
        class_balance: How far training acts as if each class were equally frequent. In [0, 1].
        model: Name of the network, or `module:function` of a function of the user's.
        width: What the network's numbers of channels are multiplied with. Above 0.
        precision: What layers compute in; weights and logits are float32 always. `auto`: bfloat16
            on an accelerator, float32 on a CPU.
        weights: A run, or a `.keras` file, whose weights are the first ones, as far as they fit.
            None: the first weights are random.
        head: One classifier for all outputs (`shared`), or one each (`separate`). `auto`: shared
            where the outputs have one vocabulary.
        augment: How far training images are changed at random: `none`, `light`, `default` or
            `strong`, or `module:function` of a function of the user's.
        augment_on: What changes them: the `host`, ahead of training, or the `device` that trains,
            in its steps; both make the same bytes. `auto`: the device if it is an accelerator and
            the function is not the user's.
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.
        seed: Of initial weights, order, dropout and augmentation. In [0, 2**32).
        patience: Epochs without a better one after which to stop. None: go through all.
        target: `exact=SHARE` or `character_accuracy=SHARE` of the validation split; with the
            first epoch that reaches it the run is complete. None: go through all.
        max_minutes: Minutes after which this session stops with a checkpoint. None: no limit.
        overfit: Records, the first of the training split, to train and validate on, unchanged: a
            network that does not learn these by heart has a mistake. None: train properly.
        checkpoint_minutes: Minutes from one checkpoint to the next; each epoch's end has one
            besides. 0: after every step.
        keep_checkpoints: Newest checkpoints that stay. At least 1.
        leave_out: `K/N`: do not train on the K-th, from 1, of N equal parts of the training split,
            which are chosen at random. None: train on all.
        deterministic: Whether to use only kernels that always give the same bits. On CPUs those
            are the usual ones; on a GPU they are slower.
        verify_records: Whether to compare a record's CRC the `first` time that it is read,
            `always`, or never (`off`).
        on_bad_record: `stop`, or `skip`: reads another record in place of a bad one.
        manifest: The dataset's manifest, so that messages can name a bad record's source.
        cache: A folder on a fast disk that shards are read through. None: for a dataset on HDFS
            one in the user's cache, for others none.
        cache_bytes: What the cache may take. None: half of what is free there, with what it has.
    """

    dataset: str
    more_datasets: tuple[str, ...] = ()
    shares: tuple[float, ...] | None = None
    run: str | None = None
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    gradient_accumulation: int = 1
    ema: float = 0.999
    class_balance: float = 0.0
    model: str = "resnet10"
    width: float = 1.0
    precision: Precision = "auto"
    head: Head = "auto"
    weights: str | None = None
    augment: str = "default"
    augment_on: AugmentOn = "auto"
    window: int | None = None
    seed: int = 0
    patience: int | None = None
    target: str | None = None
    max_minutes: float | None = None
    overfit: int | None = None
    leave_out: str | None = None
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    deterministic: bool = False
    verify_records: VerifyRecords = "first"
    on_bad_record: OnBadRecord = "stop"
    manifest: str | None = None
    cache: str | None = None
    cache_bytes: int | None = None

    @property
    def images_per_step(self) -> int:
        """Images of a step of training, those of all devices together."""
        return min(self.batch_size, self.overfit or self.batch_size)

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_numbers()
        self._check_choices()
        self._check_shares()
        _ = self.stopping_target, self.left_out  # checks them

    @classmethod
    def given(cls, options: Mapping[str, Any]) -> TrainConfig:
        """Returns options of which a user gave some; defaults for the others."""
        usual = {} if options.get("weights") is None else FINE_TUNING
        return cls(**{**usual, **options})

    @property
    def datasets(self) -> tuple[str, ...]:
        """All datasets, in the order in which they were named."""
        return self.dataset, *self.more_datasets

    @property
    def stopping_target(self) -> tuple[str, float] | None:
        """The metric that `target` names, and its value."""
        return None if self.target is None else parse_target(self.target)

    @property
    def left_out(self) -> tuple[int, int] | None:
        """The part that `leave_out` names, counted from 0, and the number of parts."""
        return None if self.leave_out is None else parse_part(self.leave_out)

    def _check_counts(self) -> None:
        for flag, value in (
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--gradient-accumulation", self.gradient_accumulation),
            ("--window", 1 if self.window is None else self.window),
            ("--patience", 1 if self.patience is None else self.patience),
            ("--overfit", 1 if self.overfit is None else self.overfit),
            ("--keep-checkpoints", self.keep_checkpoints),
            ("--cache-bytes", 1 if self.cache_bytes is None else self.cache_bytes),
        ):
            require(value >= 1, f"{flag} must be at least 1, got {value}.")
        # Keras takes seeds of 32 bits.
        require(0 <= self.seed < 1 << 32, f"--seed must be in [0, 2**32), got {self.seed}.")

    def _check_numbers(self) -> None:
        minutes = 1.0 if self.max_minutes is None else self.max_minutes
        for flag, value, holds, expected in (
            ("--learning-rate", self.learning_rate, 0 < self.learning_rate <= 10, "in (0, 10]"),
            ("--weight-decay", self.weight_decay, self.weight_decay >= 0, "0 or more"),
            ("--warmup", self.warmup, 0 <= self.warmup < 1, "in [0, 1)"),
            ("--label-smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("--clip-norm", self.clip_norm, self.clip_norm > 0, "above 0"),
            ("--ema", self.ema, 0 <= self.ema < 1, "in [0, 1)"),
            ("--class-balance", self.class_balance, 0 <= self.class_balance <= 1, "in [0, 1]"),
            ("--width", self.width, 0 < self.width <= _WIDEST, f"in (0, {_WIDEST:g}]"),
            ("--max-minutes", minutes, 0 < minutes < math.inf, "above 0"),
            (
                "--checkpoint-minutes",
                self.checkpoint_minutes,
                0 <= self.checkpoint_minutes < math.inf,
                "0 or more",
            ),
        ):
            require(holds, f"{flag} must be {expected}, got {value:g}.")

    def _check_shares(self) -> None:
        if self.shares is None:
            return
        count = len(self.datasets)
        require(count > 1, "--shares needs several datasets: `train A B --shares 3,1`.")
        require(
            len(self.shares) == count and all(0 < share < math.inf for share in self.shares),
            f"--shares must be {count} numbers above 0, one for each dataset, got "
            f"{','.join(f'{share:g}' for share in self.shares)}.",
        )
        require(self.overfit is None, "--shares and --overfit exclude each other.")

    def _check_choices(self) -> None:
        for flag, choice, choices in (
            ("--precision", self.precision, Precision),
            ("--head", self.head, Head),
            ("--augment-on", self.augment_on, AugmentOn),
            ("--verify-records", self.verify_records, VerifyRecords),
            ("--on-bad-record", self.on_bad_record, OnBadRecord),
        ):
            require_choice(flag, choice, choices)
        require(
            self.overfit is None or self.leave_out is None,
            "--overfit and --leave-out exclude each other: the first trains on a few records only.",
        )
        for flag, name, kind in (
            ("--model", self.model, ModelName),
            ("--augment", self.augment, Augmentation),
        ):
            require(
                name in get_args(kind) or is_custom(name),
                f"{flag} must be one of {', '.join(get_args(kind))}, or module:function, "
                f"got {name!r}.",
            )
        require(
            self.augment_on != "device" or not is_custom(self.augment),
            f"--augment-on device: {self.augment} is a function of your own, which only the host "
            "can call. Use --augment-on host, or one of the strengths "
            f"{', '.join(get_args(Augmentation)[1:])}.",
        )


def is_custom(name: object) -> bool:
    """Returns whether a name is that of a function of the user's: `module:function`."""
    return isinstance(name, str) and ":" in name


def renamed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a run's options as this version names them: `augment` was True or False once."""
    names = {True: "default", False: "none"}
    augment = options.get("augment")
    return {**options, **({"augment": names[augment]} if isinstance(augment, bool) else {})}


def parse_target(target: str) -> tuple[str, float]:
    """Returns the metric that a target names, and its value.

    Raises:
        UsageError: It is not written `METRIC=SHARE`, with a metric of `TARGETS`.
    """
    name, _, value = target.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    require(
        name in TARGETS and 0 < share <= 1,
        f"--target must be {' or '.join(f'{known}=SHARE' for known in TARGETS)} with a share in "
        f"(0, 1], got {target!r}.",
    )
    return name, share


def parse_part(text: str) -> tuple[int, int]:
    """Returns which of how many parts a text such as `1/3` names; the first one is 0.

    Raises:
        UsageError: It names none.
    """
    part = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, count = map(int, part.groups()) if part else (0, 0)
    require(
        1 <= number <= count >= 2,
        f"--leave-out must be K/N with 1 <= K <= N and N at least 2, such as 1/3, got {text!r}.",
    )
    return number - 1, count
