"""A model, ready to be trained, from options and a dataset's description."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from convert.dataset.info import DatasetInfo
from train.config import Head, Precision, TrainConfig, is_custom
from train.errors import UsageError
from train.records.count_classes import ClassCounts
from train.records.texts import blanks_of

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


def build_compiled(
    config: TrainConfig,
    info: DatasetInfo,
    steps_per_epoch: int,
    class_counts: ClassCounts | None = None,
) -> keras.Model:
    """Returns the model with fresh weights, all its variables made, ready to be fitted.

    Args:
        config: The options.
        info: The dataset.
        steps_per_epoch: For the schedule of the learning rate.
        class_counts: {vocabulary: occurrences of each class} in training; needed to balance.

    Raises:
        UsageError: An output's name is not possible, the head does not fit, or the user's own
            function does not build what is needed.
    """
    from train.model.precision import resolved_precision
    from train.model.recogniser import Recogniser
    from train.model.variables import build_state

    _seed(config.seed)
    precision = resolved_precision(config.precision)
    network = _network(config, info, precision)
    average = None
    if config.ema or precision != "float32":  # what is saved computes in float32
        average = _network(config, info, "float32")
        average.set_weights(network.get_weights())
    blanks = dict(zip(info.outputs, blanks_of(info), strict=True))
    model = Recogniser(
        network.input,
        network.output,
        blanks=blanks,
        average=average,
        ema=config.ema,
        name=network.name,
    )
    model.compile(
        optimizer=_optimizer(config, steps_per_epoch, scaled=precision == "float16"),
        loss=_losses(config, info, class_counts),
    )
    build_state(model)
    return model


def _seed(seed: int) -> None:
    """Seeds Keras, NumPy and Python.

    Where TensorFlow is installed, Keras loads it for that, also if it runs on JAX: ten seconds for
    nothing. A name that is None in `sys.modules` is to Keras a library that is not there.
    """
    import keras

    if keras.backend.backend() == "tensorflow" or "tensorflow" in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        keras.utils.set_random_seed(seed)
    finally:
        del sys.modules["tensorflow"]


def _network(config: TrainConfig, info: DatasetInfo, precision: Precision) -> keras.Model:
    """Returns the network with fresh weights; equal ones for equal seeds."""
    from train.model.networks.by_name import build_model
    from train.model.networks.custom import build_custom
    from train.model.precision import computing_in

    outputs = {output: len(classes) for output, classes in info.classes.items()}
    head = resolved_head(config, info)
    with computing_in(precision):
        if is_custom(config.model):
            return build_custom(config.model, info.image_shape, outputs, config.seed)
        try:
            return build_model(
                info.image_shape,
                outputs,
                name=config.model,
                width=config.width,
                head=head,
                seed=config.seed,
            )
        except ValueError as error:  # Keras cannot use every column's name for an output
            raise UsageError(f"{config.dataset}: {error} Rename the label columns.") from error


def _losses(
    config: TrainConfig, info: DatasetInfo, class_counts: ClassCounts | None
) -> dict[str, keras.losses.Loss]:
    from train.model.loss import SparseCrossentropy, balancing_offsets

    losses = {}
    for output, vocabulary in info.outputs.items():
        offsets = None
        if config.class_balance and class_counts is not None:
            offsets = balancing_offsets(class_counts[vocabulary], config.class_balance)
        losses[output] = SparseCrossentropy(config.label_smoothing, offsets)
    return losses


def _optimizer(
    config: TrainConfig, steps_per_epoch: int, *, scaled: bool
) -> keras.optimizers.Optimizer:
    """Returns AdamW with that schedule; float16 needs its gradients scaled."""
    import keras

    from train.model.learning_rate import schedule
    from train.model.optimizer import MeasuredAdamW

    several = config.gradient_accumulation > 1
    optimizer = MeasuredAdamW(
        schedule(config, steps_per_epoch),
        weight_decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
        gradient_accumulation_steps=config.gradient_accumulation if several else None,
    )
    # Decaying scales and offsets pulls normalised features to zero without making them simpler.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
