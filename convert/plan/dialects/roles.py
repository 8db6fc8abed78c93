"""Which columns of a table hold paths and labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convert.config import ManifestFormat
from convert.errors import UsageError

PATH = "path"

# Of the converters and trainers that the table in docs names; `id` is Kaggle's.
_PATH_NAMES = (("file_name", "filename", "image_path", "image", "img", "file"), ("id",))
_TEXT_NAMES = ("text", "label", "words", "plate_text", "transcription", "ground_truth")
_NUMBERED = re.compile(r"y[0-9]{1,9}")  # more digits than any label has characters


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestOptions:
    """How to read a label file; `None` and empty mean: as its content shows.

    Attributes:
        format: Its dialect.
        encoding: Encoding of its text, by Python's name.
        path_column: Column of paths.
        text_column: Column of texts.
        label_columns: A column for each output.
    """

    format: ManifestFormat | None = None
    encoding: str | None = None
    path_column: str | None = None
    text_column: str | None = None
    label_columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Roles:
    """The columns that a conversion reads.

    Attributes:
        path: Column of paths.
        text: Column whose characters are the labels. None: `labels` are.
        labels: A column for each output; empty where no column is known to hold labels.
    """

    path: str
    text: str | None
    labels: tuple[str, ...]

    @property
    def label_columns(self) -> tuple[str, ...]:
        """All columns that hold labels."""
        return self.labels if self.text is None else (self.text,)


def find_roles(path: str, names: Sequence[str], options: ManifestOptions) -> Roles:
    """Finds the columns of paths and labels.

    Args:
        path: The label file, for messages.
        names: All columns, without blanks around their names.
        options: What the user said of them.

    Raises:
        UsageError: There is no column of paths, or a column that was named is missing.
    """
    found = path_column(names, options)
    if found is None:
        raise UsageError(f"{path}: {_no_path(names)}")
    for flag, wanted in (
        ("--path-column", (found,)),
        ("--text-column", (options.text_column,) if options.text_column else ()),
        ("--label-columns", options.label_columns),
    ):
        for name in wanted:
            if name not in names:
                raise UsageError(
                    f"{path}: no column {name!r} (from {flag}); the columns are {listed(names)}."
                )
    return Roles(path=found, text=_text_column(names, options), labels=_labels(names, options))


def path_column(names: Sequence[str], options: ManifestOptions) -> str | None:
    """Returns the column of paths; None if no name, or more than one, says that it is."""
    if options.path_column is not None:
        return options.path_column
    if PATH in names:
        return PATH
    lower = [name.lower() for name in names]
    for usual in ((PATH,), *_PATH_NAMES):
        found = [name for name, plain in zip(names, lower, strict=True) if plain in usual]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def has_labels(names: Sequence[str], options: ManifestOptions) -> bool:
    """Returns whether some column is known to hold labels."""
    return bool(_labels(names, options)) or _text_column(names, options) is not None


def no_labels(path: str, names: Sequence[str]) -> UsageError:
    """Returns the error for a table in which no column is known to hold labels."""
    others = [name for name in names if name != PATH]
    several = [name for name in others if name.lower() in _TEXT_NAMES]
    if several:
        what = f"{' and '.join(several)} could each hold the text; choose with --text-column NAME"
    else:
        what = (
            "no column is known to hold labels: name a column of whole texts with --text-column, "
            "or one column for each character with --label-columns"
        )
    return UsageError(f"{path}: {what}; the columns are {listed(names)}.")


def listed(names: Sequence[str]) -> str:
    """Returns names of columns as messages list them."""
    return ", ".join(names) or "none"


def _text_column(names: Sequence[str], options: ManifestOptions) -> str | None:
    if options.text_column is not None or options.label_columns or _numbered(names):
        return options.text_column
    used = path_column(names, options)
    found = [name for name in names if name.lower() in _TEXT_NAMES and name != used]
    return found[0] if len(found) == 1 else None


def _labels(names: Sequence[str], options: ManifestOptions) -> tuple[str, ...]:
    if options.text_column is not None:
        return ()
    return options.label_columns or _numbered(names)


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the columns named `y` and digits, in numerical order."""
    return tuple(sorted(filter(_NUMBERED.fullmatch, names), key=lambda name: int(name[1:])))


def _no_path(names: Sequence[str]) -> str:
    usual = {PATH, *(name for group in _PATH_NAMES for name in group)}
    several = [name for name in names if name.lower() in usual]
    if several:
        return f"{' and '.join(several)} could each hold the paths; choose with --path-column NAME."
    if any(name.startswith('"') and name.endswith('"') for name in names):
        return (
            f"the columns are named with quotation marks ({listed(names)}): without commas between "
            "columns these are ordinary characters. Take them out, or save as CSV."
        )
    return (
        f"no column of paths: name it with --path-column, or call it {PATH}; the columns are "
        f"{listed(names)}. A file without a header needs one, such as path,text."
    )
