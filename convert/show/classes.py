"""How often the classes of a vocabulary occur, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convert.plan.labels.vocabulary import BLANK
from convert.show.table import bar, brief, indented, table

Ints = np.ndarray[Any, np.dtype[Any]]

_SHOWN = 10  # of the commonest and of the rarest classes: a screen holds both
_NAMED = 8  # in one line


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassCounts:
    """A vocabulary's classes and how often each occurs. The blank is not counted as one.

    Attributes:
        name: The vocabulary.
        outputs: Those that have it, in label order.
        classes: Class names in index order.
        by_split: Split -> occurrences of each class in all these outputs, int64, shape (classes,).
    """

    name: str
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    by_split: dict[str, Ints]

    @cached_property
    def has_blank(self) -> bool:
        """Whether the last class pads short texts."""
        return self.classes[-1] == BLANK

    @cached_property
    def num_classes(self) -> int:
        """Classes without the blank."""
        return len(self.classes) - self.has_blank

    @cached_property
    def total(self) -> Ints:
        """Occurrences over all splits, int64, shape (num_classes,)."""
        counts: Ints = np.sum(list(self.by_split.values()), axis=0)[: self.num_classes]
        return counts

    @cached_property
    def ranking(self) -> list[int]:
        """Class indices from the commonest to the rarest that occurs; equals by index."""
        order: list[int] = np.argsort(-self.total, kind="stable").tolist()
        return order[: int(np.count_nonzero(self.total))]

    def seen(self, split: str | None) -> int:
        """Returns how many classes occur, in a split or (None) in any."""
        return self.num_classes - self.times(split, 0, 0)

    def times(self, split: str | None, low: int, high: int) -> int:
        """Returns how many classes occur low to high times, in a split or (None) in all."""
        counts = self.total if split is None else self.by_split[split][: self.num_classes]
        return int(np.count_nonzero((counts >= low) & (counts <= high)))

    def untrained(self, split: str) -> list[int]:
        """Returns the classes that occur in a split but not in `train`, the commonest first."""
        if split == "train" or "train" not in self.by_split:
            return []
        counts = self.by_split[split][: self.num_classes]
        there = np.flatnonzero((counts > 0) & (self.by_split["train"][: self.num_classes] == 0))
        found: list[int] = there[np.argsort(-counts[there], kind="stable")].tolist()
        return found

    def lines(self) -> list[str]:
        """Returns the lines of a summary."""
        outputs = ", ".join(map(brief, self.outputs[:_NAMED]))
        if len(self.outputs) > _NAMED:
            outputs += f", ... ({len(self.outputs):,} outputs)"
        blank = " and a blank that pads" if self.has_blank else ""
        lines = [f"classes of {outputs}: {self.num_classes:,}{blank}", *indented(self._seen())]
        if self.num_classes > 2 * _SHOWN and self.ranking:
            lines += ["", *indented(self._spread())]
            ends = [*self.ranking[:_SHOWN], None, *self.ranking[-_SHOWN:]]
            few = len(self.ranking) <= 2 * _SHOWN
            lines += ["", *indented(self._table(self.ranking if few else ends))]
        elif self.ranking:
            lines += ["", *indented(self._table(self.ranking))]
        never = np.flatnonzero(self.total == 0).tolist()
        if never:
            lines.append(f"  never: {self._names(never)}")
        for split in self.by_split:
            if untrained := self.untrained(split):
                lines.append(self._warning(split, untrained))
        return lines

    def to_json(self) -> dict[str, Any]:
        """Returns the part of the summary that `--json` prints."""
        return {
            "outputs": list(self.outputs),
            "classes": self.num_classes,
            "blank": self.has_blank,
            "seen": {split: self.seen(split) for split in self.by_split},
            "once": self.times(None, 1, 1),
            "never": self.times(None, 0, 0),
            "untrained": {split: len(self.untrained(split)) for split in self.by_split},
            "commonest": [self._pair(index) for index in self.ranking[:_SHOWN]],
            "rarest": [self._pair(index) for index in self.ranking[: -_SHOWN - 1 : -1]],
        }

    def _pair(self, index: int) -> list[Any]:
        return [self.classes[index], int(self.total[index])]

    def _seen(self) -> list[str]:
        """Returns a table of how many classes each split has."""
        splits = [*self.by_split, None] if len(self.by_split) > 1 else list(self.by_split)
        rows = []
        for split in splits:
            numbers = self.seen(split), self.times(split, 1, 1), self.times(split, 0, 0)
            rows.append([split or "all", *(f"{number:,}" for number in numbers)])
        return table(("split", "classes seen", "once", "never"), rows, "<>>>")

    def _spread(self) -> list[str]:
        """Returns a histogram: how many classes are how frequent."""
        bounds = [(0, 0), (1, 1), (2, 9)]
        while bounds[-1][1] < self.total.max():
            bounds.append((bounds[-1][1] + 1, bounds[-1][1] * 10 + 9))
        counts = [self.times(None, low, high) for low, high in bounds]
        first = next(place for place, count in enumerate(counts) if count)
        names = ["never", "once", *(f"{low:,} to {high:,}" for low, high in bounds[2:])]
        rows = [
            [name, f"{count:,}", bar(count / max(counts))]
            for name, count in list(zip(names, counts, strict=True))[first:]
        ]
        return table(("occurrences", "classes", ""), rows, "<><")

    def _table(self, indices: list[int] | list[int | None]) -> list[str]:
        """Returns a table of classes; None stands for those that are left out."""
        splits = list(self.by_split)
        several = ["all"] if len(splits) > 1 else []
        total = int(self.total.sum())
        rows = []
        for index in indices:
            if index is None:
                rows.append(["...", "", *("" for _ in splits + several), "", ""])
                continue
            numbers = [self.by_split[split][index] for split in splits]
            numbers += [self.total[index]] if several else []
            share = self.total[index] / total
            rows.append(
                [
                    brief(self.classes[index]),
                    str(index),
                    *(f"{number:,}" for number in numbers),
                    f"{share:.2%}",
                    bar(self.total[index] / self.total.max()),
                ]
            )
        header = ("class", "index", *splits, *several, "share", "")
        return table(header, rows, "<>" + ">" * len(splits + several) + "><")

    def _names(self, indices: list[int]) -> str:
        """Returns some classes by name, and how many more there are."""
        names = " ".join(brief(self.classes[index]) for index in indices[:_NAMED])
        more = len(indices) - _NAMED
        return f"{names} and {more:,} more" if more > 0 else names

    def _warning(self, split: str, untrained: list[int]) -> str:
        count = len(untrained)
        classes, them = ("class", "it") if count == 1 else ("classes", "them")
        verb = "occurs" if count == 1 else "occur"
        return (
            f"  warning: {count:,} {classes} {verb} in {split} and never in train, which cannot "
            f"learn {them}: {self._names(untrained)}"
        )
