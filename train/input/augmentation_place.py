"""Which training batches are changed at random by the device that trains on them."""

from __future__ import annotations

from dataclasses import replace

from train.config import AugmentOn, is_custom
from train.model.precision import on_accelerator
from train.records.augmentation_draws import STRENGTHS
from train.records.batches import BatchSource


def fed_batches(source: BatchSource, augment: str, augment_on: AugmentOn) -> BatchSource:
    """Returns training batches as the model is fed with them.

    On a CPU the host's own code makes the same images several times as fast.

    Args:
        source: The batches, augmented on the host if at all.
        augment: How far, or the name of the user's function.
        augment_on: Where.
    """
    if source.augment is None or is_custom(augment) or augment_on == "host":
        return source
    if augment_on == "auto" and not on_accelerator():
        return source
    return replace(source, device_strength=STRENGTHS[augment])
