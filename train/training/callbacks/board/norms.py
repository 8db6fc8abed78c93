"""The norms of gradients, as the optimizer notes them at each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from train.training.callbacks.board.histogram_message import WEIGHTS, Floats, histogram


class GradientNorms:
    """Collects the norm of each variable's gradient over the steps of an epoch.

    Args:
        model: Compiled. An optimizer that has no `gradient_norms`, float32 of shape (trainable
            variables,), leaves nothing to collect.
    """

    def __init__(self, model: keras.Model) -> None:
        self._variables = model.trainable_variables
        # Keras wraps the optimizer of a float16 model, to scale the loss.
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        self._noted = getattr(optimizer, "gradient_norms", None)
        self._steps: list[Floats] = []
        self._unread: list[Any] = []
        # Amid an epoch of JAX variables are elsewhere, and to fetch them all would take long.
        self._at_each_step = self._noted is not None and keras.backend.backend() != "jax"

    def on_step(self) -> None:
        """Notes the norms of a step, still on the device; amid an epoch of JAX nothing."""
        if self._at_each_step:
            self._unread.append(keras.ops.copy(self._noted))

    def read(self) -> float | None:
        """Reads what `on_step` noted; waits for the newest.

        Returns:
            The norm of the last step's whole gradient; None if none was noted.
        """
        unread, self._unread = self._unread, []
        self._steps += [np.array(keras.ops.convert_to_numpy(norms)) for norms in unread]
        return float(np.linalg.norm(self._steps[-1])) if unread else None

    def on_epoch_end(self) -> float | None:
        """Reads the norms of an epoch's last step, unless `on_step` noted them.

        An epoch that is resumed after its last step has them too: they are in the checkpoint.

        Returns:
            The norm of the whole gradient; None if `read` has told it.
        """
        if self._noted is None or self._steps:
            return None
        self._unread = [self._noted]
        norm = self.read()
        return None if self._at_each_step else norm

    def histograms(self) -> Iterator[Any]:
        """Yields a `Summary` for each variable, of what was taken in the epoch."""
        if self._steps:
            for variable, norms in zip(self._variables, np.stack(self._steps, axis=1), strict=True):
                yield histogram(f"{WEIGHTS}_gradient_norms/{variable.path}", norms)
