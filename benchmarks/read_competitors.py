"""The competitors of `read.py`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import FFCV, GRAIN, LITDATA, STREAMING, WEBDATASET, Peer

OURS, OURS_ARRAYS, OURS_FIRST, OURS_DEVICE = "ours", "ours (NumPy)", "first pass", "for device"
SEQUENCE = "Sequence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Competitor:
    """A way to read.

    Attributes:
        about: What it is, and how it shuffles.
        module: Its script in benchmarks/readers.
        dataset: Name of the folder of its dataset; competitors may share one.
        distribution: The package whose version is worth knowing.
        peer: The project whose environment it needs; None: ours.
        target: How many times as fast ours is meant to be; 0 if that was never said.
        same_images: Whether it reads the images that all others read.
    """

    about: str
    module: str
    dataset: str
    distribution: str
    peer: Peer | None = None
    target: float = 0
    same_images: bool = True

    def missing(self) -> str:
        """Returns why it cannot run; empty if it can."""
        return self.peer.missing() if self.peer else ""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.peer.python if self.peer else Path(sys.executable)

    def version(self) -> str:
        """Returns the version in its environment."""
        code = "import sys, importlib.metadata as m; print(*sys.argv[1:], m.version(sys.argv[1]))"
        command = [str(self.python), "-c", code, self.distribution]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


COMPETITORS = {
    OURS: Competitor(
        about="train.load_dataset, TensorFlow tensors; global shuffle",
        module="tensors",
        dataset="shards",
        distribution="shardfeed",
    ),
    OURS_ARRAYS: Competitor(
        about="train.load_numpy, NumPy arrays, which PyTorch takes without a copy; global shuffle",
        module="arrays",
        dataset="shards",
        distribution="shardfeed",
    ),
    OURS_FIRST: Competitor(
        about="train.load_dataset in a first pass: each record's CRC is compared; global shuffle",
        module="first_pass",
        dataset="shards",
        distribution="shardfeed",
    ),
    OURS_DEVICE: Competitor(
        about="as ours, with what an accelerator needs to augment: changes drawn for each image",
        module="for_device",
        dataset="shards",
        distribution="shardfeed",
    ),
    SEQUENCE: Competitor(
        about="opens, crops, resizes data/sample; TensorFlow tensors; not shuffled",
        module="strips",
        dataset="none",
        distribution="keras",
        target=30,
        same_images=False,
    ),
    "tf.data": Competitor(
        about="parallel reads, parsing after the batch; TensorFlow tensors; buffer of 8,192",
        module="tfrecords",
        dataset="shards",
        distribution="tensorflow",
        target=3,
    ),
    "webdataset": Competitor(
        about="WebLoader; PyTorch tensors; shards and a buffer of 8,192",
        module="tars",
        dataset="tars",
        distribution="webdataset",
        peer=WEBDATASET,
        target=10,
    ),
    "MDS": Competitor(
        about="MosaicML streaming; PyTorch tensors; global shuffle (py1e)",
        module="mds",
        dataset="mds",
        distribution="mosaicml-streaming",
        peer=STREAMING,
        target=10,
    ),
    "Grain": Competitor(
        about="with ArrayRecord; NumPy arrays; global shuffle",
        module="array_records",
        dataset="array-record",
        distribution="grain",
        peer=GRAIN,
        target=10,
    ),
    "LitData": Competitor(
        about="StreamingDataLoader; PyTorch tensors; chunks, and windows of 256 inside them",
        module="chunks",
        dataset="chunks",
        distribution="litdata",
        peer=LITDATA,
        target=3,
    ),
    "FFCV": Competitor(
        about="order random, os_cache; PyTorch tensors; global shuffle",
        module="beton",
        dataset="beton",
        distribution="ffcv",
        peer=FFCV,
        target=1,
    ),
}
