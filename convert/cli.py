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
    run = verbs.add_parser(
        "run",
        help="convert a label file and its images (the default)",
        description="Converts a manifest's images into a dataset folder.",
    )
    _add_run_flags(run)
    run.set_defaults(verb=_run)
    verify = verbs.add_parser(
        "verify",
        help="check every byte of a dataset",
        description="Checks every byte of a dataset; exits with 1 if anything is wrong.",
    )
    _add_verify_flags(verify)
    verify.set_defaults(verb=_verify)
    show = verbs.add_parser(
        "show",
        help="print counts and classes, draw a contact sheet of random records",
        description="Prints what a dataset holds, and draws random records with their labels.",
    )
    _add_show_flags(show)
    show.set_defaults(verb=_show)
    return parser


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag for each field of ConvertConfig."""
    add = parser.add_argument
    add(
        "manifest",
        metavar="MANIFEST",
        help="label file with a row for each image, or a folder that has one",
    )
    add("dataset", metavar="DATASET", help="folder to make")
    add("--json", action="store_true", help="print a JSON summary as the last line on stdout")
    add("--overwrite", action="store_true", help="replace a finished dataset")
    add(
        "--retry-quarantined",
        action="store_true",
        help="convert again the rows that a finished dataset left out",
    )
    _add_label_flags(parser.add_argument_group("labels"))
    _add_image_flags(parser.add_argument_group("images"))
    _add_shard_flags(parser.add_argument_group("splits and shards"))


def _add_label_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--root", metavar="DIR", help="folder the paths start from (default: the manifest's)")
    add(
        "--allow",
        metavar="DIR",
        action="append",
        help="folder outside --root that paths and links may lead into",
    )
    add(
        "--format",
        choices=get_args(ManifestFormat),
        help="dialect of the label file (default: the one that its content shows)",
    )
    add(
        "--manifest-encoding",
        metavar="NAME",
        help="encoding of the label file (default: utf-8, or by its byte order mark)",
    )
    add(
        "--path-column",
        metavar="COLUMN",
        help="column of the paths (default: path, or another usual name)",
    )
    add(
        "--from-names",
        metavar="REGEX",
        help="MANIFEST is a folder of images; the groups in their names are the labels",
    )
    add(
        "--label-columns",
        metavar="Y0,Y1,...",
        type=lambda text: tuple(text.split(",")),
        help="a column for each output (default: those named y and digits)",
    )
    add(
        "--text-column",
        metavar="COLUMN",
        help="column whose characters are the labels (default: a usual name)",
    )
    add("--text-length", metavar="N", type=int, help="characters in a text (default: commonest)")
    add("--pad-label", action="store_true", help="pad shorter texts with a blank class")
    add(
        "--verbatim-labels",
        action="store_true",
        help="keep blanks around labels, and other Unicode forms than NFC",
    )
    add("--labels-are-indices", action="store_true", help="labels are integers, not classes")
    add(
        "--vocabulary",
        metavar="[OUTPUT=]FILE",
        action="append",
        help="file with one class a line, or a dataset to take them from, for all outputs or one "
        "(default: every label that occurs)",
    )


def _add_image_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--crop", nargs=4, type=int, metavar=("L", "T", "R", "B"), help="box in source pixels")
    add("--size", nargs=2, type=int, metavar=("W", "H"), help="size to resize to (default: crop's)")
    add(
        "--fit",
        choices=get_args(Fit),
        help="stretch to the size (default), or keep the shape and pad",
    )
    add("--channels", type=int, choices=(1, 3), help="3: RGB (default), 1: grey")
    add("--alpha", choices=get_args(Alpha), help="transparency: dropped (default) or painted on")
    add("--resample", choices=get_args(Resample), help="filter of the resizing (default: bicubic)")
    add(
        "--pad-crop",
        action="store_true",
        help="fill with black where the box reaches past the image",
    )
    add("--exif", action="store_true", help="turn images as their EXIF orientation says")
    add(
        "--fast-decode",
        action="store_true",
        help="decode JPEGs at a smaller scale and PNGs down to the crop; pixels may differ",
    )
    add("--lenient", action="store_true", help="keep images that decoders warn about")
    add("--encoding", choices=get_args(Encoding), help="what records hold (default: raw pixels)")
    add("--quality", type=int, metavar="N", help="quality of --encoding jpeg (default: 90)")
    add("--max-pixels", type=int, metavar="N", help="refuse larger images (default: 50000000)")


def _add_shard_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--split",
        type=_shares,
        metavar="NAME=SHARE,...",
        help="train, validation, test (default: train=0.9,validation=0.1)",
    )
    add("--split-column", metavar="COLUMN", help="column that names each row's split")
    add("--group-column", metavar="COLUMN", help="rows with equal values stay in one split")
    add("--order", choices=get_args(RowOrder), help="order of records (default: shuffled)")
    add("--name", help="first part of the shards' names (default: images)")
    add("--seed", type=int, metavar="N", help="seed of splits and order (default: 0)")
    add("--shard-bytes", type=int, metavar="N", help="size of a shard (default: 128 MiB)")
    add(
        "--engine",
        choices=get_args(EngineName),
        help="processes of this machine (default), or Spark",
    )
    add("--master", metavar="URL", help="Spark's cluster (default: that of spark-submit)")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add(
        "--max-bad-fraction",
        type=float,
        metavar="SHARE",
        help="share of rows that may be left out (default: 0.01)",
    )


def _add_verify_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag for each field of VerifyConfig."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="folder that convert made")
    add("--manifest", metavar="FILE", help="the dataset's manifest: messages then name paths")
    add("--root", metavar="DIR", help="folder the paths start from (default: the manifest's)")
    add(
        "--allow",
        metavar="DIR",
        action="append",
        help="folder outside --root that paths and links may lead into",
    )
    add("--deep", action="store_true", help="decode the sources again and compare every pixel")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add("--json", action="store_true", help="print a JSON summary as the last line on stdout")


def _add_show_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag for each field of ShowConfig."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="folder that convert made")
    add("--split", choices=SPLITS, help="show one split (default: all)")
    add("--class", dest="class_name", metavar="CLASS", help="draw records that have this class")
    add("--count", type=int, metavar="N", help="records on a contact sheet (default: 48)")
    add("--seed", type=int, metavar="N", help="seed of the choice of records (default: 0)")
    add("--sheets", metavar="DIR", help="folder for the contact sheets (default: this one)")
    add("--overwrite", action="store_true", help="let sheets replace other files, too")
    add("--json", action="store_true", help="print a JSON summary as the last line on stdout")


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    """Parses `train=0.8,validation=0.2`."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return tuple((name, float(share)) for name, share in pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected NAME=SHARE,..., got {text!r}") from error


def _options(namespace: argparse.Namespace, config: type[Config]) -> Config:
    """Returns a verb's options; a flag that was not given keeps the config's default."""
    given: dict[str, Any] = {}
    for field in fields(config):  # type: ignore[arg-type]  # each config is a dataclass
        value = getattr(namespace, field.name)
        if value is not None:
            given[field.name] = tuple(value) if isinstance(value, list) else value
    return config(**given)


def _run(namespace: argparse.Namespace) -> int:
    from convert.job import convert_dataset

    result = convert_dataset(_options(namespace, ConvertConfig), say)
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
