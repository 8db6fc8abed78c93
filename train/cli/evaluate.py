"""`train evaluate`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convert.command.streams import print_result
from convert.errors import printable
from train.cli.startup import Verbs, add_cache, add_json, add_model, import_keras, import_model
from train.pages.numbers import percent

if TYPE_CHECKING:
    from train.evaluation.evaluate_run import RunEvaluation
    from train.evaluation.evidence import Acceptance
    from train.evaluation.predictions import Evaluation
    from train.evaluation.scores import RarityGroup

_GROUPS = 5  # of labels, by confidence: more make the line too long


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser("evaluate", help="measure a run's best weights on a split")
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run, or hdfs://...")
    add("dataset", metavar="DATASET", nargs="?", help="dataset (default: the run's own)")
    add("--split", help="train, validation or test (default: test, else validation)")
    add("--worst", metavar="N", type=int, default=10, help="misread records to name (default: 10)")
    add_cache(parser)
    add_json(parser)
    add_model(parser)
    parser.set_defaults(verb=_evaluate)


def _evaluate(namespace: argparse.Namespace) -> int:
    from train.runs.open import read_run

    with read_run(namespace.run) as run:
        import_keras()
        import_model(namespace)
        from train.evaluation.evaluate_run import evaluate_run

        result = evaluate_run(
            run,
            namespace.dataset,
            namespace.split,
            namespace.worst,
            cache=namespace.cache,
            cache_bytes=namespace.cache_bytes,
        )
        print_result("\n".join(map(printable, evaluation_lines(result))))
        if namespace.json:
            print_result(json.dumps(evaluation_json(run.address, result, run.history())))
    return 0


def evaluation_lines(result: RunEvaluation) -> list[str]:
    """Returns the lines to print about an evaluation."""
    from train.evaluation.confusion import confused_pairs

    evaluation, info = result.evaluation, result.info
    numbers = {
        "exact match": f"{evaluation.exact:.1%}",
        "character accuracy": f"{evaluation.character_accuracy:.1%}  "
        + _by_output(info.outputs, evaluation.output_accuracies),
        "top-5 accuracy": f"{evaluation.top5_accuracy:.1%}  "
        + _by_output(info.outputs, evaluation.output_top5_accuracies),
        "loss": f"{evaluation.loss:.4f}",
        "calibration": _calibration(result),
        **_reliability(evaluation),
        **_acceptance(evaluation),
        "rare classes": _rarity(result.rarity),
    }
    lines = [f"{result.split}: {len(evaluation.labels):,} records"]
    if not result.is_own:
        lines.append(f"trained on          {_seen(result)}")
    lines += [f"{name:<18}  {value}" for name, value in numbers.items()]
    pairs = confused_pairs(evaluation, info)
    if pairs:
        shown = ", ".join(
            f"{p.true or 'blank'} as {p.predicted or 'blank'} {p.count} ({p.share:.0%})"
            for p in pairs
        )
        lines.append(f"confused            {shown}")
    lines += [
        f"misread             manifest row {row['row']}"
        f"{', ' * bool(row['path'])}{row['path']}: {row['label']} as {row['prediction']}"
        for row in _misread(result)
    ]
    return lines


def _seen(result: RunEvaluation) -> str:
    """Returns how many records of another dataset the run knows from its training."""
    if result.seen is None:
        return "not known: this is not the run's dataset, and that one is not there any more"
    records = f"{result.seen:,} of {len(result.evaluation.labels):,} records"
    return f"{records}, whose pictures are in the run's own training split"


def _by_output(outputs: Iterable[str], shares: Iterable[float]) -> str:
    return (
        f"({', '.join(f'{name} {share:.1%}' for name, share in zip(outputs, shares, strict=True))})"
    )


def _calibration(result: RunEvaluation) -> str:
    """Returns how the confidences were made."""
    halves = "; here each half is scored with what the other half gave"
    return f"{result.calibration}{halves if result.is_fitted else ''}"


def _reliability(evaluation: Evaluation) -> dict[str, str]:
    """Returns the lines on how far confidences come true."""
    labels, characters = evaluation.label_reliability(), evaluation.character_reliability()
    few = evaluation.label_reliability(_GROUPS)
    groups = zip(few.confidences, few.accuracies, few.counts, strict=True)
    told = [
        f"{percent(sure)} sure, {percent(right)} right of {count:,}"
        for sure, right, count in groups
    ]
    return {
        "calibration error": f"{labels.error:.1%} of labels (a perfect model: "
        f"{labels.chance:.1%}), {characters.error:.1%} of characters (a perfect model: "
        f"{characters.chance:.1%})",
        "labels by group": "; ".join(reversed(told)),
    }


def _acceptance(evaluation: Evaluation) -> dict[str, str]:
    """Returns the lines on records that can be accepted by machine alone."""
    from train.evaluation.scores import COVERAGES, PRECISIONS

    evidence, selection = evaluation.evidence(), evaluation.selection()
    told = {f"{100 * p:.4g}% exact": _accepted(evidence.acceptance(p)) for p in PRECISIONS}
    surest = [f"surest {c:.0%}: {selection.at_coverage(c).exact:.1%} exact" for c in COVERAGES[1:]]
    return {**told, "by confidence": ", ".join(surest)}


def _accepted(found: Acceptance | str) -> str:
    if isinstance(found, str):
        return found
    return (
        f"from a confidence of {found.threshold:g}: {found.coverage:.1%} of records, "
        f"{found.wrong:,} of {found.records:,} misread, so at least {100 * found.at_least:.2f}% "
        "with 95% confidence"
    )


def _rarity(groups: list[RarityGroup] | None) -> str:
    """Returns how well characters are read, by how often training saw their class."""
    if groups is None:
        return "not known before the run has ended"
    return "seen " + ", ".join(
        f"{_times(group)} {group.accuracy:.1%} of {group.characters:,}"
        for group in groups
        if group.accuracy is not None
    )


def _times(group: RarityGroup) -> str:
    if group.most is None:
        return f"{group.least} times and more"
    return f"{group.least}-{group.most} times" if group.most else "never"


def _misread(result: RunEvaluation) -> list[dict[str, Any]]:
    """Returns the worst records: manifest row, path, label, prediction, confidence."""
    from train.records.texts import text_of

    evaluation, info = result.evaluation, result.info
    confidences = evaluation.label_confidences
    return [
        {
            "row": row,
            "path": path,
            "label": text_of(evaluation.labels[record].tolist(), info),
            "prediction": text_of(evaluation.predictions[record].tolist(), info),
            "confidence": float(confidences[record]),
        }
        for record, row, path in zip(result.worst, result.rows, result.paths, strict=True)
    ]


def evaluation_json(
    path: str, result: RunEvaluation, history: list[dict[str, str]]
) -> dict[str, Any]:
    """Returns all that is known of an evaluation, for programs; shares are in [0, 1].

    Args:
        path: The run's folder, as the user wrote it.
        result: The evaluation.
        history: The run's.
    """
    from train.evaluation.confusion import confused_pairs
    from train.evaluation.scores import COVERAGES, PRECISIONS

    last = history[-1] if history else {}
    evaluation = result.evaluation
    selection, evidence = evaluation.selection(), evaluation.evidence()
    labels, characters = evaluation.label_reliability(), evaluation.character_reliability()
    return {
        "run": path,
        "split": result.split,
        "dataset_id": result.dataset_id,
        "own_dataset": result.is_own,
        "trained_on": result.seen,
        "records": len(evaluation.labels),
        "epochs": int(last.get("epoch", 0)),
        "steps": int(last.get("step", 0)),
        "exact": evaluation.exact,
        "character_accuracy": evaluation.character_accuracy,
        "output_accuracies": evaluation.output_accuracies,
        "top5_accuracy": evaluation.top5_accuracy,
        "output_top5_accuracies": evaluation.output_top5_accuracies,
        "loss": evaluation.loss,
        "calibration": None if (scale := result.calibration.scale) is None else asdict(scale),
        "calibration_is_fitted_here": result.is_fitted,
        "label_calibration_error": labels.error,
        "label_calibration_error_by_chance": labels.chance,
        "character_calibration_error": characters.error,
        "character_calibration_error_by_chance": characters.chance,
        "at_precision": [_cut_json(p, evidence.acceptance(p)) for p in PRECISIONS],
        "at_coverage": [
            {"asked": coverage, **asdict(selection.at_coverage(coverage))} for coverage in COVERAGES
        ],
        "rare_classes": result.rarity and [asdict(group) for group in result.rarity],
        "confused": [asdict(pair) for pair in confused_pairs(evaluation, result.info)],
        "misread": _misread(result),
        "images_per_second": float(last.get("images_per_second", 0)),
        "input_wait": float(last.get("input_wait", 0)),
    }


def _cut_json(asked: float, found: Acceptance | str) -> dict[str, Any]:
    """Returns a threshold as JSON; one that the evidence does not give has `reason` alone."""
    if isinstance(found, str):
        return {"asked": asked, "threshold": None, "coverage": 0.0, "reason": found}
    return {"asked": asked, **asdict(found), "at_least": found.at_least}
