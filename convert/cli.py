"""The `convert` command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from convert.command import OneLineParser, run_verb
from convert.config import Alpha, ConvertConfig, Resample, RowOrder
from convert.version import __version__

if TYPE_CHECKING:
    from convert.job import ConvertResult

_EPILOG = """\
examples:
  convert manifest.csv strips --crop 186 0 300 30 --size 128 32
  convert labels.csv cheques --text-column text --pad-label --size 128 32

`convert MANIFEST DATASET` is short for `convert run MANIFEST DATASET`. A run that was stopped
in any way goes on when the same command is given again. Exit codes: 0 done (also: was done
already), 1 failed, 2 wrong usage, 75 try again, 143 stopped by SIGTERM.
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run_verb("convert", _parser(), "run", {"run"}, words))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="convert",
        description="Converts labelled images into sharded TFRecords, once.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"shardfeed {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    run = verbs.add_parser(
        "run",
        help="plan, convert, commit (the default)",
        description="Converts a manifest's images into a dataset folder.",
    )
    _add_run_flags(run)
    run.set_defaults(verb=_run)
    return parser


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag for each field of ConvertConfig."""
    add = parser.add_argument
    add("manifest", metavar="MANIFEST", help=".csv, .tsv, .jsonl or .parquet, a row an image")
    add("dataset", metavar="DATASET", help="folder to make")
    add("--json", action="store_true", help="print a JSON summary as the last line on stdout")
    add("--overwrite", action="store_true", help="replace a finished dataset")
    _add_label_flags(parser.add_argument_group("labels"))
    _add_image_flags(parser.add_argument_group("images"))
    _add_shard_flags(parser.add_argument_group("splits and shards"))


def _add_label_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--root", metavar="DIR", help="folder the paths start from (default: the manifest's)")
    add(
        "--label-columns",
        metavar="Y0,Y1,...",
        type=lambda text: tuple(text.split(",")),
        help="a column per output (default: those named y and digits)",
    )
    add("--text-column", metavar="COLUMN", help="one column whose characters are the labels")
    add("--text-length", metavar="N", type=int, help="characters in a text (default: commonest)")
    add("--pad-label", action="store_true", help="pad shorter texts with a blank class")
    add("--labels-are-indices", action="store_true", help="labels are integers, not classes")
    add(
        "--vocabulary",
        metavar="[OUTPUT=]FILE",
        action="append",
        help="classes, one a line, for all outputs or for one (default: every label that occurs)",
    )


def _add_image_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--crop", nargs=4, type=int, metavar=("L", "T", "R", "B"), help="box in source pixels")
    add("--size", nargs=2, type=int, metavar=("W", "H"), help="size to resize to (default: crop's)")
    add("--channels", type=int, choices=(1, 3), help="3: RGB (default), 1: grey")
    add("--alpha", choices=get_args(Alpha), help="transparency: dropped (default) or painted on")
    add("--resample", choices=get_args(Resample), help="filter of the resizing (default: bicubic)")
    add("--pad-crop", action="store_true", help="fill with black where the box leaves the image")
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
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add(
        "--max-bad-fraction",
        type=float,
        metavar="SHARE",
        help="share of rows that may be left out (default: 0.01)",
    )


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    """Parses `train=0.8,validation=0.2`."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return tuple((name, float(share)) for name, share in pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected NAME=SHARE,..., got {text!r}") from error


def _config(namespace: argparse.Namespace) -> ConvertConfig:
    """Returns the options; a flag that was not given keeps the config's default."""
    given: dict[str, Any] = {}
    for field in fields(ConvertConfig):
        value = getattr(namespace, field.name)
        if value is not None:
            given[field.name] = tuple(value) if isinstance(value, list) else value
    return ConvertConfig(**given)


def _run(namespace: argparse.Namespace) -> int:
    from convert.job import convert_dataset

    result = convert_dataset(_config(namespace), _say)
    for line in _summary(result):
        _say(line)
    if namespace.json:
        print(json.dumps(_json_summary(result)), flush=True)
    return 0


def _say(line: str) -> None:
    print(f"convert: {line}", file=sys.stderr, flush=True)


def _summary(result: ConvertResult) -> list[str]:
    """Returns the lines that end a run."""
    splits = ", ".join(
        f"{split} {result.info.num_records(split):,}" for split in result.info.splits
    )
    if result.already_complete:
        return [f"{result.dataset} is already complete: {splits}"]
    rows = result.rows - result.resumed_rows
    lines = [
        f"{result.records:,} records ({splits}), {result.quarantined:,} rows left out",
        f"{rows:,} rows in {result.seconds:.1f} s, {rows / result.seconds:,.0f} rows/s, "
        f"read {result.input_bytes / 1e6:,.1f} MB at "
        f"{result.input_bytes / 1e6 / result.seconds:,.1f} MB/s",
    ]
    if result.dropped_alpha:
        lines.append(
            f"warning: {result.dropped_alpha:,} images had transparency, which was dropped; "
            "--alpha black or --alpha white would paint them on a ground"
        )
    if result.quarantined:
        lines.append(f"the rows left out are listed in {result.dataset}/quarantine.jsonl")
    return [*lines, f"dataset {result.info.dataset_id[:8]} is complete: {result.dataset}"]


def _json_summary(result: ConvertResult) -> dict[str, Any]:
    """Returns what `--json` prints."""
    return {
        "dataset": result.dataset,
        "dataset_id": result.info.dataset_id,
        "already_complete": result.already_complete,
        "rows": result.rows,
        "records": result.records,
        "quarantined": result.quarantined,
        "dropped_alpha": result.dropped_alpha,
        "resumed_rows": result.resumed_rows,
        "input_bytes": result.input_bytes,
        "seconds": round(result.seconds, 3),
    }
