"""What an audit has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from train.audit.judgement import Array, Judgement
from train.audit.twin_images import Twins
from train.records.batches import BatchSource
from train.records.texts import text_of


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Records, judged; their numbers are those of the judgement.

    Attributes:
        run: The run, as the user calls it.
        info: The dataset.
        sources: Its splits that have records, unshuffled, by name.
        folds: Runs that judged their own parts of the training split; 0: the run judged all.
        judgement: The records.
        is_seen: Which of them their judge was trained on, bool, shape (records,). None: the
            pictures that it was trained on are not known any more.
        twins: Same pictures with different labels.
    """

    run: str
    info: DatasetInfo
    sources: dict[str, BatchSource]
    folds: int
    judgement: Judgement
    is_seen: Array | None
    twins: list[Twins]

    @cached_property
    def is_suspected(self) -> Array:
        """Which labels are suspected to be wrong, bool, shape (records,)."""
        names = list(self.info.vocabularies)
        wrong = self.judgement.num_wrong(
            [names.index(name) for name in self.info.outputs.values()],
            [len(classes) for classes in self.info.vocabularies.values()],
        )
        return self.judgement.suspected(wrong)

    @cached_property
    def doubtful(self) -> list[int]:
        """The records in which something else is read, the least believed label first."""
        order = self.judgement.order
        found: list[int] = order[self.judgement.is_doubtful[order]].tolist()
        return found

    def uncertain(self, count: int) -> list[int]:
        """Returns the records whose label is what is read, the least certain reading first."""
        order = np.argsort(self.judgement.sureness, kind="stable")
        found: list[int] = order[~self.judgement.is_doubtful[order]][:count].tolist()
        return found

    @property
    def num_suspected(self) -> int:
        """Labels that are suspected to be wrong."""
        return int(self.is_suspected.sum())

    @property
    def num_seen(self) -> int:
        """Records that their judge is known to have been trained on."""
        return 0 if self.is_seen is None else int(self.is_seen.sum())

    @property
    def splits(self) -> list[str]:
        """The names of all splits, by their numbers."""
        return list(self.info.splits)

    def label(self, record: int) -> str:
        """Returns a record's label as text."""
        return text_of(self.judgement.labels[record].tolist(), self.info)

    def reading(self, record: int) -> str:
        """Returns what is read in a record, as text."""
        return text_of(self.judgement.readings[record].tolist(), self.info)

    def differing(self, record: int) -> list[str]:
        """Returns the outputs at which label and reading differ."""
        judged, names = self.judgement, list(self.info.outputs)
        places = np.flatnonzero(judged.labels[record] != judged.readings[record])
        return [names[place] for place in places.tolist()]

    def judge(self, record: int) -> str:
        """Names the run that has judged a record: `run`, or for instance `fold 2`."""
        fold = int(self.judgement.fold[record])
        return f"fold {fold}" if fold else "run"

    def seen(self, record: int) -> bool | None:
        """Returns whether a record's judge was trained on it; None if that is not known."""
        return None if self.is_seen is None else bool(self.is_seen[record])

    def paths(self, records: Sequence[int]) -> list[str]:
        """Returns the paths of some records' images, empty where they are not known."""
        numbers, paths = np.array(records, np.int64), [""] * len(records)
        for split, name in enumerate(self.splits):
            here = np.flatnonzero(self.judgement.split[numbers] == split)
            if len(here):
                found = self.sources[name].reader.sources(self.judgement.record[numbers[here]])
                for place, path in zip(here.tolist(), found, strict=True):
                    paths[place] = path
        return paths

    def picture(self, record: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Returns a record's image: uint8, shape (height, width, channels)."""
        reader = self.sources[self.splits[int(self.judgement.split[record])]].reader
        return reader.gather(self.judgement.record[[record]])[0][0]
