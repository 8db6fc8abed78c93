"""The calibration of a run, kept inside best.keras: JSON, as the comment of the zip.

There it cannot be taken for that of other weights: whoever puts others in their place, a later
epoch or a checkpoint's, removes it with them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from convert.storage.regular_files import open_regular
from train.errors import FormatError
from train.evaluation.calibration import FITTED_SPLIT, Calibration, Scale, parse_calibration
from train.runs.dataset_identity import own_ids
from train.runs.files.archives import read_comment
from train.runs.folder import BEST, RunFolder

_MOST_BYTES = 65_535  # of a zip's comment; 4 x 3 temperatures and 82 counts take two thousand


def write_calibration(run: RunFolder, calibration: Calibration) -> None:
    """Adds a calibration to a run's best.keras, which has none yet.

    Raises:
        TryAgainError: The disk is full or damaged.
    """
    text = json.dumps(calibration.to_json()).encode()
    if len(text) > _MOST_BYTES:
        few = Calibration(records=calibration.records, reason="there are too many outputs")
        text = json.dumps(few.to_json()).encode()
    run.add_to_model(BEST, text)


def read_calibration(run: RunFolder) -> Calibration:
    """Reads the calibration of a run's best weights.

    Returns:
        Without a scale if the run has not ended, or is older than calibrations.

    Raises:
        FormatError: It is damaged.
    """
    path = run.file(BEST)
    try:
        with open(path, "rb", opener=open_regular) as file:
            text = read_comment(file)
        if text:
            return parse_calibration(text, len(run.dataset_info().outputs))
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise FormatError(
            f"{run.shown(BEST)}: its calibration cannot be read: {problem}. Restore it, or train "
            "again."
        ) from error
    return Calibration(
        records=0, reason=f"nothing was fitted yet; `train resume {run.address}` does it"
    )


def scales_for(
    run: RunFolder, calibration: Calibration, dataset_id: str, split: str
) -> Sequence[Scale]:
    """Returns the scales of a dataset's records, in their order; see `Calibration.scales`."""
    own = own_ids(run.config())
    is_fitted = split == FITTED_SPLIT and dataset_id in own
    return calibration.scales(own.index(dataset_id) if is_fitted else None)


def is_calibrated(run: RunFolder) -> bool:
    """Returns whether nothing is left to fit for a run that has ended."""
    try:
        with open(run.file(BEST), "rb", opener=open_regular) as file:
            return bool(read_comment(file))
    except (OSError, ValueError):
        return True  # there is nothing to fit it to
