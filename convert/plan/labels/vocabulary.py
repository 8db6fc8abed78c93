"""Vocabularies: which classes each output has, and every label as a class index."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BLANK = ""
"""The class that pads short texts; always the last one of its vocabulary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabularies:
    """The outputs and the classes that they share or do not share.

    Attributes:
        outputs: Output name -> vocabulary name, in label order.
        classes: Vocabulary name -> class names in index order.
    """

    outputs: dict[str, str]
    classes: dict[str, tuple[str, ...]]

    def of(self, output: str) -> tuple[str, ...]:
        """Returns the classes of an output."""
        return self.classes[self.outputs[output]]


def read_vocabulary(file: str, path: str, *, verbatim: bool = False) -> tuple[str, ...]:
    """Reads a file with one class a line, UTF-8, in index order.

    Args:
        file: The file.
        path: What messages call it.
        verbatim: Take classes as they are; else they become what labels become: text in
            Unicode's normal form C without blanks around it; a line of blanks alone is a class.

    Raises:
        UsageError: The file cannot be read, is empty, or names a class twice.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot read the vocabulary: {reason}.") from error
    classes = tuple(line.removesuffix("\r") for line in lines)
    classes = classes[:-1] if classes[-1] == "" else classes
    if not classes:
        raise UsageError(f"{path}: the vocabulary is empty. It needs one class a line.")
    first: dict[str, int] = {}
    if not verbatim:
        classes = tuple(unicodedata.normalize("NFC", name.strip() or name) for name in classes)
    for line, name in enumerate(classes, 1):
        if not name:
            raise UsageError(f"{path}: line {line} is empty. Each line is a class.")
        if name in first:
            raise UsageError(f"{path}: line {line} repeats the class {name!r} of {first[name]}.")
        first[name] = line
    return classes


def build_vocabularies(
    found: Mapping[str, Set[str]],
    given: Mapping[str, tuple[str, ...]],
    *,
    shared_name: str | None = None,
) -> Vocabularies:
    """Finds the classes of each output.

    Outputs with one given vocabulary share it; of the others, those whose labels overlap,
    directly or through a third, share all their labels in code-point order.

    Args:
        found: Output name -> the distinct labels. `BLANK` sorts last.
        given: Output name -> classes, for outputs whose vocabulary the user gave.
        shared_name: Name of the one vocabulary of all outputs (those of a text). None: outputs
            share where they overlap, and the first of them names the vocabulary.
    """
    groups = [list(found)] if shared_name else _overlapping(found, given)
    outputs: dict[str, str] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for members in groups:
        name = shared_name or members[0]
        classes[name] = given.get(members[0]) or _sorted(found[member] for member in members)
        outputs.update(dict.fromkeys(members, name))
    return Vocabularies(outputs={name: outputs[name] for name in found}, classes=classes)


def grown(
    given: Mapping[str, tuple[str, ...]], found: Mapping[str, Set[str]]
) -> dict[str, tuple[str, ...]]:
    """Returns given vocabularies with the labels that they lack after them, in code-point order.

    Args:
        given: Output name -> classes; they keep their indices.
        found: Output name -> the distinct labels. `BLANK` is none that a vocabulary lacks.
    """
    together: dict[tuple[str, ...], set[str]] = {}  # outputs of one vocabulary go on to share it
    for output, classes in given.items():
        together.setdefault(classes, {BLANK}).update(found[output])
    return {
        output: classes + tuple(sorted(together[classes].difference(classes) - {BLANK}))
        for output, classes in given.items()
    }


def encode_labels(
    labels: Mapping[str, pa.Array], vocabularies: Vocabularies, *, are_indices: bool
) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Returns each label's class index.

    Args:
        labels: Output name -> text labels, all of one length.
        vocabularies: The outputs' classes.
        are_indices: The texts are class indices rather than class names.

    Returns:
        int32, shape (rows, outputs); -1 where a label is not in its vocabulary.
    """
    import pyarrow as pa
    from pyarrow import compute

    columns = []
    for output, texts in labels.items():
        classes = vocabularies.of(output)
        names = [str(index) for index in range(len(classes))] if are_indices else classes
        value_set = pa.array(names, pa.large_string())
        indices = compute.fill_null(compute.index_in(texts, value_set=value_set), -1)
        columns.append(indices.to_numpy(zero_copy_only=False))
    return np.stack(columns, axis=1).astype(np.int32, copy=False)


def _sorted(found: Iterable[Set[str]]) -> tuple[str, ...]:
    """Returns distinct texts in code-point order, the blank last."""
    texts = set[str]().union(*found)
    return tuple(sorted(texts - {BLANK})) + ((BLANK,) if BLANK in texts else ())


def _overlapping(
    found: Mapping[str, Set[str]], given: Mapping[str, tuple[str, ...]]
) -> list[list[str]]:
    """Groups outputs that share a vocabulary, in the outputs' order."""
    groups: list[tuple[list[str], Set[str] | tuple[str, ...]]] = []
    for output, own in found.items():
        if output in given:
            same = [group for group in groups if group[1] == given[output]]
            merged: Set[str] | tuple[str, ...] = given[output]
        else:
            same = [g for g in groups if isinstance(g[1], Set) and not own.isdisjoint(g[1])]
            merged = set(own).union(*(group[1] for group in same))
        members = [name for group in same for name in group[0]] + [output]
        groups = [group for group in groups if group not in same] + [(members, merged)]
    position = {name: index for index, name in enumerate(found)}
    ordered = [sorted(members, key=position.__getitem__) for members, _ in groups]
    return sorted(ordered, key=lambda members: position[members[0]])
