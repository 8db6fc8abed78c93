"""The `train` command."""

from __future__ import annotations

import argparse
import csv
import faulthandler
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from convert.command import OneLineParser, run_verb
from convert.version import __version__
from train.config import Head, ModelName, TrainConfig

if TYPE_CHECKING:
    from train.evaluate import RunEvaluation
    from train.run import TrainResult

_EPILOG = """\
examples:
  train strips
  train evaluate runs/1
  train predict runs/1 scan-1.png scan-2.jpg

`train DATASET` is short for `train fit DATASET`. Exit codes: 0 done, 1 failed, 2 wrong usage,
75 try again, 143 stopped by SIGTERM.
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    faulthandler.enable()  # a shard that another program shortens is a SIGBUS
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run_verb("train", _parser(), "fit", {"fit", "evaluate", "predict"}, words))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="train",
        description="Trains a multi-output recogniser on a dataset that `convert` made.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"shardfeed {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    fit = verbs.add_parser("fit", help="train into a run folder (the default)")
    _add_fit_flags(fit)
    fit.set_defaults(verb=_fit)
    evaluate = verbs.add_parser("evaluate", help="measure a run's best weights on a split")
    add = evaluate.add_argument
    add("run", metavar="RUN", help="folder of a run")
    add("dataset", metavar="DATASET", nargs="?", help="dataset (default: the run's own)")
    add("--split", help="train, validation or test (default: test, else validation)")
    add("--json", action="store_true", help="print a JSON summary as the last line on stdout")
    evaluate.set_defaults(verb=_evaluate)
    predict = verbs.add_parser("predict", help="read image files")
    add = predict.add_argument
    add("run", metavar="RUN", help="folder of a run")
    add("images", metavar="IMAGE", nargs="+", help="image files, as they were before conversion")
    predict.set_defaults(verb=_predict)
    return parser


def _add_fit_flags(parser: argparse.ArgumentParser) -> None:
    """Adds one flag for each field of TrainConfig."""
    default = {field.name: field.default for field in fields(TrainConfig)}
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="folder that `convert` made")
    add("--run", metavar="DIR", help="folder to make (default: the next number under runs/)")
    add("--json", action="store_true", help="print a JSON summary as the last line on stdout")
    for name, metavar, kind, text in (
        ("epochs", "N", int, "times to go through the training split"),
        ("batch_size", "N", int, "images of a step"),
        ("learning_rate", "RATE", float, "peak of warm-up and cosine decay"),
        ("weight_decay", "RATE", float, "decoupled decay of kernels"),
        ("warmup", "SHARE", float, "share of the steps that the warm-up takes"),
        ("label_smoothing", "SHARE", float, "share of the target spread over all classes"),
        ("clip_norm", "NORM", float, "largest global norm of a gradient"),
        ("seed", "N", int, "of weights, order, dropout and augmentation"),
    ):
        flag = "--" + name.replace("_", "-")
        add(flag, type=kind, metavar=metavar, help=f"{text} (default: {default[name]})")
    add("--model", choices=get_args(ModelName), help=f"network (default: {default['model']})")
    add("--head", choices=get_args(Head), help="classifier for all outputs, or one each")
    add("--no-augment", dest="augment", action="store_false", help="leave training images alone")
    add("--window", type=int, metavar="N", help="records shuffled as one (default: 4 GiB's)")


def _import_keras() -> None:
    """Imports Keras and its backend without the lines that TensorFlow prints while it loads.

    TF_CPP_MIN_LOG_LEVEL does not silence those; errors are printed all the same.
    """
    # TensorFlow's later start-up lines would stand among ours; its errors are exceptions to us.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _fit(namespace: argparse.Namespace) -> int:
    given = {field.name: getattr(namespace, field.name) for field in fields(TrainConfig)}
    config = TrainConfig(**{name: value for name, value in given.items() if value is not None})

    _import_keras()
    from train.run import train_model

    result = train_model(config, _say)
    for line in _fit_summary(result):
        _say(line)
    if namespace.json:
        print(json.dumps(_fit_json(result)), flush=True)
    return 0


def _fit_summary(result: TrainResult) -> list[str]:
    best = result.best
    lines = [
        f"{result.epochs} epochs, {result.steps:,} steps in {result.seconds:.0f} s, "
        f"{result.images_per_second:,.0f} images/s, input wait {result.input_wait:.1%}"
    ]
    if "validation_exact" in best:
        lines.append(
            f"best epoch {best['epoch']}: exact {best['validation_exact']:.1%}, "
            f"characters {best['validation_character_accuracy']:.1%} on validation"
        )
    return [*lines, f"the run's files are in {result.run}"]


def _fit_json(result: TrainResult) -> dict[str, Any]:
    return {
        "run": result.run,
        "epochs": result.epochs,
        "steps": result.steps,
        "exact": result.best.get("validation_exact"),
        "character_accuracy": result.best.get("validation_character_accuracy"),
        "images_per_second": result.images_per_second,
        "input_wait": result.input_wait,
        "seconds": round(result.seconds, 3),
    }


def _evaluate(namespace: argparse.Namespace) -> int:
    from train.folder import RunFolder

    run = RunFolder.open(namespace.run)
    _import_keras()
    from train.evaluate import evaluate_run

    result = evaluate_run(run, namespace.dataset, namespace.split)
    print("\n".join(_evaluation_lines(result)), flush=True)
    if namespace.json:
        print(json.dumps(_evaluation_json(run.path, result, run.history())), flush=True)
    return 0


def _evaluation_lines(result: RunEvaluation) -> list[str]:
    """Returns what a person wants to know of an evaluation."""
    from train.evaluate import confused_pairs, text_of, worst_records

    evaluation, info = result.evaluation, result.info
    outputs = ", ".join(
        f"{name} {share:.1%}"
        for name, share in zip(info.outputs, evaluation.output_accuracies, strict=True)
    )
    lines = [
        f"{result.split}: {len(evaluation.labels):,} records",
        f"exact match         {evaluation.exact:.1%}",
        f"character accuracy  {evaluation.character_accuracy:.1%}  ({outputs})",
        f"loss                {evaluation.loss:.4f}",
    ]
    pairs = confused_pairs(evaluation, info)
    if pairs:
        shown = ", ".join(f"{t or 'blank'} as {p or 'blank'} {n}" for t, p, n in pairs)
        lines.append(f"confused            {shown}")
    for record, row in zip(worst_records(evaluation), result.rows, strict=True):
        label = text_of(evaluation.labels[record].tolist(), info)
        read = text_of(evaluation.predictions[record].tolist(), info)
        lines.append(f"misread             manifest row {row}: {label} as {read}")
    return lines


def _evaluation_json(
    path: str, result: RunEvaluation, history: list[dict[str, str]]
) -> dict[str, Any]:
    last = history[-1] if history else {}
    return {
        "run": path,
        "split": result.split,
        "records": len(result.evaluation.labels),
        "epochs": int(last.get("epoch", 0)),
        "steps": int(last.get("step", 0)),
        "exact": result.evaluation.exact,
        "character_accuracy": result.evaluation.character_accuracy,
        "output_accuracies": result.evaluation.output_accuracies,
        "loss": result.evaluation.loss,
        "images_per_second": float(last.get("images_per_second", 0)),
        "input_wait": float(last.get("input_wait", 0)),
    }


def _predict(namespace: argparse.Namespace) -> int:
    from train.folder import RunFolder

    run = RunFolder.open(namespace.run)
    _import_keras()
    from train.predict import predict_files

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "text", "confidence", "error"])
    num_errors = 0
    for prediction in predict_files(run, namespace.images):
        confidence = "" if prediction.error else f"{prediction.confidence:.4f}"
        writer.writerow([prediction.path, prediction.text, confidence, prediction.error])
        num_errors += bool(prediction.error)
    if num_errors:
        _say(f"{num_errors} of {len(namespace.images)} images could not be read; see `error`")
    return int(num_errors == len(namespace.images))


def _say(line: str) -> None:
    print(f"train: {line}", file=sys.stderr, flush=True)
