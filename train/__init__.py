"""Feeds sharded TFRecords to multi-output Keras models, in an order that is pure arithmetic."""

from convert import ShardfeedError, __version__
from train.config import TrainConfig
from train.input import load_dataset
from train.input.numpy_dataset import load_numpy, load_pydataset
from train.input.options import SourceOptions
from train.records.draws import Draws

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
