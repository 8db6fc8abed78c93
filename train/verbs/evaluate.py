"""`train evaluate`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from train.verbs.startup import Verbs, add_json, import_keras

if TYPE_CHECKING:
    from train.evaluate import RunEvaluation


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser("evaluate", help="measure a run's best weights on a split")
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run")
    add("dataset", metavar="DATASET", nargs="?", help="dataset (default: the run's own)")
    add("--split", help="train, validation or test (default: test, else validation)")
    add_json(parser)
    parser.set_defaults(verb=_evaluate)


def _evaluate(namespace: argparse.Namespace) -> int:
    from train.folder import RunFolder

    run = RunFolder.open(namespace.run)
    import_keras()
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
