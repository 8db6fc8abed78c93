"""A small plain convolutional net for CPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from train.model.networks.layers import Pooling, convolve, normalise, pool, stem


def cnn(x: Any, filters: Sequence[int], poolings: Sequence[Pooling], seeds: Iterator[int]) -> Any:
    """Returns a feature map of a rescaled image: one convolution a stage.

    Args:
        x: Floats, [batch, height, width, channels].
        filters: Channels of each stage.
        poolings: What is pooled after each stage.
        seeds: Of the first weights.
    """
    x = stem(x, filters[0], poolings[0], seeds)
    for stage, (width, pooling) in enumerate(zip(filters[1:], poolings[1:], strict=True), 1):
        x = normalise(convolve(x, width, 3, f"block{stage}", seeds), f"block{stage}")
        x = pool(x, pooling, f"block{stage}")
    return x
