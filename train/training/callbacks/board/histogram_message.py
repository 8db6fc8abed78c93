"""Histograms of large arrays, from a sample of their values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

Floats = np.ndarray[Any, np.dtype[Any]]

WEIGHTS = "weights"
"""Begins the names of all groups of histograms. TensorBoard sorts groups by name and opens the
first two: these come after `train` and `validation`, and stay closed."""

MAX_VALUES = 1 << 14
"""Values of an array that are counted: a kernel of 256 x 21,000 has 5.4 million."""

_BINS = 64  # TensorBoard draws 30 by default


def histogram(tag: str, values: Floats) -> Any:
    """Returns a `Summary` of an array's values, of those that are finite.

    Args:
        tag: Under which TensorBoard shows it.
        values: Of any real dtype and shape. Of more than `MAX_VALUES` a sample is counted.

    Returns:
        None if no value is finite: there is nothing to draw.
    """
    from tensorboardX.summary import histogram_raw

    counted = sample(values).astype(np.float64)  # 16-bit sums of squares overflow
    counted = counted[np.isfinite(counted)]
    if not counted.size:
        return None
    counts, edges = np.histogram(counted, bins=_BINS)
    # Not by tensorboardX' own `histogram`: its scalar product wakes all threads of BLAS, which
    # takes longer than everything else here. It also begins with an empty bucket, since buckets
    # have only right ends.
    return histogram_raw(
        tag,
        min=counted.min(),
        max=counted.max(),
        num=counted.size,
        sum=counted.sum(),
        sum_squares=np.square(counted).sum(),
        bucket_limits=edges.tolist(),
        bucket_counts=[0, *counts.tolist()],
    )


def sample(values: Floats) -> Floats:
    """Returns every n-th value of an array, at most `MAX_VALUES`; always the same ones.

    n has no divisor in common with the array's size. So it has none with the number of channels
    either, and no channel is passed over.

    Args:
        values: Of any shape.

    Returns:
        Of shape (values,).
    """
    flat = values.reshape(-1)
    stride = -(-flat.size // MAX_VALUES)
    while stride > 1 and math.gcd(stride, flat.size) > 1:
        stride += 1
    return flat[:: max(stride, 1)]


def weight_histograms(variables: Sequence[Any]) -> Iterator[Any]:
    """Yields a `Summary` of each variable's values."""
    for variable in variables:
        values = np.asarray(keras.ops.convert_to_numpy(variable))
        yield histogram(f"{WEIGHTS}/{variable.path}", values)
