"""Looking at a dataset: its numbers, and contact sheets of random records."""

from __future__ import annotations

import difflib
import json
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass

from convert.config import SPLITS
from convert.dataset.folder import Folder
from convert.dataset.info import QUARANTINE, DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from convert.dataset.source_paths import source_paths
from convert.errors import REASONS, FormatError, UsageError
from convert.plan.labels.vocabulary import BLANK
from convert.show.brightness import Brightness, measure
from convert.show.census import SplitCensus, take_census
from convert.show.gallery import draw_gallery, missing_note
from convert.show.overview import ShowResult, image_kind
from convert.show.sample import choose, read_sample
from convert.show.sheet_file import check_folder, check_sheet, write_png
from convert.show.table import brief, counted
from convert.storage.places import absolute, is_remote

_MAX_COUNT = 1000  # cards of the smallest kind; a sheet of more is no picture to look at
_MEASURED_RECORDS = 1000  # the mean of so many is within 3 % of a standard deviation of the truth
_MEASURED_BYTES = 1 << 28  # of pixels: large images take longer to read than to be measured
_NEAR_CLASSES = 5  # that an error names
_DRAWN, _MEASURED = range(2)  # streams of random numbers of one seed


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowConfig:
    """What to show of a dataset.

    Attributes:
        dataset: Its folder.
        split: The one split to look at. None: all.
        class_name: Draw records that have this class in any output. None: any records.
        count: Records on each contact sheet; 0: no sheets. In [0, 1000].
        seed: Chooses the records. In [0, 2**63).
        sheets: Folder for the contact sheets, made if there is none.
        overwrite: Let sheets replace other files, too.
    """

    dataset: str
    split: str | None = None
    class_name: str | None = None
    count: int = 48
    seed: int = 0
    sheets: str = "."
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.count <= _MAX_COUNT:
            raise UsageError(f"--count must be in [0, {_MAX_COUNT}], got {self.count}.")
        if not 0 <= self.seed < 1 << 63:
            raise UsageError(f"--seed must be in [0, 2**63), got {self.seed}.")
        if self.split is not None and self.split not in SPLITS:
            raise UsageError(f"--split must be one of {', '.join(SPLITS)}, got {self.split!r}.")


def show_dataset(config: ShowConfig) -> ShowResult:
    """Counts a dataset and draws a contact sheet of each split.

    Args:
        config: What to look at.

    Raises:
        FormatError: It is no finished dataset, or damaged.
        UsageError: It has no such split or class, the sheets' folder cannot be used, or a file
            that is no sheet stands where one goes.
        TryAgainError: HDFS failed or a sheet could not be written for a passing reason, or the
            dataset was replaced meanwhile.
    """
    dataset = open_dataset(config.dataset)
    folder, info = dataset.folder, dataset.info
    splits = _splits(info, config)
    sought = _sought(info, config.class_name)
    if config.count:
        check_folder(config.sheets, config.dataset)
    try:
        with folder.reading():
            censuses = {split: take_census(folder, info, split, sought) for split in splits}
            brightness = _measure(dataset, config, censuses)
            quarantined = _count_reasons(folder)
            sheets, drawn, notes = _draw_sheets(dataset, config, censuses)
            return ShowResult(
                dataset=config.dataset,
                info=info,
                splits=censuses,
                brightness=brightness,
                quarantined=quarantined,
                class_name=config.class_name,
                sheets=sheets,
                drawn=drawn,
                paths=_paths(dataset, drawn, brightness),
                notes=notes,
            )
    except FormatError as error:
        if folder.change() is not None:  # the error says so, and there is nothing to verify
            raise
        raise FormatError(
            f"{error} `convert verify {config.dataset}` finds all that is damaged."
        ) from error


def _splits(info: DatasetInfo, config: ShowConfig) -> list[str]:
    """Returns the splits to look at."""
    if config.split is None:
        return list(info.splits)
    if config.split not in info.splits:
        raise UsageError(
            f"--split {config.split}: {config.dataset} has no such split; it has "
            f"{', '.join(info.splits)}."
        )
    return [config.split]


def _sought(info: DatasetInfo, name: str | None) -> dict[str, int]:
    """Returns each output that has a class, and the class's index there."""
    if name is None:
        return {}
    found = {o: classes.index(name) for o, classes in info.classes.items() if name in classes}
    if not found:
        known = {c for classes in info.vocabularies.values() for c in classes} - {BLANK}
        near = [brief(other) for other in _near(name, sorted(known))]
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise UsageError(
            f"--class {brief(name)}: not among the {counted(len(known), 'class', 'classes')} of "
            f"this dataset.{hint}"
        )
    return found


