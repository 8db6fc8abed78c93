"""The moving average of a model's weights, `--ema`: how each step moves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from train.model.packing import Slice, pack, read_slices, write_slices

# After t steps the momentum is at most (1 + t) / (10 + t), as in TensorFlow's
# ExponentialMovingAverage. So a short run averages about its last tenth, and the first weights
# are soon forgotten.
_WARMUP_STEPS = 10


class WeightAverage:
    """Moves the weights of a model, and the statistics of its normalisations, towards another's.

    While they move, most stand in a few vectors of their own.

    Args:
        average: The averaged model.
        model: The model that it follows: the same weights, in any precision.
        ema: The momentum, lower in the first steps. In [0, 1).
        add_variable: Makes a variable of the trained model.
    """

    def __init__(
        self,
        average: keras.Model,
        model: keras.Model,
        ema: float,
        add_variable: Callable[..., Any],
    ) -> None:
        self._ema = ema
        self._averaged, self._current = average.weights, model.weights
        self._packs = pack(self._current)
        self._wholes = [
            self._averaged[one.indices[0]]
            if one.is_single
            else add_variable(shape=one.shape, dtype=one.dtype, name="averaged")
            for one in self._packs
        ]
        self._steps = add_variable(shape=(), dtype="int32", name="averaged_steps")
        self.gather()

    @property
    def slices(self) -> list[Slice]:
        """What a checkpoint begins its variables with that are not trained, in its order."""
        averaged = [one for _, one in sorted(self._places(), key=lambda place: place[0])]
        pairs = list(zip(averaged, self._current, strict=True))
        of_trained = [one for one, current in pairs if current.trainable]
        others = [
            one
            for averaged, current in pairs
            if not current.trainable
            for one in (averaged, Slice.whole(current))
        ]
        return [*of_trained, *others, Slice.whole(self._steps)]

    @property
    def variables(self) -> list[Any]:
        """All that belong to it: the vectors, the averaged model's, and the steps."""
        return [*self._wholes, *self._averaged, self._steps]

    def restart(self) -> None:
        """Makes the average equal to the weights, as it is before the first step."""
        for averaged, current in zip(self._averaged, self._current, strict=True):
            averaged.assign(ops.copy(current))  # JAX would share what a step gives up
        self.gather()

    def move(self) -> None:
        """Moves the average after a step of training."""
        step = ops.cast(self._steps, "float32")
        self._steps.assign_add(1)
        momentum = ops.minimum(self._ema, (1 + step) / (_WARMUP_STEPS + step))
        for one, averaged in zip(self._packs, self._wholes, strict=True):
            current = one.join(self._current)
            averaged.assign(averaged + (1 - momentum) * (current - averaged))

    def gather(self) -> None:
        """Takes over what was assigned to the averaged model."""
        write_slices(
            (one, ops.convert_to_numpy(self._averaged[index]))
            for index, one in self._places()
            if one.variable is not self._averaged[index]
        )
        self._spread_at = self._now()

    def spread(self, *, after_moves: bool = True) -> None:
        """Brings the averaged model up to date.

        Args:
            after_moves: Nothing is done where no step has moved the average since the last time.
        """
        if after_moves and self._spread_at == self._now():
            return
        places = [(i, one) for i, one in self._places() if one.variable is not self._averaged[i]]
        arrays = read_slices(one for _, one in places)
        for (index, _), array in zip(places, arrays, strict=True):
            self._averaged[index].assign(array)
        self._spread_at = self._now()

    def _now(self) -> int:
        return int(ops.convert_to_numpy(self._steps))

    def _places(self) -> list[tuple[int, Slice]]:
        """Returns each weight's index and where its average is."""
        packs = zip(self._packs, self._wholes, strict=True)
        return [place for one, whole in packs for place in one.slices(whole)]
