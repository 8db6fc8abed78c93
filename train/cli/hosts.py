"""Training on several hosts: as one process of several, or with Spark, which starts them."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from train.cli.spark import train_with_spark
from train.cli.startup import import_keras, say, silence_libraries
from train.errors import ShardfeedError, UsageError
from train.hosts.place import Place, require_place, unused_launcher
from train.hosts.supervisor import is_member, supervise, this_command

if TYPE_CHECKING:
    from train.hosts.joined_team import Team
    from train.training.result import TrainResult

Say = Callable[[str], None]
Train = Callable[[Say, "Team | None"], "TrainResult"]
"""Trains; the arguments are what prints a line, and the team, if there is one."""


class Finish(Protocol):
    """Trains and prints the results."""

    def __call__(self, train: Callable[[], TrainResult], say: Say, *, as_json: bool) -> int:
        """Returns the exit code."""


def add_hosts(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of training on several hosts."""
    parser.add_argument(
        "--hosts",
        choices=("auto",),
        help="train one run together with the processes that Slurm, Kubernetes or another launcher "
        "has started on other hosts (default: by itself)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "spark"),
        default="local",
        help="where it trains: here (default), or on hosts of a Spark cluster",
    )
    parser.add_argument(
        "--num-hosts", metavar="N", type=int, help="hosts to train on, with --engine spark"
    )
    parser.add_argument(
        "--master", metavar="URL", help="Spark's cluster (default: that of spark-submit)"
    )


def train_on_hosts(
    namespace: argparse.Namespace, options: Mapping[str, Any], train: Train, finish: Finish
) -> int:
    """Trains by itself, or as one process of several where `--hosts` says so.

    Args:
        namespace: The command line.
        options: Those of `TrainConfig` that it names, with `run`, and for a new run `dataset`.
        train: Trains; called when Keras is loaded.
        finish: Prints the results.

    Returns:
        The exit code.

    Raises:
        UsageError: Nothing tells this process's place, or Keras is not to run on JAX.
    """
    if namespace.engine == "spark":
        return train_with_spark(namespace, options)
    if namespace.hosts is None:
        _warn_of_launcher()
        import_keras()
        return finish(lambda: train(say, None), say, as_json=namespace.json)
    place = require_place(os.environ)
    if place.joined:
        return _train_in_team(place, train, finish, as_json=namespace.json)
    _require_jax()
    if is_member():
        return _train_in_team(place, train, finish, as_json=namespace.json)
    run = shlex.quote(options.get("run", "RUN"))
    return supervise(this_command(), place, f"train resume {run} {place.flags}")


def _train_in_team(place: Place, train: Train, finish: Finish, *, as_json: bool) -> int:
    """Joins the other processes and trains; only the first one prints."""
    from train.hosts.joined_team import join

    silence_libraries()
    with _ended_at_once():
        team = join(place)
    import_keras()
    if team.rank == 0:
        return finish(lambda: train(say, team), say, as_json=as_json)
    try:
        return finish(lambda: train(_nothing, team), _nothing, as_json=False)
    except ShardfeedError as error:
        print(f"train: error: rank {place.rank}: {error}", file=sys.stderr)
        return error.exit_code


def _nothing(line: str) -> None:
    """Prints nothing: the first process says it."""


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """Lets signals end the process while it waits for others: no handler of Python runs there."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in earlier:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _require_jax() -> None:
    backend = os.environ.get("KERAS_BACKEND")
    if backend != "jax":
        got = "nothing" if backend is None else backend
        raise UsageError(f"--hosts auto trains on JAX: set KERAS_BACKEND=jax, got {got}.")


def require_sense(namespace: argparse.Namespace) -> None:
    """Raises `UsageError` for flags of several hosts that exclude each other."""
    spark = namespace.engine == "spark"
    if getattr(namespace, "dry_run", False) and (namespace.hosts or spark):
        raise UsageError("--dry-run takes its steps on one host: leave out --hosts and --engine.")
    if spark and namespace.hosts:
        raise UsageError("--engine spark starts the hosts itself: leave out --hosts.")
    if spark and (namespace.num_hosts or 0) < 1:
        raise UsageError(
            "--engine spark needs --num-hosts N, at least 1, got "
            f"{'nothing' if namespace.num_hosts is None else namespace.num_hosts}."
        )
    for flag, value in (("--num-hosts", namespace.num_hosts), ("--master", namespace.master)):
        if value is not None and not spark:
            raise UsageError(f"{flag} needs --engine spark, got --engine {namespace.engine}.")


def _warn_of_launcher() -> None:
    place = unused_launcher(os.environ)
    if place is not None and place.rank == 0:
        say(f"warning: {place.team}: each trains a run of its own; with --hosts auto all train one")
