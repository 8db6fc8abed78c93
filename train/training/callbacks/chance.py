"""Notices a training that learns nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from train.config import TrainConfig
from train.evaluation.predictions import Evaluation

Labels = np.ndarray[Any, np.dtype[Any]]

_SOONEST = 2  # epochs; after the first also a good training may be at chance
# By default 1,000 captchas on white, 91 % exact in the end, are at chance after 62 steps and above
# it after 93; other captchas and cheques have a third of the characters right after 52 and 60.
_STEPS = 100
_COUNTED = 10  # records a class, from which on the classes' shares can be told from validation
_ERRORS = 2  # standard errors above chance within which 19 of 20 guessers stay


def chance_line(
    evaluation: Evaluation, info: DatasetInfo, config: TrainConfig, epochs: int, num_steps: int
) -> str | None:
    """Returns what to look at if training has taught nothing so far; None at other times.

    It is asked twice: after a third of the epochs, and before that as soon as most sets would be
    well above chance. Some learn late, and their loss shows it first: so early a line needs a loss
    that is no better than without looking at the images.

    Args:
        evaluation: The validation after the last epoch.
        info: The dataset.
        config: The options.
        epochs: Epochs that are done.
        num_steps: Steps of an epoch.
    """
    late = max(_SOONEST, math.ceil(config.epochs / 3))
    is_early = epochs == max(_SOONEST, math.ceil(_STEPS / num_steps)) and epochs < late
    if not is_early and epochs != late:
        return None
    if is_early and evaluation.loss < blind_loss(evaluation, info):
        return None
    right, chance = float(np.mean(evaluation.output_accuracies)), chance_of(evaluation)
    error = math.sqrt(chance * (1 - chance) / evaluation.labels.size)
    if right == 1 or right > chance + _ERRORS * error:
        return None
    height, width, _ = info.image_shape
    dropped = info.image.alpha == "drop"
    return (
        f"warning: validation is {'still ' * is_early}at chance after {epochs} epochs: "
        f"{right:.1%} of the characters are right, and {chance:.1%} would be if each output always "
        f"gave its commonest class. {'Some sets take longer; meanwhile look' * is_early or 'Look'} "
        f"at `convert show {config.dataset}`: can the text be read at {width}x{height}"
        + ", was it drawn in transparency that was dropped (convert with --alpha white)" * dropped
        + ", does each label belong to its image, or were they shuffled?"
    )


def chance_of(evaluation: Evaluation) -> float:
    """Returns the share of outputs that are right where each gives its commonest class."""
    outputs = evaluation.labels.T
    return float(np.mean([np.bincount(labels).max() / len(labels) for labels in outputs]))


def blind_loss(evaluation: Evaluation, info: DatasetInfo) -> float:
    """Returns the mean loss of an output that always gives each class its share of the labels.

    That is the entropy of the labels, in nats. Too few records underestimate it: there it is that
    of classes which are equally frequent, the largest that there is.
    """

    def entropy(labels: Labels, num_classes: int) -> float:
        if len(labels) < _COUNTED * num_classes:
            return math.log(num_classes)
        shares = np.bincount(labels) / len(labels)
        return float(-np.sum(shares * np.log(shares, where=shares > 0, out=np.zeros_like(shares))))

    sizes = [len(classes) for classes in info.classes.values()]
    return float(np.mean([entropy(*one) for one in zip(evaluation.labels.T, sizes, strict=True)]))
