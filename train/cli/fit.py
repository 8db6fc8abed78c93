"""`train fit`, the default verb."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convert.command.streams import print_result
from train.cli.hosts import Say, add_hosts, require_sense, train_on_hosts
from train.cli.options import add_options, given_options
from train.cli.startup import Verbs, add_json, import_keras, say
from train.config import TrainConfig
from train.errors import StoppedError

if TYPE_CHECKING:
    from train.hosts.joined_team import Team
    from train.training.result import TrainResult


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser("fit", help="train into a run folder (the default)")
    parser.add_argument("dataset", metavar="DATASET", nargs="+", help="folder that `convert` made")
    parser.add_argument(
        "--run",
        metavar="DIR",
        help="folder to make, or hdfs://... (default: the next number under runs/)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="take a few steps, print how long all would take, draw augmented images",
    )
    add_json(parser)
    add_hosts(parser)
    add_options(parser)
    parser.set_defaults(verb=_fit, resumes=False)


def _fit(namespace: argparse.Namespace) -> int:
    options = given_options(namespace)
    config = TrainConfig.given(options)

    def train(say: Say, team: Team | None) -> TrainResult:
        from train.training.start import train_model

        return train_model(config, say, team)

    require_sense(namespace)
    if namespace.dry_run:
        import_keras()
        return _dry_run(config, as_json=namespace.json)
    return train_on_hosts(namespace, options, train, finish)


def _dry_run(config: TrainConfig, *, as_json: bool) -> int:
    """Takes a few steps and prints their results."""
    from train.training.dry_run.dry_run import dry_run, dry_run_lines

    found = dry_run(config)
    for line in dry_run_lines(config, found):
        say(line)
    if as_json:
        print_result(json.dumps(asdict(found)))
    return 0


def finish(train: Callable[[], TrainResult], say: Say, *, as_json: bool) -> int:
    """Trains and prints the results; returns the exit code."""
    try:
        result = train()
    except StoppedError as stopped:  # no error: somebody asked for it
        say(str(stopped))
        return stopped.exit_code
    for line in _summary(result):
        say(line)
    if as_json:
        print_result(json.dumps(_as_json(result)))
    return 0


def _summary(result: TrainResult) -> list[str]:
    best = result.best
    lines = [
        f"{result.epochs} epochs, {result.steps:,} steps in {result.seconds:.0f} s, "
        f"{result.images_per_second:,.0f} images/s, input wait {result.input_wait:.1%}"
    ]
    if "validation_exact" in best:
        lines.append(
            f"best epoch {best['epoch']}: exact {best['validation_exact']:.1%}, "
            f"characters {best['validation_character_accuracy']:.1%} on validation"
        )
    if result.bad_records:
        lines.append(f"{result.bad_records:,} bad records were left out; see bad_records.jsonl")
    if result.cache:
        lines.append(f"cache: {result.cache}")
    return [*lines, f"the run's files are in {result.run}"]


def _as_json(result: TrainResult) -> dict[str, Any]:
    return {
        "run": result.run,
        "epochs": result.epochs,
        "steps": result.steps,
        "exact": result.best.get("validation_exact"),
        "character_accuracy": result.best.get("validation_character_accuracy"),
        "images_per_second": result.images_per_second,
        "input_wait": result.input_wait,
        "bad_records": result.bad_records,
        "seconds": round(result.seconds, 3),
        "cache": result.cache and result.cache.to_json(),
    }
