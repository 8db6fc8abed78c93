"""The `convert` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NoReturn, TypeVar, get_args

from convert.command.command_line import OneLineParser, run_verb
from convert.command.printed import json_line
from convert.command.streams import print_result, say
from convert.config import (
    SPLITS,
    Alpha,
    ConvertConfig,
    Encoding,
    EngineName,
    Fit,
    ManifestFormat,
    Resample,
    RowOrder,
)
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


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    """Parses `train=0.8,validation=0.2`."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return tuple((name, float(share)) for name, share in pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected NAME=SHARE,..., got {text!r}") from error


_Flags = tuple[tuple[str, str, dict[str, Any]], ...]
"""Flag, help, and what else argparse is told of it."""

_SWITCH = {"action": "store_true"}
_NUMBER = {"type": int, "metavar": "N"}
_DIR = {"metavar": "DIR"}
_COLUMN = {"metavar": "COLUMN"}


def _one_of(kind: Any) -> dict[str, Any]:
    return {"choices": get_args(kind)}


_JSON = ("--json", "print a JSON summary as the last line on stdout", _SWITCH)
_ROOT = ("--root", "folder the paths start from (default: the manifest's)", _DIR)
_ALLOW = (
    "--allow",
    "folder outside --root that paths and links may lead into",
    {"metavar": "DIR", "action": "append"},
)
_WORKERS = ("--workers", "processes (default: one a core)", _NUMBER)
_DATASET = ("dataset", "folder that convert made", {"metavar": "DATASET"})

