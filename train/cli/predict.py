"""`train predict`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import get_args

from train.cli.startup import Verbs, add_model, import_keras, import_model, say
from train.predict.config import Format, PredictConfig

_DESCRIPTION = """\
Reads images with a run's best weights, cropped and resized as in conversion. Results come in the
order of the images; one that cannot be read gets a row with the reason.
"""


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser(
        "predict", help="read image files, a manifest or a split", description=_DESCRIPTION
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run, or hdfs://...")
    add(
        "images",
        metavar="IMAGE",
        nargs="*",
        help="file, folder or quoted glob of unconverted images; - reads a list from stdin",
    )
    default = {field.name: field.default for field in fields(PredictConfig)}
    add(
        "--manifest",
        metavar="FILE",
        help="label file whose images are read; with --split, the one that the dataset was made "
        "from, which names the images",
    )
    add(
        "--manifest-encoding",
        metavar="NAME",
        help="encoding of the manifest (default: utf-8, or by its byte order mark)",
    )
    add("--path-column", metavar="COLUMN", help="column of the paths (default: a usual name)")
    add("--text-column", metavar="COLUMN", help="column of the texts (default: a usual name)")
    add("--root", metavar="DIR", help="folder the paths start from (default: the manifest's)")
    add(
        "--allow",
        metavar="DIR",
        action="append",
        help="folder outside --root that paths and links may lead into",
    )
    add("--split", help="read the records of train, validation or test")
    add("--dataset", metavar="DIR", help="dataset of the split (default: the run's own)")
    add("--format", choices=get_args(Format), help="format of the result (default: csv)")
    add("--top-k", type=int, metavar="N", help="print the N likeliest classes of each output")
    add(
        "--threshold",
        type=float,
        metavar="T",
        help="add a column `accept`: `accept` from this confidence on, else `review`",
    )
    add(
        "--accept",
        type=_share,
        metavar="SHARE",
        help="the same, from the threshold that keeps this share of accepted texts exact, such as "
        "99.5%% (says so with 95%% confidence, or stops)",
    )
    add("--output", metavar="FILE", help="file to write, whole or not at all (default: stdout)")
    add("--overwrite", action="store_true", help="let --output replace any file, not only a result")
    for flag, text in (
        ("--batch-size", f"images read at once (default: {default['batch_size']})"),
        ("--workers", "threads that prepare images (default: one per core and six more)"),
    ):
        add(flag, type=int, metavar="N", help=text)
    add_model(parser)
    parser.set_defaults(verb=_predict)


def _share(text: str) -> float:
    """Returns a share that a flag names, as `99.5%` or 0.995."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no share, such as 99.5%") from error


def _predict(namespace: argparse.Namespace) -> int:
    given = {field.name: getattr(namespace, field.name) for field in fields(PredictConfig)}
    given["images"] = tuple(given["images"])
    given["allow"] = tuple(given["allow"] or ())
    config = PredictConfig(**{name: value for name, value in given.items() if value is not None})
    from train.runs.open import read_run

    with read_run(namespace.run) as run:
        import_keras()
        import_model(namespace)
        from train.predict.pipeline import predict_images

        result = predict_images(run, config, say)
    say(result.summary)
    for line in (result.accepted, result.accuracy):
        if line is not None:
            say(line)
    return int(result.errors == result.images)
