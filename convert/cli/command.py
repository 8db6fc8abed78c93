"""The `convert` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

from convert.cli.flags import IMAGES, LABELS, RUN, SHARDS, SHOW, VERIFY, Flags
from convert.command.command_line import OneLineParser, run_verb
from convert.command.printed import json_line
from convert.command.streams import print_result, say
from convert.config import ConvertConfig
from convert.errors import printable
from convert.version import __version__

Config = TypeVar("Config")

_EPILOG = """\
examples:
  convert manifest.csv strips --crop 186 0 300 30 --size 128 32
  convert labels.csv cheques --text-column text --pad-label --size 128 32

`convert MANIFEST DATASET` is short for `convert run MANIFEST DATASET`. A conversion that was
stopped goes on when you give the same command again. Exit codes: 0 done, now or before, 1 failed,
2 wrong usage, 75 try again, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""


class _VersionAction(argparse.Action):
    """Prints what decodes images besides the version; loads the decoders only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Prints the versions and exits."""
        from convert.images.formats.codec_support import codec_lines

        print_result("\n".join((f"shardfeed {__version__}", *codec_lines())))
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run_verb("convert", _parser(), "run", {"run", "verify", "show"}, words))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="convert",
        description="Converts labelled images into sharded TFRecords, once.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action=_VersionAction,
        nargs=0,
        help="print the versions of shardfeed and its codecs",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, help_text, description, flags, verb in (
        (
            "run",
            "convert a label file and its images (the default)",
            "Converts a manifest's images into a dataset folder.",
            RUN,
            _run,
        ),
        (
            "verify",
            "check every byte of a dataset",
            "Checks every byte of a dataset; exits with 1 if anything is wrong.",
            VERIFY,
            _verify,
        ),
        (
            "show",
            "print counts and classes, draw a contact sheet of random records",
            "Prints what a dataset holds, and draws random records with their labels.",
            SHOW,
            _show,
        ),
    ):
        added = verbs.add_parser(name, help=help_text, description=description)
        added.set_defaults(verb=verb)
        _add(added, flags)
    run = verbs.choices["run"]
    for title, flags in (("labels", LABELS), ("images", IMAGES), ("splits and shards", SHARDS)):
        _add(run.add_argument_group(title), flags)
    return parser


def _add(parser: argparse._ActionsContainer, flags: Flags) -> None:
    for flag, text, more in flags:
        parser.add_argument(*flag.split(), help=text, **more)


def _options(namespace: argparse.Namespace, config: type[Config]) -> Config:
    """Returns a verb's options; a flag that was not given keeps the config's default."""
    given: dict[str, Any] = {}
    for field in fields(config):  # type: ignore[arg-type]  # each config is a dataclass
        value = getattr(namespace, field.name)
        if value is not None:
            given[field.name] = tuple(value) if isinstance(value, list) else value
    return config(**given)


def _run(namespace: argparse.Namespace) -> int:
    from convert.job import convert_dataset, plan_dataset

    job = plan_dataset if namespace.plan_only else convert_dataset
    result = job(_options(namespace, ConvertConfig), say)
    for line in result.lines():
        say(line)
    _print_json(namespace, result.to_json())
    return 0


def _verify(namespace: argparse.Namespace) -> int:
    from convert.verify import VerifyConfig, verify_dataset

    result = verify_dataset(_options(namespace, VerifyConfig))
    for line in result.lines():
        say(line)
    _print_json(namespace, result.to_json())
    return 1 if result.problems else 0


def _show(namespace: argparse.Namespace) -> int:
    from convert.show import ShowConfig, show_dataset

    result = show_dataset(_options(namespace, ShowConfig))
    for line in result.lines():
        print_result(printable(line))
    _print_json(namespace, result.to_json())
    return 0


def _print_json(namespace: argparse.Namespace, summary: dict[str, Any]) -> None:
    if namespace.json:
        print_result(json_line(summary))
