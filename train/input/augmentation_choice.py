"""From what a user asks for to the function that changes images."""

from __future__ import annotations

from functools import partial

import numpy as np

from train.config import is_custom
from train.errors import UsageError
from train.own_function import import_function
from train.records.augment import augment
from train.records.augmentation_draws import STRENGTHS
from train.records.batches import Augment, BatchSource, require_same_form
from train.records.draws import Bytes, Draws

_TRIED = 4  # images


def augmentation(asked: bool | str | Augment) -> Augment | None:
    """Returns the function that changes images at random; None: they stay as they are.

    Args:
        asked: As `train.SourceOptions.augment`.

    Raises:
        UsageError: No strength has this name, or the user's function cannot be imported.
    """
    if asked is True:
        return augment
    if not isinstance(asked, str):
        return asked or None
    if asked == "none":
        return None
    if is_custom(asked):
        return _own(asked)
    if asked not in STRENGTHS:
        names = ", ".join(["none", *STRENGTHS])
        raise UsageError(
            f"augment must be one of {names}, module:function, or a function, got {asked!r}."
        )
    return partial(augment, strength=STRENGTHS[asked])


def _own(name: str) -> Augment:
    """Imports the user's function, and wraps it so that what it raises is one line."""
    function, shown = import_function("--augment", name), f"--augment {name}"

    def changed(images: Bytes, draws: Draws) -> Bytes:
        try:
            found = function(images, draws)
        except Exception as error:  # it is the user's code: anything can happen
            raise UsageError(
                f"{shown}: failed when called with (images, draws): {type(error).__name__}: {error}"
            ) from error
        return require_same_form(found, images.shape, shown)

    return changed


def require_repeatable(name: str, source: BatchSource) -> None:
    """Calls a user's augmentation twice on a few images, before a run begins.

    Args:
        name: `module:function`.
        source: Batches to train on, which it changes.

    Raises:
        UsageError: It fails, returns something else than images, or takes its chance elsewhere
            than from its draws, so that no resume could repeat it.
    """
    assert source.augment is not None
    count = min(_TRIED, source.batch_size, source.order.num_records)
    draws = Draws(seed=source.seed, epoch=0, step=0, first=0, count=count)
    images, _ = source.reader.gather(source.order.records(0, 0, count))
    first, second = (source.augment(images.copy(), draws) for _ in range(2))
    if not np.array_equal(first, second):
        raise UsageError(
            f"--augment {name}: gave other images when it was called again with equal draws, so no "
            "resume could repeat it. Take all random numbers from `draws`: draws.uniform, "
            "draws.noise or draws.generator()."
        )
