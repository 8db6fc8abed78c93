"""`train compare`."""

from __future__ import annotations

import argparse
import json

from convert.command.streams import print_result
from train.cli.startup import Verbs, add_json, say


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser(
        "compare",
        help="results of several runs, and the options that differ",
        description="Prints the results of several runs and the options that differ. Results are "
        "those of validation, at the epoch whose weights are kept.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folders of runs, or hdfs://...")
    parser.add_argument(
        "--output", metavar="FILE", help="page to write, also with curves (default: none)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="let --output replace any file, not only a page"
    )
    add_json(parser)
    parser.set_defaults(verb=_compare)


def _compare(namespace: argparse.Namespace) -> int:
    from train.compare.page import check_page, write_page
    from train.compare.runs import read_runs
    from train.compare.tables import as_json, lines, warning

    path = namespace.output
    if path is not None:
        check_page(path, namespace.runs, overwrite=namespace.overwrite)
    runs = read_runs(namespace.runs)
    for line in lines(runs):
        print_result(line)
    if text := warning(runs):
        say(f"warning: {text}")
    if path is not None:
        write_page(path, runs)
        say(f"the page is {path}")
    if namespace.json:
        print_result(json.dumps({**as_json(runs), "page": path}))
    return 0
