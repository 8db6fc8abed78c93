"""`train predict`."""

from __future__ import annotations

import argparse
import csv
import sys

from train.verbs.startup import Verbs, import_keras, say


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser("predict", help="read image files")
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run")
    add("images", metavar="IMAGE", nargs="+", help="image files, as they were before conversion")
    parser.set_defaults(verb=_predict)


def _predict(namespace: argparse.Namespace) -> int:
    from train.folder import RunFolder

    run = RunFolder.open(namespace.run)
    import_keras()
    from train.predict import predict_files

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "text", "confidence", "error"])
    num_errors = 0
    for prediction in predict_files(run, namespace.images):
        confidence = "" if prediction.error else f"{prediction.confidence:.4f}"
        writer.writerow([prediction.path, prediction.text, confidence, prediction.error])
        num_errors += bool(prediction.error)
    if num_errors:
        say(f"{num_errors} of {len(namespace.images)} images could not be read; see `error`")
    return int(num_errors == len(namespace.images))
