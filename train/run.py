"""A training run from start to end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.metadata import DatasetInfo
from convert.storage import read_dataset
from train.config import TrainConfig
from train.errors import UsageError
from train.evaluate import BATCH_SIZE, blanks_of
from train.folder import RunFolder
from train.input import InputClock, as_tf_dataset, reader_failure
from train.loading import open_source
from train.order import default_window
from train.source import BatchSource

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What a run came to.

    Attributes:
        run: Its folder.
        epochs: Epochs done.
        steps: Steps done.
        best: Row of history.csv of the best epoch.
        images_per_second: Median over the epochs.
        input_wait: Share of the training time spent waiting for input. In [0, 1].
        seconds: Time from start to end.
    """

    run: str
    epochs: int
    steps: int
    best: dict[str, Any]
    images_per_second: float
    input_wait: float
    seconds: float


def train_model(config: TrainConfig, say: Callable[[str], None] = lambda line: None) -> TrainResult:
    """Trains a model on a dataset, into a new run folder.

    Args:
        config: What and how.
        say: Called with one line for each thing a user may want to know meanwhile.

    Raises:
        UsageError: An option or the dataset's splits do not fit.
        FormatError: The dataset is no valid one.
        RecordError: A record is damaged.
        DivergedError: The loss became infinite or not a number.
    """
    started = time.monotonic()
    info = read_dataset(config.dataset)
    training, validation = _open_splits(config, info)
    # Before there is a folder: what cannot be built leaves nothing behind.
    model = _compiled(config, info, training.num_steps)
    run = RunFolder.create(config.run)

    def tell(line: str) -> None:
        run.log(line)
        say(line)

    window = config.window or default_window(training.reader.num_records, info.layout.stride)
    run.write_start(
        config,
        info,
        dataset=os.path.abspath(config.dataset),
        window=window,
        head=_head(config, info),
    )
    tell(_opening(config, info, training, validation, run))
    with reader_failure(training.reader):
        recorder = _fit(model, config, blanks_of(info), training, validation, run, tell)
    return _result(run, recorder.history, recorder.best_row, time.monotonic() - started)


def _open_splits(config: TrainConfig, info: DatasetInfo) -> tuple[BatchSource, BatchSource | None]:
    """Opens the training split, and the validation split where there is one."""
    training = open_source(
        config.dataset,
        "train",
        config.batch_size,
        config.seed,
        augment=config.augment,
        window=config.window,
    )
    if "validation" not in info.splits:
        return training, None
    return training, open_source(config.dataset, "validation", BATCH_SIZE, seed=0, shuffle=False)


def _head(config: TrainConfig, info: DatasetInfo) -> str:
    """Returns the resolved kind of head."""
    shared = len(set(info.outputs.values())) == 1
    if config.head == "shared" and not shared:
        raise UsageError(
            f"--head shared needs one vocabulary for all outputs, {config.dataset} has "
            f"{len(set(info.outputs.values()))}. Use --head separate."
        )
    return ("shared" if shared else "separate") if config.head == "auto" else config.head


def _opening(
    config: TrainConfig,
    info: DatasetInfo,
    training: BatchSource,
    validation: BatchSource | None,
    run: RunFolder,
) -> str:
    height, width, channels = info.image_shape
    classes = sorted({len(classes) for classes in info.classes.values()})
    held_out = (
        f"{validation.reader.num_records:,} to validate on"
        if validation
        else "no validation split, so the last epoch counts as the best"
    )
    return (
        f"{run.path}: {training.reader.num_records:,} images {width}x{height}x{channels} to train "
        f"on, {held_out}; {len(info.outputs)} outputs of {'/'.join(map(str, classes))} classes; "
        f"{config.epochs} epochs of {training.num_steps} steps"
    )


def _fit(
    model: keras.Model,
    config: TrainConfig,
    blanks: Sequence[int | None],
    training: BatchSource,
    validation: BatchSource | None,
    run: RunFolder,
    tell: Callable[[str], None],
) -> Any:
    """Runs Keras' `fit`; returns the recorder."""
    from train import callbacks
    from train.metrics import plain

    clock = InputClock()
    meter = callbacks.EpochMeter(clock, config.batch_size)
    events = callbacks.open_events(run)
    recorder = callbacks.RunRecorder(run, validation, blanks, meter, plain, events)
    progress = callbacks.ProgressLine(config.epochs, training.num_steps, meter, recorder, tell)
    try:
        model.fit(
            as_tf_dataset(training, clock=clock),
            epochs=config.epochs,
            shuffle=False,  # the order is ours
            verbose=0,
            callbacks=[recorder, progress],
        )
    finally:
        events.close()
    return recorder


def _compiled(config: TrainConfig, info: DatasetInfo, steps_per_epoch: int) -> keras.Model:
    """Returns the model, ready to be fitted."""
    import keras

    from train.metrics import Recogniser, SparseCrossentropy
    from train.model import build_model

    keras.utils.set_random_seed(config.seed)
    try:
        network = build_model(
            info.image_shape,
            {output: len(classes) for output, classes in info.classes.items()},
            name=config.model,
            head=_head(config, info),
            seed=config.seed,
        )
    except ValueError as error:  # Keras cannot use every column's name for an output
        raise UsageError(f"{config.dataset}: {error} Rename the label columns.") from error
    blanks = dict(zip(info.outputs, blanks_of(info), strict=True))
    model = Recogniser(network.input, network.output, blanks=blanks, name=config.model)
    steps = config.epochs * steps_per_epoch
    warmup = int(steps * config.warmup)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
    )
    # Decaying scales and offsets pulls normalised features to zero without making them simpler.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    losses = {output: SparseCrossentropy(config.label_smoothing) for output in info.outputs}
    model.compile(optimizer=optimizer, loss=losses)
    return model


def _result(
    run: RunFolder, history: list[dict[str, Any]], best: dict[str, Any], seconds: float
) -> TrainResult:
    rates = sorted(row["images_per_second"] for row in history)
    trained = sum(row["seconds"] for row in history)
    return TrainResult(
        run=run.path,
        epochs=len(history),
        steps=history[-1]["step"],
        best=best,
        images_per_second=rates[len(rates) // 2],
        input_wait=sum(row["input_wait"] * row["seconds"] for row in history) / trained,
        seconds=seconds,
    )
