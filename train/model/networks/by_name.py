"""A network by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import keras
from keras import layers

from convert.plan.labels.output_names import name_problem
from train.config import ModelName
from train.model.networks.cnn import cnn
from train.model.networks.column_reader import columns_of, read
from train.model.networks.heads import separate_heads, shared_head
from train.model.networks.layers import he, layer_seeds, normalise, poolings
from train.model.networks.resnet import BLOCKS, resnet

# Channels of the stages at width 1. (32, 64, 128, 192) cost three times the CPU time of an image,
# and these suffice for sets of 1,000.
FILTERS = (16, 32, 64, 128)
BOTTLENECK = 256
DROPOUT = 0.2


def build_model(
    image_shape: tuple[int, int, int],
    outputs: Mapping[str, int],
    *,
    name: str = "resnet10",
    width: float = 1.0,
    head: str = "shared",
    seed: int,
    bottleneck: int = BOTTLENECK,
    dropout: float = DROPOUT,
) -> keras.Model:
    """Returns an untrained functional model.

    Args:
        image_shape: (height, width, channels), each at least 1.
        outputs: {output name: number of classes}, in the order of the characters.
        name: `resnet10`, `resnet18`, `resnet34` or `cnn`; that of the Keras model, too.
        width: What the network's numbers of channels are multiplied with. Above 0.
        head: `shared`: one classifier reads all outputs, which must have equally many classes and
            should have the same ones. `separate`: one classifier for each output.
        seed: Of the first weights and of dropout, at least 0. Equal arguments give equal models.
        bottleneck: Features from which a character is classified.
        dropout: Share of these that training leaves out. In [0, 1).

    Returns:
        A model from `image`, uint8 [batch, height, width, channels], to {output name: logits},
        float32 [batch, classes] each, whatever the dtype policy is.

    Raises:
        ValueError: There are no outputs, a name is not possible in Keras, `name` or `head` is
            unknown, or it is `shared` and the numbers of classes differ.
    """
    _check(outputs, name, head)
    seeds = layer_seeds(seed)
    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(image)
    x = _features(x, name, width, len(outputs), seeds)
    x = columns_of(x, bottleneck, seeds)
    x = read(x, len(outputs), seeds)
    x = layers.Dense(
        bottleneck, use_bias=False, kernel_initializer=he(seeds), name="bottleneck_dense"
    )(x)
    x = normalise(x, "bottleneck")
    x = layers.Dropout(dropout, seed=next(seeds), name="dropout")(x)
    classify = shared_head if head == "shared" else separate_heads
    return keras.Model(image, classify(x, outputs, seeds), name=name)


def _features(x: Any, name: str, width: float, num_outputs: int, seeds: Iterator[int]) -> Any:
    """Returns the feature map of a network, [batch, rows, columns, channels]."""
    _, rows, columns, _ = x.shape
    filters = [max(1, round(width * channels)) for channels in FILTERS]
    stages = poolings(rows, columns, num_outputs)
    if name == "cnn":
        return cnn(x, filters, stages, seeds)
    return resnet(x, filters, BLOCKS[name], stages, seeds)


def _check(outputs: Mapping[str, int], network: str, head: str) -> None:
    """Raises `ValueError` for what `build_model` cannot build."""
    if not outputs:
        raise ValueError("`outputs` must name at least one output.")
    for name in outputs:
        problem = name_problem(name, outputs)
        if problem is not None:
            raise ValueError(f"The output {name!r} cannot be built: {problem}.")
    networks = get_args(ModelName)
    if network not in networks:
        raise ValueError(f"`name` must be one of {', '.join(networks)}, got {network!r}.")
    if head not in ("shared", "separate"):
        raise ValueError(f"`head` must be 'shared' or 'separate', got {head!r}.")
    if head == "shared" and len(set(outputs.values())) > 1:
        raise ValueError(
            "A shared head needs equally many classes in all outputs, "
            f"got {dict(outputs)}. Use head='separate'."
        )
