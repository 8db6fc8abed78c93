"""Compares an export with the run's network, on real images and in the format's own runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset
from convert.storage.places import filesystem_of
from train.errors import UsageError
from train.evaluation.evaluate_run import require_fit
from train.export.formats import Images, Probabilities, Runner
from train.input.open_source import open_source
from train.runs.dataset_identity import dataset_of, reading
from train.runs.folder import RunFolder

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-3
"""Largest difference of a probability. Other kernels sum in another order: 1e-6 is usual."""

_IMAGES = 256
_BATCH = 64

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the run's network says of some images.

    Attributes:
        split: The split that they are of.
        images: uint8, shape (n, height, width, channels).
        probabilities: {output name: (n, classes)}.
    """

    split: str
    images: Images
    probabilities: Probabilities


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How an export's answers differ from those of the run's network.

    Attributes:
        images: How many were compared.
        largest: Largest difference of a probability; NaN if one is no number.
        texts: Images whose text differs.
        sure_texts: Those of them where the network's best class is ahead of its second by more
            than `TOLERANCE`.
    """

    images: int
    largest: float
    texts: int
    sure_texts: int

    @property
    def holds(self) -> bool:
        """Whether the export may be used."""
        return self.largest <= TOLERANCE and not self.sure_texts  # NaN is not

    def __str__(self) -> str:
        texts = "1 text differs" if self.texts == 1 else f"{self.texts or 'no'} texts differ"
        return f"probabilities differ by at most {self.largest:.1e}, {texts}"


def expect(run: RunFolder, model: keras.Model, dataset: str | None) -> Expected:
    """Asks the run's network.

    Args:
        run: The run.
        model: Its network, from images to logits.
        dataset: Where the dataset is. None: where the run found it.

    Raises:
        UsageError: The dataset is not there, or is another.
    """
    path = dataset or run.config()["dataset"]
    if dataset is None and not filesystem_of(path).is_folder(path):
        raise UsageError(
            f"{path}: the run's dataset, on whose images an export is checked, is not there. "
            "Say where it is with --dataset."
        )
    remedy = "Say where the run's dataset is with --dataset."
    with reading(lambda: dataset_of(run, dataset, remedy)) as found:
        split, images = _first_images(found, run.dataset_info())
    with on_cpu():
        logits = [model.predict_on_batch(batch) for batch in _batches(images)]
    return Expected(
        split=split,
        images=images,
        probabilities={
            name: _softmax(np.concatenate([np.asarray(part[name]) for part in logits]))
            for name in run.dataset_info().outputs
        },
    )


def _first_images(dataset: OpenDataset, trained: DatasetInfo) -> tuple[str, Images]:
    """Returns the first images of a split, and its name.

    Raises:
        UsageError: The dataset does not fit the run, or has no record.
    """
    path, info = dataset.path, dataset.info
    require_fit(path, info, trained)
    names = [name for name in ("validation", "train", "test") if name in info.splits]
    split = next((name for name in names if info.num_records(name)), None)
    if split is None:
        raise UsageError(f"{path}: no record to check the export with. Name another --dataset.")
    reader = open_source(dataset, split, 1, shuffle=False).reader
    return split, reader.gather(np.arange(min(_IMAGES, reader.num_records)))[0]


def on_cpu() -> AbstractContextManager[Any]:
    """Returns a context for exact sums: TensorFlow on a GPU rounds to 10 bits."""
    import keras

    exact = keras.backend.backend() == "tensorflow"  # only there do runtimes differ
    return keras.device("cpu") if exact else nullcontext()


def compare(expected: Expected, runner: Runner) -> Parity:
    """Asks an export the same, in batches of different sizes."""
    parts = [runner(batch) for batch in _batches(expected.images)]
    differences, differs, sure = [], [], []
    for name, theirs in expected.probabilities.items():
        ours = np.concatenate([part[name] for part in parts])
        differences.append(np.abs(ours - theirs).max())
        differs.append(ours.argmax(axis=1) != theirs.argmax(axis=1))
        sure.append(differs[-1] & (_lead(theirs) > TOLERANCE))
    return Parity(
        images=len(expected.images),
        largest=float(np.max(differences)),  # NaN wins
        texts=int(np.any(differs, axis=0).sum()),
        sure_texts=int(np.any(sure, axis=0).sum()),
    )


def _batches(images: Images) -> Iterator[Images]:
    """Yields one image, and the others in batches: an export must take any number."""
    yield images[:1]
    for start in range(1, len(images), _BATCH):
        yield images[start : start + _BATCH]


def _softmax(logits: Floats) -> np.ndarray[Any, np.dtype[np.float32]]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray[Any, np.dtype[np.float32]] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _lead(probabilities: Floats) -> Floats:
    """Returns by how much the best class is ahead of the second, shape (n,)."""
    if probabilities.shape[1] == 1:
        return np.ones(len(probabilities))
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    lead: Floats = best[:, 1] - best[:, 0]
    return lead
