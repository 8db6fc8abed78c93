"""A model, ready to be trained, from options and a dataset's description."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convert.metadata import DatasetInfo
from train.config import Head, TrainConfig
from train.errors import UsageError
from train.evaluate import blanks_of

if TYPE_CHECKING:
    import keras

# Read by TensorFlow and XLA when they choose their first kernel; on CPUs neither changes anything
# that could differ from run to run.
_DETERMINISTIC = {
    "TF_DETERMINISTIC_OPS": "1",
    "XLA_FLAGS": "--xla_gpu_deterministic_ops=true",
}


def use_deterministic_kernels() -> None:
    """Makes every kernel give the same bits each time; before Keras has computed anything.

    `tf.config.experimental.enable_op_determinism` would do so too, but it also serialises the
    reading of data, whose order is fixed anyway.
    """
    for name, value in _DETERMINISTIC.items():
        if value not in os.environ.get(name, ""):
            os.environ[name] = f"{os.environ.get(name, '')} {value}".strip()


def resolved_head(config: TrainConfig, info: DatasetInfo) -> Head:
    """Returns the kind of head that the model gets.

    Raises:
        UsageError: The dataset's outputs cannot share one.
    """
    vocabularies = set(info.outputs.values())
    if config.head == "shared" and len(vocabularies) > 1:
        raise UsageError(
            f"--head shared needs one vocabulary for all outputs, {config.dataset} has "
            f"{len(vocabularies)}. Use --head separate."
        )
    if config.head == "auto":
        return "shared" if len(vocabularies) == 1 else "separate"
    return config.head


def build_compiled(config: TrainConfig, info: DatasetInfo, steps_per_epoch: int) -> keras.Model:
    """Returns the model with fresh weights, all its variables made, ready to be fitted.

    Raises:
        UsageError: An output's name is not possible, or the head does not fit.
    """
    import keras

    from train.metrics import Recogniser, SparseCrossentropy
    from train.model import build_model
    from train.state import build_state

    keras.utils.set_random_seed(config.seed)
    try:
        network = build_model(
            info.image_shape,
            {output: len(classes) for output, classes in info.classes.items()},
            name=config.model,
            head=resolved_head(config, info),
            seed=config.seed,
        )
    except ValueError as error:  # Keras cannot use every column's name for an output
        raise UsageError(f"{config.dataset}: {error} Rename the label columns.") from error
    blanks = dict(zip(info.outputs, blanks_of(info), strict=True))
    model = Recogniser(network.input, network.output, blanks=blanks, name=config.model)
    losses = {output: SparseCrossentropy(config.label_smoothing) for output in info.outputs}
    model.compile(optimizer=_optimizer(config, steps_per_epoch), loss=losses)
    build_state(model)
    return model


def schedule(
    config: TrainConfig, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate as a function of the steps that are done."""
    import keras

    steps = config.epochs * steps_per_epoch
    warmup = int(steps * config.warmup)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def _optimizer(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Returns AdamW with that schedule."""
    import keras

    optimizer = keras.optimizers.AdamW(
        schedule(config, steps_per_epoch),
        weight_decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
    )
    # Decaying scales and offsets pulls normalised features to zero without making them simpler.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
