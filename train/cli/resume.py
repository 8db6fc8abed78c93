"""`train resume`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from train.cli.fit import finish
from train.cli.hosts import Say, add_hosts, require_sense, train_on_hosts
from train.cli.options import add_options, given_options
from train.cli.startup import Verbs, add_json

if TYPE_CHECKING:
    from train.hosts.joined_team import Team
    from train.training.result import TrainResult


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser(
        "resume",
        help="go on with a run from its last checkpoint",
        description="Goes on with a run from its newest whole checkpoint. Options are the run's "
        "own; only those below may change. More epochs stretch the learning rate's schedule.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run, or hdfs://...")
    parser.add_argument(
        "--dataset",
        metavar="DIR",
        action="append",
        help="the run's dataset, if it was moved; of several each, in their order",
    )
    add_json(parser)
    add_hosts(parser)
    add_options(parser, resumed=True)
    parser.set_defaults(verb=_resume, resumes=True)


def _resume(namespace: argparse.Namespace) -> int:
    options = given_options(namespace)
    changes = {name: value for name, value in options.items() if name != "run"}
    require_sense(namespace)
    from train.runs.open import require_run

    # Else the run may be on the first host alone.
    if namespace.hosts is None and namespace.engine == "local":
        require_run(namespace.run)  # quickly, before Keras is loaded

    def train(say: Say, team: Team | None) -> TrainResult:
        from train.training.resuming.resume import resume_training

        return resume_training(namespace.run, changes, say, team)

    return train_on_hosts(namespace, options, train, finish)
