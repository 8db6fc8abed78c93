"""The default model: a small residual net that reads a fixed number of characters.

The picture becomes a row of columns, each output looks at the columns around its own place, and
one classifier (or one for each output) names what it sees. Only layers that come with Keras are
used, so a saved model loads, in safe mode, where this package is not installed.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

# Widths of the stem and the three residual blocks. (32, 64, 128, 192) cost three times the CPU
# time of an image, and these suffice for sets of 1,000.
FILTERS = (16, 32, 64, 128)
BOTTLENECK = 256
DROPOUT = 0.2

BATCHNORM_MOMENTUM = 0.9  # Keras' 0.99 needs more steps to settle than 1,000 images give
FINAL_ROWS = 4  # of the feature map: strokes above, in and below the middle stay apart
COLUMNS_PER_OUTPUT = 3  # of the feature map: a character's left, middle and right
READS_PER_OUTPUT = 3  # places at which each output looks at the columns
READ_WIDTH = 0.7  # standard deviation of a first look, in distances between places

# What TensorFlow accepts as a name scope, less the slash, which Keras forbids.
OUTPUT_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.>-]*")


def build_model(
    image_shape: tuple[int, int, int],
    outputs: Mapping[str, int],
    *,
    name: str = "resnet10",
    head: str = "shared",
    seed: int,
    filters: tuple[int, int, int, int] = FILTERS,
    bottleneck: int = BOTTLENECK,
    dropout: float = DROPOUT,
) -> keras.Model:
    """Returns an untrained functional model.

    Args:
        image_shape: (height, width, channels), each at least 1.
        outputs: {output name: number of classes}, in the order of the characters.
        name: Of the Keras model.
        head: `shared`: one classifier reads all outputs, which must have equally many classes and
            should have the same ones. `separate`: one classifier for each output.
        seed: Of the first weights and of dropout, at least 0. Equal arguments give equal models.
        filters: Channels of the stem and of each of the three residual blocks.
        bottleneck: Features from which a character is classified.
        dropout: Share of these that training leaves out. In [0, 1).

    Returns:
        A model from `image`, uint8 [batch, height, width, channels], to {output name: logits},
        float32 [batch, classes] each, whatever the dtype policy is.

    Raises:
        ValueError: There are no outputs, a name is not possible in Keras, `head` is unknown, or
            it is `shared` and the numbers of classes differ.
    """
    _check(outputs, head)
    height, width, _ = image_shape
    seeds = _seeds(seed)
    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(image)
    x = _features(x, filters, _poolings(height, width, len(outputs)), seeds)
    x = _columns(x, bottleneck, seeds)
    x = _read(x, len(outputs), seeds)
    x = layers.Dense(
        bottleneck, use_bias=False, kernel_initializer=_he(seeds), name="bottleneck_dense"
    )(x)
    x = _normalise(x, "bottleneck")
    x = layers.Dropout(dropout, seed=next(seeds), name="dropout")(x)
    classify = _shared if head == "shared" else _separate
    return keras.Model(image, classify(x, outputs, seeds), name=name)


def _check(outputs: Mapping[str, int], head: str) -> None:
    """Raises `ValueError` for outputs or a head that `build_model` cannot build."""
    if not outputs:
        raise ValueError("`outputs` must name at least one output.")
    for name in outputs:
        if not OUTPUT_NAME.fullmatch(name):
            raise ValueError(
                "An output's name must be of ASCII letters, digits and _ . > -, and not begin "
                f"with _ > or -, got {name!r}."
            )
    if head not in ("shared", "separate"):
        raise ValueError(f"`head` must be 'shared' or 'separate', got {head!r}.")
    if head == "shared" and len(set(outputs.values())) > 1:
        raise ValueError(
            "A shared head needs equally many classes in all outputs, "
            f"got {dict(outputs)}. Use head='separate'."
        )


def _seeds(seed: int) -> Iterator[int]:
    """Yields a uint32 seed for each layer; neighbouring seeds give unrelated sequences."""
    child = np.random.SeedSequence(seed)
    while True:
        (child,) = child.spawn(1)
        yield int(child.generate_state(1)[0])


def _he(seeds: Iterator[int]) -> Any:
    """Returns the initialiser of kernels that a ReLU follows."""
    return keras.initializers.HeNormal(seed=next(seeds))


def _poolings(height: int, width: int, num_outputs: int) -> list[tuple[int, int]]:
    """Returns the (rows, columns) pooled into one after the stem and after each block.

    Rows shrink to about FINAL_ROWS, columns as long as every output keeps COLUMNS_PER_OUTPUT.
    Early poolings come first, since they save most work; what four of them leave of a large
    image, the first takes too.
    """
    least_columns = COLUMNS_PER_OUTPUT * num_outputs
    down = max(0, round(math.log2(height / FINAL_ROWS)))
    across = max(0, math.floor(math.log2(width / least_columns)))
    # A wide image of few characters: columns need not shrink further than rows do.
    across = min(across, max(down, 1))
    first = (2 ** max(down - 3, min(down, 1)), 2 ** max(across - 3, min(across, 1)))
    return [first, *((1 + (down > i), 1 + (across > i)) for i in (1, 2, 3))]


def _features(
    x: Any,
    filters: tuple[int, int, int, int],
    poolings: list[tuple[int, int]],
    seeds: Iterator[int],
) -> Any:
    """Returns the feature map, [batch, rows, columns, filters[-1]]."""
    # Pooled before it is normalised: the same features, for a quarter of the work.
    x = _convolve(x, filters[0], 3, "stem", seeds)
    x = _normalise(_pool(x, poolings[0], "stem"), "stem")
    for number, (width, pooling) in enumerate(zip(filters[1:], poolings[1:], strict=True), 1):
        x = _pool(_block(x, width, f"block{number}", seeds), pooling, f"block{number}")
    return x


def _block(x: Any, filters: int, name: str, seeds: Iterator[int]) -> Any:
    """Returns two convolutions of `x`, added to `x` itself."""
    y = _normalise(_convolve(x, filters, 3, f"{name}_first", seeds), f"{name}_first")
    y = _normalise(_convolve(y, filters, 3, f"{name}_second", seeds), f"{name}_second", relu=False)
    if x.shape[-1] != filters:
        x = _convolve(x, filters, 1, f"{name}_project", seeds)
        x = _normalise(x, f"{name}_project", relu=False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _convolve(x: Any, filters: int, size: int, name: str, seeds: Iterator[int]) -> Any:
    return layers.Conv2D(
        filters,
        size,
        padding="same",
        use_bias=False,  # the normalisation that follows has one
        kernel_initializer=_he(seeds),
        name=f"{name}_conv",
    )(x)


def _normalise(x: Any, name: str, *, relu: bool = True) -> Any:
    x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _pool(x: Any, size: tuple[int, int], name: str) -> Any:
    if size == (1, 1):
        return x
    return layers.MaxPooling2D(size, padding="same", name=f"{name}_pool")(x)


def _columns(x: Any, features: int, seeds: Iterator[int]) -> Any:
    """Returns one vector for each column of a feature map, [batch, columns, features]."""
    _, rows, columns, _ = x.shape
    x = layers.Conv2D(
        features, (rows, 1), use_bias=False, kernel_initializer=_he(seeds), name="columns_conv"
    )(x)
    x = layers.Reshape((columns, features), name="columns_reshape")(x)
    return _normalise(x, "columns")


def _read(x: Any, num_outputs: int, seeds: Iterator[int]) -> Any:
    """Returns what each output sees, [batch, num_outputs, READS_PER_OUTPUT * features].

    Each output reads weighted means of the columns. The weights begin at evenly spaced places,
    whatever the width and the number of outputs, and learn both where the characters really are
    (the bias) and to follow the content (the kernel), for texts of varying length and spacing.
    """
    _, columns, features = x.shape
    reads = num_outputs * READS_PER_OUTPUT
    attend = layers.EinsumDense(
        "bcf,fr->bcr",
        (columns, reads),
        bias_axes="cr",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=next(seeds)),
        dtype="float32",
        name="read_attend",
    )
    scores = attend(x)
    attend.bias.assign(_places(columns, reads))
    weights = layers.Softmax(axis=1, dtype="float32", name="read_weights")(scores)
    x = layers.Dot(axes=(1, 1), name="read_columns")([weights, x])
    return layers.Reshape((num_outputs, READS_PER_OUTPUT * features), name="read_outputs")(x)


def _places(columns: int, reads: int) -> npt.NDArray[np.float32]:
    """Returns the logarithms of bell curves around evenly spaced places.

    Returns:
        float32 in (-inf, 0], shape (columns, reads).
    """
    column = (np.arange(columns) + 0.5) / columns
    place = (np.arange(reads) + 0.5) / reads
    distance = (column[:, None] - place) * reads / READ_WIDTH
    return (-0.5 * distance**2).astype(np.float32)


def _shared(x: Any, outputs: Mapping[str, int], seeds: Iterator[int]) -> dict[str, Any]:
    """Returns {output name: logits} of one classifier, from x: [batch, outputs, features]."""
    classes = next(iter(outputs.values()))
    logits = _classifier(classes, "classifier", seeds)(x)
    return {
        name: layers.Reshape((classes,), dtype="float32", name=name)(
            _position(logits, index, name, dtype="float32")
        )
        for index, name in enumerate(outputs)
    }


def _separate(x: Any, outputs: Mapping[str, int], seeds: Iterator[int]) -> dict[str, Any]:
    """Returns {output name: logits} of a classifier each, from x: [batch, outputs, features]."""
    return {
        name: _classifier(classes, name, seeds)(
            layers.Flatten(name=f"{name}_features")(_position(x, index, name))
        )
        for index, (name, classes) in enumerate(outputs.items())
    }


def _position(x: Any, index: int, name: str, dtype: str | None = None) -> Any:
    """Returns one output's part of x: [batch, outputs, n], as [batch, 1, n]."""
    crop = (index, x.shape[1] - 1 - index)
    return layers.Cropping1D(crop, dtype=dtype, name=f"{name}_position")(x)


def _classifier(classes: int, name: str, seeds: Iterator[int]) -> Any:
    # 16-bit logits falsify accuracies: Keras casts the labels to their dtype.
    initializer = keras.initializers.GlorotUniform(seed=next(seeds))
    return layers.Dense(classes, kernel_initializer=initializer, dtype="float32", name=name)
