"""Many small variables as few long vectors: an operation on all costs as much as one on one.

A step's update is a dozen operations on every weight, and a network has dozens of small ones: a
device would spend its time on starting kernels, and a compiler on making them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

Array = np.ndarray[Any, Any]

# Numbers. To copy a larger variable into a vector and back costs more than kernels of its own.
_LARGE = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Where a value stands: in a variable, or in a part of one that is a vector.

    Attributes:
        variable: A Keras variable.
        start: Where the value's numbers begin in it.
        shape: Of the value.
    """

    variable: Any
    start: int
    shape: tuple[int, ...]

    @classmethod
    def whole(cls, variable: Any) -> Slice:
        """Returns the slice that is the whole variable."""
        return cls(variable=variable, start=0, shape=tuple(variable.shape))

    def of(self, array: Array) -> Array:
        """Returns this part of the variable's array, as a view."""
        return array.reshape(-1)[self.start :][: math.prod(self.shape)].reshape(self.shape)


def read_slices(slices: Iterable[Slice]) -> list[Array]:
    """Returns a copy of each value; fetches every variable once."""
    arrays: dict[int, Array] = {}
    found = []
    for one in slices:
        key = id(one.variable)
        if key not in arrays:
            arrays[key] = keras.ops.convert_to_numpy(one.variable)
        found.append(np.array(one.of(arrays[key])))
    return found


def write_slices(values: Iterable[tuple[Slice, Any]]) -> None:
    """Sets values; assigns every variable once, with what it was where nothing is set."""
    arrays: dict[int, tuple[Any, Array]] = {}
    for one, value in values:
        variable, key = one.variable, id(one.variable)
        if key not in arrays:
            arrays[key] = variable, np.array(keras.ops.convert_to_numpy(variable))
        one.of(arrays[key][1])[...] = value
    for variable, array in arrays.values():
        variable.assign(array)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """Variables of a list that are treated as one: several as a vector, a single one as it is.

    Attributes:
        indices: Where they stand in the list.
        shapes: Their shapes.
        dtype: That of all of them.
        kind: What `pack` was told of all of them.
    """

    indices: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    kind: bool

    @property
    def is_single(self) -> bool:
        """Whether there is only one of them."""
        return len(self.indices) == 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        return self.shapes[0] if self.is_single else (sum(map(math.prod, self.shapes)),)

    def join(self, tensors: Sequence[Any]) -> Any:
        """Returns the whole.

        Args:
            tensors: Tensors or variables, one for each of the list.
        """
        if self.is_single:
            return ops.convert_to_tensor(tensors[self.indices[0]])
        return ops.concatenate([ops.reshape(tensors[index], (-1,)) for index in self.indices])

    def split(self, whole: Any) -> list[Any]:
        """Returns the tensors of which a whole consists, in the order of `indices`."""
        if self.is_single:
            return [whole]
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = ops.split(whole, np.cumsum(sizes)[:-1].tolist())
        return [ops.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def slices(self, whole: Any) -> list[tuple[int, Slice]]:
        """Returns each one's index in the list, and where it is in a variable of the whole."""
        starts = np.cumsum([0, *map(math.prod, self.shapes)]).tolist()
        return [
            (index, Slice(variable=whole, start=start, shape=shape))
            for index, start, shape in zip(self.indices, starts, self.shapes, strict=False)
        ]


def pack(
    variables: Sequence[Any], kind: Callable[[Any], bool] = lambda variable: True
) -> list[Pack]:
    """Packs variables together that have one dtype and are of one kind, all but the large ones.

    Args:
        variables: Keras variables.
        kind: Returns what all of a pack must have in common.
    """
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, variable in enumerate(variables):
        alone = index if math.prod(variable.shape) > _LARGE else None
        groups[variable.dtype, kind(variable), alone].append(index)
    return [
        Pack(
            indices=tuple(indices),
            shapes=tuple(tuple(variables[index].shape) for index in indices),
            dtype=dtype,
            kind=shared,
        )
        for (dtype, shared, _), indices in groups.items()
    ]
