"""Describes how to prepare an image for an exported network, and what its outputs mean."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from convert.dataset.info import DatasetInfo
from convert.storage.places import sha256_file
from convert.version import __version__
from train.evaluation.calibration import Calibration
from train.evaluation.calibration_file import read_calibration
from train.evaluation.evidence import Acceptance
from train.evaluation.scores import PRECISIONS
from train.records.texts import blanks_of
from train.runs.folder import BEST, RunFolder

INPUT = "image"
"""Name of the only input, in every format."""

SIGNATURE = "serving_default"
"""Name of the signature of SavedModel and TFLite, as servers expect it."""

FILE = "shardfeed.json"
"""The description's name inside a .keras file, a .tflite file and a SavedModel's folder."""

ONNX_KEY = "shardfeed"
"""Its key among an ONNX file's metadata."""

# How a source became a record's image; how records hold it, no reader needs to know.
_PREPARATION = (
    "width", "height", "channels", "crop", "row_boxes", "resample", "alpha", "pad_crop", "exif",
    "fast_decode",
)  # fmt: skip


def is_description(text: str) -> bool:
    """Returns whether a text is what `describe` returns, of whatever run."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"shardfeed", "weights_sha256"} <= content.keys()


def describe(run: RunFolder) -> str:
    """Returns the description of a run's best network as JSON; equal runs give equal text.

    Raises:
        FormatError: The run's dataset.json cannot be read.
    """
    info: DatasetInfo = run.dataset_info()
    image = info.image.to_json()
    content = {
        "shardfeed": __version__,
        "dataset_id": info.dataset_id,
        "weights_sha256": sha256_file(run.file(BEST)) if os.path.exists(run.file(BEST)) else None,
        "input": {"name": INPUT, "dtype": "uint8", "shape": [None, *info.image_shape]},
        "image": {
            **{key: image[key] for key in _PREPARATION},
            "fit": info.image.fit,
        },
        "signature": SIGNATURE,
        "values": "probabilities",
        "calibration": _calibration(read_calibration(run)),
        "outputs": [
            {"name": name, "blank": blank, "classes": list(classes)}
            for (name, classes), blank in zip(info.classes.items(), blanks_of(info), strict=True)
        ],
    }
    # A line for each key: a line for each of 4 x 21,000 classes would be no reading.
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in content.items()]
    return "{" + ",\n ".join(lines) + "}\n"


def _calibration(found: Calibration) -> dict[str, Any] | None:
    """Returns what turns the probabilities into confidences; None if nothing was fitted."""
    if found.scale is None:
        return None
    cuts = [(share, found.evidence and found.evidence.acceptance(share)) for share in PRECISIONS]
    return {
        "temperatures": list(found.scale.temperatures),
        "power": found.scale.power,
        "records": found.records,
        "accept": [
            {"exact": share, **asdict(cut), "at_least": cut.at_least}
            for share, cut in cuts
            if isinstance(cut, Acceptance)
        ],
    }
