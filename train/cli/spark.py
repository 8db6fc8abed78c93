"""`--engine spark`: the verbs that train have Spark start a process on each of several hosts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from convert.command.printed import without_controls
from convert.command.streams import print_result
from convert.storage.places import absolute
from train.cli.options import words_of
from train.config import is_custom
from train.errors import UsageError
from train.hosts.spark import train_on_spark

_PATHS = ("manifest", "cache", "weights")
_NAMED_AGAIN = ("model", "augment")  # where they are functions of the user's


def train_with_spark(namespace: argparse.Namespace, options: Mapping[str, Any]) -> int:
    """Trains on hosts of a Spark cluster; the result of the first one is printed last.

    Args:
        namespace: The command line.
        options: Those of `TrainConfig` that it names, with `run`, and for a new run `dataset`.

    Returns:
        The exit code of the processes.

    Raises:
        UsageError: Something is missing, or is no address for several hosts.
        TryAgainError: Spark gave up.
    """
    backend = os.environ.get("KERAS_BACKEND", "jax")
    if backend != "jax":
        raise UsageError(f"--engine spark trains on JAX, got KERAS_BACKEND={backend}: unset it.")
    if "run" not in options:
        raise UsageError("--engine spark needs --run, an address that all hosts reach.")
    run = absolute(options["run"])
    named = _datasets(options)
    others = {
        name: absolute(value) if name in _PATHS else value
        for name, value in options.items()
        if name not in ("run", "dataset", "more_datasets")
    }
    json = ["--json"] if namespace.json else []
    if namespace.resumes:
        given = [word for path in named for word in ("--dataset", path)]
        resume = words = ["resume", run, *given, *words_of(others), *json]
    else:
        words = ["fit", *named, "--run", run, *words_of(others), *json]
        custom = {name: others[name] for name in _NAMED_AGAIN if is_custom(others.get(name))}
        resume = ["resume", run, *words_of(custom), *json]
    ended = train_on_spark(words, resume, run, named, namespace.num_hosts, namespace.master)
    for line in ended.stdout.splitlines():
        print_result(without_controls(line))
    return ended.code


def _datasets(options: Mapping[str, Any]) -> list[str]:
    """Returns the addresses of the datasets that a command line names."""
    if "dataset" not in options:
        return []
    return [absolute(path) for path in (options["dataset"], *options["more_datasets"])]