_RUN: _Flags = (
    (
        "manifest",
        "label file with a row for each image, or a folder that has one",
        {"metavar": "MANIFEST"},
    ),
    ("dataset", "folder to make", {"metavar": "DATASET"}),
    _JSON,
    ("--overwrite", "replace a finished dataset", _SWITCH),
    ("--plan-only", "print what would be made, how large and how fast; write nothing", _SWITCH),
    ("--retry-quarantined", "convert again the rows that a finished dataset left out", _SWITCH),
)
_LABELS: _Flags = (
    _ROOT,
    _ALLOW,
    (
        "--format",
        "dialect of the label file (default: the one that its content shows)",
        _one_of(ManifestFormat),
    ),
    (
        "--manifest-encoding",
        "encoding of the label file (default: utf-8, or by its byte order mark)",
        {"metavar": "NAME"},
    ),
    ("--path-column", "column of the paths (default: path, or another usual name)", _COLUMN),
    (
        "--from-names",
        "MANIFEST is a folder of images; the groups in their names are the labels",
        {"metavar": "REGEX"},
    ),
    (
        "--label-columns",
        "a column for each output (default: those named y and digits)",
        {"metavar": "Y0,Y1,...", "type": lambda text: tuple(text.split(","))},
    ),
    ("--text-column", "column whose characters are the labels (default: a usual name)", _COLUMN),
    ("--text-length", "characters in a text (default: commonest)", _NUMBER),
    ("--pad-label", "pad shorter texts with a blank class", _SWITCH),
    ("--verbatim-labels", "keep blanks around labels, and other Unicode forms than NFC", _SWITCH),
    ("--labels-are-indices", "labels are integers, not classes", _SWITCH),
    (
        "--vocabulary",
        "file with one class a line, or a dataset to take them from, for all outputs or one "
        "(default: every label that occurs)",
        {"metavar": "[OUTPUT=]FILE", "action": "append"},
    ),
    ("--add-classes", "append labels that the vocabulary lacks to its classes", _SWITCH),
    (
        "--corrections",
        "labels that replace those of the label file: the decisions of `train audit`; "
        "repeatable, in the order of the audits",
        {"metavar": "FILE", "action": "append"},
    ),
)
_IMAGES: _Flags = (
    ("--crop", "box in source pixels", {"nargs": 4, "type": int, "metavar": ("L", "T", "R", "B")}),
    (
        "--size",
        "size to resize to (default: crop's)",
        {"nargs": 2, "type": int, "metavar": ("W", "H")},
    ),
    ("--fit", "stretch to the size (default), or keep the shape and pad", _one_of(Fit)),
    ("--channels", "3: RGB (default), 1: grey", {"type": int, "choices": (1, 3)}),
    ("--alpha", "transparency: dropped (default) or painted on", _one_of(Alpha)),
    ("--resample", "filter of the resizing (default: bicubic)", _one_of(Resample)),
    ("--pad-crop", "fill with black where the box reaches past the image", _SWITCH),
    ("--exif", "turn images as their EXIF orientation says", _SWITCH),
    (
        "--fast-decode",
        "decode JPEGs at a smaller scale and PNGs down to the crop; pixels may differ",
        _SWITCH,
    ),
    ("--lenient", "keep images that decoders warn about", _SWITCH),
    ("--encoding", "what records hold (default: raw pixels)", _one_of(Encoding)),
    ("--quality", "quality of --encoding jpeg (default: 90)", _NUMBER),
    ("--max-pixels", "refuse larger images (default: 50000000)", _NUMBER),
)
_SHARDS: _Flags = (
    (
        "--split",
        "train, validation, test (default: train=0.9,validation=0.1)",
        {"type": _shares, "metavar": "NAME=SHARE,..."},
    ),
    ("--split-column", "column that names each row's split", _COLUMN),
    (
        "--group-column --split-key",
        "column that decides the split instead of the path: equal values stay together",
        _COLUMN,
    ),
    ("--order", "order of records (default: shuffled)", _one_of(RowOrder)),
    ("--name", "first part of the shards' names (default: images)", {}),
    ("--seed", "seed of splits and order (default: 0)", _NUMBER),
    ("--shard-bytes", "size of a shard (default: 128 MiB)", _NUMBER),
    ("--engine", "processes of this machine (default), or Spark", _one_of(EngineName)),
    ("--master", "Spark's cluster (default: that of spark-submit)", {"metavar": "URL"}),
    _WORKERS,
    (
        "--max-bad-fraction",
        "share of rows that may be left out (default: 0.01)",
        {"type": float, "metavar": "SHARE"},
    ),
)
_VERIFY: _Flags = (
    _DATASET,
    (
        "--manifest",
        "compare rows and labels with this manifest, and name paths",
        {"metavar": "FILE"},
    ),
    _ROOT,
    _ALLOW,
    ("--deep", "decode the sources again and compare every pixel", _SWITCH),
    _WORKERS,
    _JSON,
)
_SHOW: _Flags = (
    _DATASET,
    ("--split", "show one split (default: all)", {"choices": SPLITS}),
    ("--class", "draw records that have this class", {"dest": "class_name", "metavar": "CLASS"}),
    ("--count", "records on a contact sheet (default: 48)", _NUMBER),
    ("--seed", "seed of the choice of records (default: 0)", _NUMBER),
    ("--sheets", "folder for the contact sheets (default: this one)", _DIR),
    ("--overwrite", "let sheets replace other files, too", _SWITCH),
    _JSON,
)


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
            _RUN,
            _run,
        ),
        (
            "verify",
            "check every byte of a dataset",
            "Checks every byte of a dataset; exits with 1 if anything is wrong.",
            _VERIFY,
            _verify,
        ),
        (
            "show",
            "print counts and classes, draw a contact sheet of random records",
            "Prints what a dataset holds, and draws random records with their labels.",
            _SHOW,
            _show,
        ),
    ):
        added = verbs.add_parser(name, help=help_text, description=description)
        added.set_defaults(verb=verb)
        _add(added, flags)
    run = verbs.choices["run"]
    for title, flags in (("labels", _LABELS), ("images", _IMAGES), ("splits and shards", _SHARDS)):
        _add(run.add_argument_group(title), flags)
    return parser


def _add(parser: argparse._ActionsContainer, flags: _Flags) -> None:
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
