"""The flags of each verb: a table a group."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from convert.config import (
    SPLITS,
    Alpha,
    Encoding,
    EngineName,
    Fit,
    ManifestFormat,
    Resample,
    RowOrder,
)


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    """Parses `train=0.8,validation=0.2`."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return tuple((name, float(share)) for name, share in pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected NAME=SHARE,..., got {text!r}") from error


Flags = tuple[tuple[str, str, dict[str, Any]], ...]
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

RUN: Flags = (
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
LABELS: Flags = (
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
IMAGES: Flags = (
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
SHARDS: Flags = (
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
VERIFY: Flags = (
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
SHOW: Flags = (
    _DATASET,
    ("--split", "show one split (default: all)", {"choices": SPLITS}),
    ("--class", "draw records that have this class", {"dest": "class_name", "metavar": "CLASS"}),
    ("--count", "records on a contact sheet (default: 48)", _NUMBER),
    ("--seed", "seed of the choice of records (default: 0)", _NUMBER),
    ("--sheets", "folder for the contact sheets (default: this one)", _DIR),
    ("--overwrite", "let sheets replace other files, too", _SWITCH),
    _JSON,
)
