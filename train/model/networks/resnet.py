"""Residual nets: sums of small corrections (He et al., "Deep Residual Learning", CVPR 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from keras import layers

from train.model.networks.layers import Pooling, convolve, normalise, pool, stem

BLOCKS = {"resnet10": (1, 1, 1), "resnet18": (2, 2, 3), "resnet34": (4, 5, 6)}
"""Blocks of the stages after the stem. The names count the layers with weights: two for each
block, the stem, the columns, the bottleneck and the classifier."""


def resnet(
    x: Any,
    filters: Sequence[int],
    blocks: Sequence[int],
    poolings: Sequence[Pooling],
    seeds: Iterator[int],
) -> Any:
    """Returns a feature map of a rescaled image.

    Args:
        x: Floats, [batch, height, width, channels].
        filters: Channels of the stem and of each stage after it.
        blocks: Residual blocks of each stage after the stem.
        poolings: What is pooled after the stem and after each stage.
        seeds: Of the first weights.
    """
    x = stem(x, filters[0], poolings[0], seeds)
    stages = zip(filters[1:], blocks, poolings[1:], strict=True)
    for stage, (width, count, pooling) in enumerate(stages, 1):
        for number in range(count):
            x = _block(x, width, f"block{stage}" + f"_{number + 1}" * (count > 1), seeds)
        x = pool(x, pooling, f"block{stage}")
    return x


def _block(x: Any, filters: int, name: str, seeds: Iterator[int]) -> Any:
    """Returns two convolutions of `x`, added to `x` itself."""
    y = normalise(convolve(x, filters, 3, f"{name}_first", seeds), f"{name}_first")
    y = normalise(convolve(y, filters, 3, f"{name}_second", seeds), f"{name}_second", relu=False)
    if x.shape[-1] != filters:
        x = convolve(x, filters, 1, f"{name}_project", seeds)
        x = normalise(x, f"{name}_project", relu=False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
