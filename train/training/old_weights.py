"""Begins a training with the weights of an earlier one: `--weights`."""

from __future__ import annotations

from dataclasses import replace

import keras

from train.config import TrainConfig, is_custom
from train.model.transfer import Trained, take_weights
from train.runs.trained import OldNetwork, open_trained
from train.training.job import Job

_OF_NETWORKS = ("model", "width")  # options on which a network's layers depend


def with_weights(job: Job, model: keras.Model) -> tuple[Job, str | None]:
    """Gives a model the weights that `--weights` names.

    Args:
        job: What is trained.
        model: Its model, with fresh weights.

    Returns:
        The job, which knows the digest of the weights' file, and a line about what was taken.
        Without `--weights` the job as it is and None.

    Raises:
        FormatError: There is no such network, or it cannot be read.
        UsageError: It is of another kind.
    """
    path = job.config.weights
    if path is None:
        return job, None
    with open_trained(path) as old:
        trained = Trained(
            name=path,
            network=old.network,
            classes=old.classes,
            remedy=_remedy(old, job.config),
        )
        taken = take_weights(model, job.info.classes, trained)
    return replace(job, weights_digest=old.digest), taken.line()


def _remedy(old: OldNetwork, config: TrainConfig) -> str:
    """Returns how a network of the same kind is made."""
    if old.options is None:
        return "Give the --model and --width that it was made with, and images of its channels."
    other = [
        f"--{name} {old.options[name]}"
        for name in _OF_NETWORKS
        if name in old.options and old.options[name] != getattr(config, name)
    ]
    if other:
        return f"Give {' '.join(other)}, as that run has."
    if is_custom(config.model):
        return f"Name a run of {config.model} as it is now, or leave --weights out."
    return "Convert with the --channels of that run's dataset, or leave --weights out."
