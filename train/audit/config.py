"""The options of an audit: each field is one flag of `train audit`."""

from __future__ import annotations

from dataclasses import dataclass

from train.errors import UsageError

MOST_PICTURES = 2000  # some 30 MB of pictures; browsers become slow with more


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """What to judge, and what to show.

    Attributes:
        dataset: Dataset of the run's outputs. None: the run's own.
        folds: Runs to train, each on all training records but its own part, which it then judges.
            0: the run judges what it was trained on. Never 1.
        pictures: Doubtful records on the page at most. In [1, 2,000].
        manifest: The dataset's manifest, which names images where the dataset does not.
        model: `module:function` of the user's, named again to be imported. None: a network of ours.
        augment: The same for the function that changes training images. Only for `folds`.
    """

    dataset: str | None = None
    folds: int = 0
    pictures: int = 200
    manifest: str | None = None
    model: str | None = None
    augment: str | None = None

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1:
            raise UsageError(f"--folds must be 0 or at least 2, got {self.folds}.")
        if not 1 <= self.pictures <= MOST_PICTURES:
            raise UsageError(f"--pictures must be in [1, {MOST_PICTURES}], got {self.pictures}.")
