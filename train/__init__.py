"""Feeds sharded TFRecords to multi-output Keras models, in an order that is pure arithmetic."""

from convert import ShardfeedError, __version__
from train.arrays import load_numpy, load_pydataset
from train.config import TrainConfig
from train.draws import Draws
from train.input import load_dataset
from train.loading import SourceOptions

__all__ = [
    "Draws",
    "ShardfeedError",
    "SourceOptions",
    "TrainConfig",
    "__version__",
    "load_dataset",
    "load_numpy",
    "load_pydataset",
]
