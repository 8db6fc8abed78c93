"""Lines that say how the labels of a plan were read, and warnings of strange ones."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from convert.plan.labels.columns import is_empty
from convert.plan.labels.vocabulary import BLANK
from convert.plan.shard_specs import Plan

_EXAMPLES = 3
_OUTPUTS_SHOWN = 8
# Unicode's general categories of what nobody sees: controls, formats such as the zero-width
# space, half characters, separators of lines and paragraphs.
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Further characters that Unicode has to be ignored where nothing supports them: joiners,
# fillers of Hangul, variation selectors; and the empty Braille pattern.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)

Ints = np.ndarray[Any, np.dtype[Any]]


def understood(plan: Plan) -> list[str]:
    """Describes the outputs, classes and texts that a plan has found.

    Args:
        plan: The plan.
    """
    good = _good_rows(plan)
    lines = [_outputs(plan) + _examples(plan, good)]
    if plan.corrected is not None:
        lines.append(plan.corrected.line())
    if plan.changed is not None:
        changed = plan.changed
        labels = "1 label" if changed.labels == 1 else f"{changed.labels:,} labels"
        lines.append(
            f"{labels} had blanks around them or were not in Unicode's normal form C, and were "
            f"changed: row {changed.row}, {changed.before!r} to {changed.after!r}; "
            "--verbatim-labels keeps them"
        )
    if plan.split_column is not None:
        splits = ", ".join(f"{name} {len(rows):,}" for name, rows in plan.splits.items())
        lines.append(f"splits from {plan.split_column!r}: {splits}")
    strange = (*_split_key(plan, good), *_strange(plan, good))
    return lines + [f"warning: {text}" for text in strange]


def _good_rows(plan: Plan) -> Ints:
    """Returns the manifest rows that are planned, in order."""
    is_good = np.zeros(plan.manifest.num_rows, bool)
    for rows in plan.splits.values():
        is_good[rows] = True
    return np.flatnonzero(is_good)


def _outputs(plan: Plan) -> str:
    """Returns how many outputs there are, and of how many classes."""
    outputs = plan.vocabularies.outputs
    sizes = {name: len(plan.vocabularies.of(name)) for name in outputs}
    plural = "output" if len(outputs) == 1 else "outputs"
    if len(set(sizes.values())) == 1:
        each = "" if len(outputs) == 1 else " each"
        return f"{len(outputs)} {plural} of {next(iter(sizes.values())):,} classes{each}"
    shown = [f"{name} {size:,}" for name, size in list(sizes.items())[:_OUTPUTS_SHOWN]]
    more = ["..."] if len(sizes) > _OUTPUTS_SHOWN else []
    return f"{len(outputs)} outputs; classes: {', '.join([*shown, *more])}"


def _examples(plan: Plan, good: Ints) -> str:
    """Returns the labels of a few rows, as examples."""
    shown: list[str] = []
    for row in good[:1000].tolist():
        text = label_of(plan, row)
        if text not in shown:
            shown.append(text)
        if len(shown) == _EXAMPLES:
            break
    return f"; for example {', '.join(shown)}" if shown else ""


def label_of(plan: Plan, row: int) -> str:
    """Returns the labels of a row as one text, blanks at its end left out."""
    names = [
        plan.vocabularies.of(output)[index]
        for output, index in zip(plan.vocabularies.outputs, plan.labels[row], strict=True)
    ]
    separator = "" if all(len(name) <= 1 for name in names) else " "
    return separator.join(names).rstrip()


def _split_key(plan: Plan, good: Ints) -> Iterator[str]:
    """Yields what keeps `--split-key` from what it is there for."""
    key = plan.options["group_column"]
    if key is None:
        return
    if plan.split_column is not None:
        yield (
            f"--split-key {key} decides nothing, since {plan.split_column!r} names each row's "
            "split; --split NAME=SHARE,... would leave it to the key"
        )
        return
    empty = is_empty(plan.manifest.columns[key])[good]
    if np.count_nonzero(empty) > 1:
        yield (
            f"{np.count_nonzero(empty):,} rows have no {key}, and stay together in one split "
            f"(such as row {int(good[np.argmax(empty)])})"
        )


def _strange(plan: Plan, good: Ints) -> Iterator[str]:
    """Yields what is probably not meant, with an example each."""
    for name, classes in plan.vocabularies.classes.items():
        columns = [i for i, v in enumerate(plan.vocabularies.outputs.values()) if v == name]
        counts = np.zeros(len(classes), np.int64)
        for column in columns:
            counts += np.bincount(_labels(plan, good, column), minlength=len(classes))
        for what, index in _odd_classes(classes):
            if counts[index]:
                row = int(good[np.argmax((plan.labels[good][:, columns] == index).any(axis=1))])
                yield f"{what} (row {row}: {plan.manifest.columns['path'][row].as_py()})"
        once, seen = np.count_nonzero(counts == 1), np.count_nonzero(counts)
        if 2 * once > seen:
            yield (
                f"{once:,} of the {seen:,} classes of {_of(plan, name)} occur only once, such as "
                f"{classes[int(np.argmax(counts == 1))]!r}; nothing can be learned of these"
                + _whole_texts(plan, name)
            )
    yield from _constant_outputs(plan, good)


def _labels(plan: Plan, good: Ints, column: int) -> Ints:
    """Returns the labels of one output; where no row is left out, without a copy."""
    labels = plan.labels[:, column]
    return labels if len(good) == len(labels) else labels[good]


def _of(plan: Plan, vocabulary: str) -> str:
    """Returns the outputs of a vocabulary, for messages."""
    members = [o for o, name in plan.vocabularies.outputs.items() if name == vocabulary]
    return members[0] if len(members) == 1 else f"{members[0]} to {members[-1]}"


def _whole_texts(plan: Plan, vocabulary: str) -> str:
    """Returns the advice for labels that are texts of several characters."""
    if plan.vocabularies.outputs.get(vocabulary) != vocabulary:
        return ""  # the vocabulary of a text
    long = sum(len(name) > 1 for name in plan.vocabularies.classes[vocabulary])
    if 2 * long < len(plan.vocabularies.classes[vocabulary]):
        return ""
    return f"; if they are texts, --text-column {vocabulary} makes each character a label"


def _constant_outputs(plan: Plan, good: Ints) -> Iterator[str]:
    """Yields which outputs have one class only; one line for all."""
    constant = {}
    for column, output in enumerate(plan.vocabularies.outputs):
        labels = _labels(plan, good, column)
        if len(labels) > 1 and labels[1] == labels[0] and (labels == labels[0]).all():
            constant[output] = plan.vocabularies.of(output)[labels[0]]
    if constant:
        each = [f"{output} always {name!r}" for output, name in constant.items()]
        more = ", ..." if len(each) > _OUTPUTS_SHOWN else ""
        yield (
            f"there is nothing to learn where a label never changes: "
            f"{', '.join(each[:_OUTPUTS_SHOWN])}{more}"
        )


def _odd_classes(classes: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yields what is odd about classes, and the index of the class: one of each kind."""
    invisible = [(i, c) for i, name in enumerate(classes) for c in name if _is_invisible(c)]
    if invisible:
        index, character = invisible[0]
        count = len({i for i, _ in invisible})
        others = f", as {count - 1:,} more have one" if count > 1 else ""
        yield (
            f"the class {classes[index]!a} has a character that cannot be seen, "
            f"U+{ord(character):04X}{others}",
            index,
        )
    twins: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for index, name in enumerate(classes):
        if name != BLANK:
            first = twins.setdefault(_look(name), index)
            if first != index:
                found.append((first, index))
    if found:
        first, index = found[0]
        others = f", as {len(found) - 1:,} more pairs do" if len(found) > 1 else ""
        yield (
            f"the classes {classes[first]!a} and {classes[index]!a} look alike"
            f" ({_pretty(classes[first])}, {_pretty(classes[index])}){others}",
            index,
        )


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE or bool(_UNSEEN.match(character))


def _look(name: str) -> str:
    """Returns a class as it looks: in normal form KC, without blanks and what nobody sees."""
    folded = unicodedata.normalize("NFKC", name)
    return "".join(c for c in folded if not c.isspace() and not _is_invisible(c))


def _pretty(name: str) -> str:
    """Returns a class as a terminal can show it."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in name)
