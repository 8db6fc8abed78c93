"""The runs of an audit's folds: each trained on all training records but its own part."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import keras

from convert.storage.places import filesystem_of
from train.config import TrainConfig
from train.errors import UsageError
from train.runs.folder import RunFolder
from train.runs.new_folder import CONFIG
from train.training.resuming.resume import resume_training
from train.training.resuming.resumed_options import require_named
from train.training.start import train_model

Say = Callable[[str], None]


def train_folds(
    run: RunFolder,
    folder: str,
    count: int,
    dataset: str,
    model: str | None,
    augment: str | None,
    say: Say,
) -> list[str]:
    """Trains a run for each fold, or goes on with it; one that is complete stays as it is.

    Args:
        run: The run whose options they have.
        folder: Where to; each gets a folder in it.
        count: How many. At least 2.
        dataset: The run's own dataset.
        model: The user's function that builds the network, named again. None: a network of ours.
        augment: The same for the function that changes training images.
        say: Called with one line for each thing a user may want to know meanwhile.

    Returns:
        Their folders.

    Raises:
        UsageError: The run was made with --overfit, or a function of the user's must be named
            again.
        ShardfeedError: As a training would.
        StoppedError: SIGTERM or Ctrl-C came; the same audit goes on.
    """
    options = run.config()
    named = {"model": model, "augment": augment}
    require_named(options, [name for name in named if named[name] == options.get(name)], run)
    if options.get("overfit") is not None:
        raise UsageError(
            f"{run.address}: was trained with --overfit on a few records, so there is nothing to "
            "leave out. Audit a run of the whole training split, or without --folds."
        )
    if options.get("weights") is not None:
        raise UsageError(
            f"{run.address}: began with the weights of {options['weights']}, which may have seen "
            "what a fold leaves out, and is too short to begin without. Audit it without --folds, "
            "or a run that began at random weights."
        )
    paths = []
    for number in range(1, count + 1):
        path = os.path.join(folder, f"fold-{number}-of-{count}")
        _train(fold_options(options, number, count, dataset, path), say)
        paths.append(path)
    return paths


def fold_options(
    options: dict[str, Any], number: int, count: int, dataset: str, path: str
) -> TrainConfig:
    """Returns the options of a fold's run: those of the run, for as many steps as it took.

    Fewer records make shorter epochs, so there are more of them.

    Args:
        options: Content of the run's config.json; what a younger option is missing is its default.
        number: Of the fold, from 1.
        count: Folds.
        dataset: The run's own dataset.
        path: The fold's folder.
    """
    known = {
        field.name: options.get(field.name, field.default)
        for field in fields(TrainConfig)
        if field.default is not MISSING
    }
    epochs = round(known["epochs"] * count / (count - 1))
    own = {"dataset": dataset, "run": path, "epochs": epochs, "leave_out": f"{number}/{count}"}
    return TrainConfig(**{**known, "max_minutes": None, "more_datasets": (), **own})


def _train(config: TrainConfig, say: Say) -> None:
    """Trains one run to its end."""
    assert config.run is not None
    assert config.leave_out is not None
    name = f"fold {config.leave_out}: "

    def tell(line: str) -> None:
        say(name + line)

    keras.utils.clear_session()  # frees the network before
    if filesystem_of(config.run).exists(os.path.join(config.run, CONFIG)):
        # What may have changed since in the run itself, by a resume.
        names = ("dataset", "model", "augment", "epochs", "patience", "target")
        changes = {name: getattr(config, name) for name in names}
        resume_training(config.run, changes, tell)
    else:
        train_model(config, tell)
