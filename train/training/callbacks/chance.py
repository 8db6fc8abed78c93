"""Notices a training that learns nothing."""

from __future__ import annotations

import math

import numpy as np

from convert.dataset.info import DatasetInfo
from train.config import TrainConfig
from train.evaluation.predictions import Evaluation

_SOONEST = 2  # epochs; after the first also a good training may be at chance
_ERRORS = 2  # standard errors above chance within which 19 of 20 guessers stay


def chance_line(
    evaluation: Evaluation, info: DatasetInfo, config: TrainConfig, epochs: int
) -> str | None:
    """Returns what to look at if a third of the epochs taught nothing; None at other times.

    Args:
        evaluation: The validation after the last of them.
        info: The dataset.
        config: The options.
        epochs: Epochs that are done.
    """
    if epochs != max(_SOONEST, math.ceil(config.epochs / 3)):
        return None
    right, chance = float(np.mean(evaluation.output_accuracies)), chance_of(evaluation)
    error = math.sqrt(chance * (1 - chance) / evaluation.labels.size)
    if right == 1 or right > chance + _ERRORS * error:
        return None
    height, width, _ = info.image_shape
    dropped = info.image.alpha == "drop"
    return (
        f"warning: validation is at chance after {epochs} epochs: {right:.1%} of the characters "
        f"are right, and {chance:.1%} would be if each output always gave its commonest class. "
        f"Look at `convert show {config.dataset}`: can the text be read at {width}x{height}"
        + ", was it drawn in transparency that was dropped (convert with --alpha white)" * dropped
        + ", does each label belong to its image, or were they shuffled?"
    )


def chance_of(evaluation: Evaluation) -> float:
    """Returns the share of outputs that are right where each gives its commonest class."""
    outputs = evaluation.labels.T
    return float(np.mean([np.bincount(labels).max() / len(labels) for labels in outputs]))
