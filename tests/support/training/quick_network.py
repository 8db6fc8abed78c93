"""A network that stands for `cnn` where trainings are tested, and not what they learn.

To build the graph of a step is most of what a short training takes: of `cnn` at width 0.125 some
five of eight seconds, of this one less than one. What a run keeps of a model is here too: a
convolution, a normalisation with moving averages, dropout with a state of its own, and the heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from convert.plan.labels.output_names import name_problem
from train.model.networks import by_name
from train.model.networks.heads import separate_heads, shared_head
from train.model.networks.layers import he, layer_seeds, stem

_real = by_name.build_model


def build_model(
    image_shape: tuple[int, int, int], outputs: Mapping[str, int], **options: Any
) -> keras.Model:
    """Stands for `by_name.build_model`; builds other networks than `cnn`, and raises, as it does.

    Args:
        image_shape: (height, width, channels).
        outputs: {output name: number of classes}.
        options: `name`, `width`, `head` and `seed`.
    """
    head = options["head"]
    is_wrong = any(name_problem(name, outputs) for name in outputs)
    is_wrong |= head == "shared" and len(set(outputs.values())) > 1
    if options["name"] != "cnn" or is_wrong:
        return _real(image_shape, outputs, **options)
    seeds = layer_seeds(options["seed"])
    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(image)
    filters = max(1, round(32 * options["width"]))
    x = layers.Flatten(name="columns_reshape")(stem(x, filters, (8, 8), seeds))
    x = layers.Dropout(0.2, seed=next(seeds), name="dropout")(x)
    x = layers.Dense(len(outputs) * 16, kernel_initializer=he(seeds), name="bottleneck_dense")(x)
    x = layers.Reshape((len(outputs), 16), name="read_outputs")(x)
    classify = shared_head if head == "shared" else separate_heads
    return keras.Model(image, classify(x, outputs, seeds), name="cnn")


def install() -> None:
    """Lets `train` build it in this process and its forks; who imported the real one has that."""
    by_name.build_model = build_model