def _near(name: str, known: list[str]) -> list[str]:
    """Returns classes that may have been meant: written in another width or case, or nearly so."""

    def folded(text: str) -> str:
        return unicodedata.normalize("NFKC", text).casefold().strip()

    same = [other for other in known if folded(other) == folded(name)]
    return (same or difflib.get_close_matches(name, known))[:_NEAR_CLASSES]


def _measure(
    dataset: OpenDataset, config: ShowConfig, censuses: dict[str, SplitCensus]
) -> dict[str, Brightness]:
    """Measures random images of each split that is not empty."""
    height, width, channels = dataset.info.image_shape
    count = min(_MEASURED_RECORDS, max(1, _MEASURED_BYTES // (height * width * channels)))
    found = {}
    for split, census in censuses.items():
        numbers = choose(census.records, count, config.seed, _stream(split, _MEASURED))
        brightness = measure(read_sample(dataset, split, numbers), channels)
        if brightness is not None:
            found[split] = brightness
    return found


def _stream(split: str, purpose: int) -> int:
    """Returns a number of its own for what is drawn from each split."""
    return 2 * SPLITS.index(split) + purpose


def _count_reasons(folder: Folder) -> dict[str, int]:
    """Counts the rows left out by reason, the commonest first."""
    path = folder.file(QUARANTINE)
    reasons: Counter[str] = Counter()
    try:
        for line in folder.lines(QUARANTINE):
            reason = json.loads(line.decode())["reason"]
            if reason not in REASONS:
                raise ValueError(f"unknown reason {reason!r}")
            reasons[reason] += 1
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        line_number = sum(reasons.values()) + 1
        raise FormatError(f"{path}: line {line_number} is not an entry of a row.") from error
    return dict(reasons.most_common())


def _paths(
    dataset: OpenDataset, drawn: dict[str, list[int]], brightness: dict[str, Brightness]
) -> dict[int, str]:
    """Returns the paths of the rows that are named, if the dataset knows them."""
    known = source_paths(dataset)
    rows = [row for each in drawn.values() for row in each]
    rows += [row for found in brightness.values() for row in found.empty_rows[:1]]
    return {} if known is None else dict(zip(rows, known.of(rows), strict=True))


def _draw_sheets(
    dataset: OpenDataset, config: ShowConfig, censuses: dict[str, SplitCensus]
) -> tuple[dict[str, str], dict[str, list[int]], list[str]]:
    """Draws and writes the sheets, unless there should be none.

    Returns:
        Split -> path, split -> the rows that are drawn, and lines that tell of them.
    """
    if not config.count:
        return {}, {}, []
    sheets, drawn, notes = {}, {}, []
    missing: set[str] = set()
    name = os.path.basename(absolute(config.dataset))
    chosen = {split: _choose(config, split, census) for split, census in censuses.items()}
    paths = {split: _sheet_path(config, split) for split, (numbers, _) in chosen.items() if numbers}
    for path in paths.values():  # all of them before the first is written
        check_sheet(path, config.dataset, overwrite=config.overwrite)
    for split, (numbers, described) in chosen.items():
        if not numbers:
            notes.append(f"no sheet of {split}: {described}")
            continue
        subtitle = f"{split}: {described}, {image_kind(dataset.info.image)}, seed {config.seed}"
        sheet, drawn[split], lacking = draw_gallery(dataset, split, numbers, name, subtitle)
        write_png(paths[split], sheet)
        missing |= lacking
        sheets[split] = paths[split]
        notes.append(f"{paths[split]}: {described}")
    return sheets, drawn, notes + missing_note(missing)


def _sheet_path(config: ShowConfig, split: str) -> str:
    """Returns the file of a split's sheet."""
    name = os.path.basename(absolute(config.dataset))
    path = os.path.join(config.sheets, f"{name}-{split}.png")
    return path if is_remote(path) else os.path.normpath(path)


def _choose(config: ShowConfig, split: str, census: SplitCensus) -> tuple[list[int], str]:
    """Returns the numbers of the records to draw, and what they are in words."""
    stream = _stream(split, _DRAWN)
    if config.class_name is None:
        numbers = choose(census.records, config.count, config.seed, stream)
        records = counted(census.records, "record")
        return numbers, f"{len(numbers):,} of {records}" if numbers else "it has no records"
    found = len(census.sought)
    places = choose(found, config.count, config.seed, stream)
    if not places:
        return [], f"no record has the class {brief(config.class_name)}"
    numbers = census.sought[places].tolist()
    with_class = f"{counted(found, 'record')} with the class {brief(config.class_name)}"
    return numbers, f"{len(numbers):,} of {with_class}"
