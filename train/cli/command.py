"""The `train` command."""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from convert.command.command_line import OneLineParser, run_verb
from convert.command.streams import open_streams
from convert.version import __version__
from train.cli import audit, bench, compare, evaluate, export, fit, predict, resume
from train.hosts.supervisor import end_as_member, is_member

_VERBS = (fit, resume, evaluate, compare, audit, predict, export, bench)

_EPILOG = """\
examples:
  train strips
  train resume runs/1
  train evaluate runs/1
  train compare runs/1 runs/2
  train audit runs/1 --folds 3
  train predict runs/1 scan-1.png scan-2.jpg
  train export runs/1 --to onnx,tflite
  train bench strips

`train DATASET` is short for `train fit DATASET`. Exit codes: 0 done, 1 failed, 2 wrong usage,
75 try again, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    open_streams()
    faulthandler.enable()  # a shard that another program shortens is a SIGBUS
    parser = OneLineParser(
        prog="train",
        description="Trains a multi-output recogniser on a dataset that `convert` made.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"shardfeed {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in _VERBS:
        verb.add_parser(verbs)
    words = list(sys.argv[1:] if arguments is None else arguments)

    def run() -> int:
        return run_verb("train", parser, "fit", set(verbs.choices), words)

    if is_member():
        signal.signal(signal.SIGABRT, signal.SIG_DFL)  # its parent says it in one line
        end_as_member(run)
    sys.exit(run())
