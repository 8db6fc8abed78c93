"""The options of a run that goes on: its own, but for those that may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from convert.storage.places import absolute
from train.config import CHANGEABLE, OF_PLACES, YOUNGER, TrainConfig, is_custom, renamed
from train.errors import FormatError, MismatchError, UsageError
from train.model.build import resolved_head
from train.model.precision import resolved_precision
from train.runs.checkpoints.checkpoint import Checkpoint
from train.runs.folder import RunFolder
from train.runs.new_folder import CONFIG
from train.training.job import unchangeable


def resumed_config(
    stored: Mapping[str, Any], changes: Mapping[str, Any], run: RunFolder
) -> TrainConfig:
    """Returns the run's options with those changed that may."""
    names = [field.name for field in fields(TrainConfig)]
    younger = {f.name: f.default for f in fields(TrainConfig) if f.name in YOUNGER}
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    stored = {**younger, **stored, **lists}
    missing = [name for name in names if name not in stored]
    if missing:
        raise FormatError(
            f"{run.shown(CONFIG)}: has no {missing[0]!r}, so another version of shardfeed wrote "
            "it. Resume with that version, or start a new run."
        )
    config = TrainConfig(**{name: stored[name] for name in names})
    count, asked_for = len(config.datasets), 1 + len(changes.get("more_datasets", ()))
    if "dataset" in changes and asked_for != count:
        raise UsageError(
            f"{run.address}: was started on {count} datasets, got {asked_for}. Give --dataset for "
            "each, in the order of config.json."
        )
    if "weights" in changes:  # config.json has the whole path
        changes = {**changes, "weights": absolute(changes["weights"])}
    asked = replace(config, **changes)
    if asked.head == "auto":
        asked = replace(asked, head=resolved_head(asked, run.dataset_info()))
    if asked.precision == "auto":
        asked = replace(asked, precision=resolved_precision("auto"))
    different = [
        name
        for name in names
        if name not in (*CHANGEABLE, *OF_PLACES) and getattr(asked, name) != stored[name]
    ]
    if different:
        pairs = [(name, stored[name], getattr(asked, name)) for name in different]
        allowed = ", ".join("--" + name.replace("_", "-") for name in CHANGEABLE)
        raise MismatchError(
            f"{run.address} was started with other options.",
            _sides(pairs, "in the run", "asked for"),
            f"Only {allowed} may change. Leave the others out, or start a new run.",
        )
    return asked


def require_named(stored: Mapping[str, Any], given: Collection[str], run: RunFolder) -> None:
    """Raises unless a function of the user's is named again: a file may not choose what runs.

    Args:
        stored: Content of the run's config.json.
        given: Names of the options that the user repeated.
        run: The run.
    """
    for option, does in (
        ("model", "model is built"),
        ("augment", "training images are changed"),
    ):
        name = stored.get(option)
        if is_custom(name) and option not in given:
            raise UsageError(
                f"{run.address}: its {does} by {name}, which is imported only if it is named. "
                f"If you trust it, repeat --{option} {name}."
            )


def require_unedited(stored: Mapping[str, Any], checkpoint: Checkpoint, run: RunFolder) -> None:
    """Raises unless config.json says what the checkpoint does."""
    ours, theirs = renamed(checkpoint.position.options), unchangeable(stored)
    names = [name for name in ours if ours[name] != theirs.get(name)]
    if names:
        pairs = [(name, ours[name], theirs.get(name)) for name in names]
        raise MismatchError(
            f"{run.shown(CONFIG)} was edited since the checkpoint was written.",
            _sides(pairs, "in the checkpoint", f"in {CONFIG}"),
            "Put it back as it was, or start a new run.",
        )


def _sides(pairs: Sequence[tuple[str, Any, Any]], first: str, second: str) -> list[tuple[str, str]]:
    """Returns both values of each option, for a `MismatchError`."""
    return [
        (f"{name.replace('_', ' ')} {where}", str(value))
        for name, *values in pairs
        for where, value in zip((first, second), values, strict=True)
    ]
