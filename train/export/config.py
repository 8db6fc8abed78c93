"""The options of an export: each field is one flag of `train export`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from train.errors import UsageError

FormatName = Literal["keras", "savedmodel", "onnx", "tflite"]

SUFFIXES: dict[FormatName, str] = {
    "keras": ".keras",
    "savedmodel": "",  # a folder
    "onnx": ".onnx",
    "tflite": ".tflite",
}

_PACKAGES: dict[FormatName, tuple[str, ...]] = {
    "keras": (),
    "savedmodel": (),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "tflite": ("ai_edge_litert",),
}
"""What writes a format, or checks what was written; none of it is needed for training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """What to export, and where to.

    Attributes:
        formats: What to write.
        output: Path without suffix of what is written. None: `export/model` in the run's folder.
        dataset: Where the run's dataset, or one like it, is now. None: where it was.
        overwrite: Replace an older export.
    """

    formats: tuple[FormatName, ...]
    output: str | None = None
    dataset: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.formats:
            raise UsageError("--to names no format; give some of " + _all_formats())
        for name in self.formats:
            if name not in get_args(FormatName):
                raise UsageError(f"--to cannot be {name!r}; give some of {_all_formats()}")
            for package in _PACKAGES[name]:
                if find_spec(package) is None:
                    raise UsageError(
                        f"--to {name} needs the package {package.replace('_', '-')}, which is not "
                        "installed: pip install 'shardfeed[export]'."
                    )
        suffix = os.path.splitext(self.output or "")[1]
        theirs = [name for name, its in SUFFIXES.items() if its and its == suffix]
        if theirs and self.formats != tuple(theirs):
            raise UsageError(
                f"--output {self.output} ends as {theirs[0]} does, and --to is "
                f"{','.join(self.formats)}. Give it without a suffix."
            )
        if self.output is not None and not os.path.basename(self.output):
            raise UsageError(f"--output {self.output!r} ends without a name. Add one.")

    def stem(self, run: str) -> str:
        """Returns the path of what is written, without its suffix.

        Args:
            run: The run's folder.
        """
        if self.output is None:
            return os.path.join(run, "export", "model")
        stem, suffix = os.path.splitext(self.output)
        return stem if suffix and suffix in SUFFIXES.values() else self.output


def _all_formats() -> str:
    return ", ".join(get_args(FormatName)) + "."
