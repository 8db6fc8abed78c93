"""`train audit`."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields

from convert.command.streams import print_result
from train.audit.config import AuditConfig
from train.cli.startup import Verbs, add_json, add_model, import_keras, import_model, say
from train.errors import StoppedError

_DESCRIPTION = """\
Judges every record by how little the model believes its label, and writes RUN/audit/audit.csv and
a page to decide on, audit.html. `convert ... --corrections` applies the decisions.
"""


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    default = {field.name: field.default for field in fields(AuditConfig)}
    parser = verbs.add_parser("audit", help="find wrong labels", description=_DESCRIPTION)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run, or hdfs://...")
    add("dataset", metavar="DATASET", nargs="?", help="dataset (default: the run's own)")
    add(
        "--folds",
        metavar="K",
        type=int,
        default=default["folds"],
        help="train K runs, each on all training records but its part, which it judges "
        "(default: 0, the run judges what it was trained on)",
    )
    add(
        "--pictures",
        metavar="N",
        type=int,
        default=default["pictures"],
        help=f"doubtful records on the page at most (default: {default['pictures']})",
    )
    add("--manifest", metavar="FILE", help="the dataset's manifest, if the dataset has no paths")
    add_json(parser)
    add_model(parser)
    parser.add_argument(
        "--augment",
        metavar="MODULE:FUNCTION",
        help="the run's own augmentation, for --folds: imports the module",
    )
    parser.set_defaults(verb=_audit)


def _audit(namespace: argparse.Namespace) -> int:
    config = AuditConfig(
        dataset=namespace.dataset,
        folds=namespace.folds,
        pictures=namespace.pictures,
        manifest=namespace.manifest,
        model=namespace.model,
        augment=namespace.augment,
    )
    from train.runs.open import read_run

    with read_run(namespace.run) as run:
        import_keras()
        import_model(namespace)
        from train.audit.audit import audit_run

        try:
            result = audit_run(run, config, say)
        except StoppedError as stopped:  # no error: somebody asked for it
            say("stopped while a fold was trained; the same command goes on")
            return stopped.exit_code
    for line in result.lines():
        say(line)
    if namespace.json:
        print_result(json.dumps(result.to_json()))
    return 0
