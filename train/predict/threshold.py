"""The threshold from which texts are accepted without a person."""

from __future__ import annotations

from dataclasses import dataclass

from train.errors import UsageError
from train.evaluation.calibration import Calibration
from train.evaluation.evidence import Acceptance
from train.predict.config import PredictConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A threshold, and why it is one.

    Attributes:
        threshold: The least confidence that is accepted. In [0, 1].
        evidence: What is known of labels that reach it. None: the user chose it.
    """

    threshold: float
    evidence: Acceptance | None = None

    def line(self, accepted: int, images: int) -> str:
        """Returns a line that says how many images were accepted.

        Args:
            accepted: Number of images whose text was accepted.
            images: All images, bad ones included.
        """
        line = f"accepted {accepted:,} of {images:,}, from a confidence of {self.threshold:g}"
        found = self.evidence
        if found is None:
            return line
        return (
            f"{line}, where {found.wrong:,} of {found.records:,} validation records were misread: "
            f"at least {100 * found.at_least:.2f}% exact, with 95% confidence"
        )


def choose_threshold(calibration: Calibration, config: PredictConfig, run: str) -> Limit | None:
    """Returns the threshold that the user names, or the evidence gives.

    Args:
        calibration: Of the run.
        config: What is asked for.
        run: What the user calls the run.

    Raises:
        UsageError: There is not enough evidence for what is asked.
    """
    if config.threshold is not None:
        return Limit(threshold=config.threshold)
    if config.accept is None:
        return None
    asked = f"{run}: cannot say from which confidence {100 * config.accept:g}% are exact"
    if calibration.evidence is None:
        reason = calibration.reason or "it was calibrated by another version"
        raise UsageError(f"{asked}: {reason}. Choose a --threshold yourself.")
    found = calibration.evidence.acceptance(config.accept)
    if isinstance(found, str):
        raise UsageError(
            f"{asked}: {found}. Ask for less, validate on more records, or choose a --threshold "
            "yourself."
        )
    return Limit(threshold=found.threshold, evidence=found)
