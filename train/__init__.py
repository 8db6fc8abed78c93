"""Feeds sharded TFRecords to multi-output Keras models, in an order that is pure arithmetic."""

from convert import ShardfeedError, __version__
from train.config import TrainConfig
from train.input import load_dataset

__all__ = ["ShardfeedError", "TrainConfig", "__version__", "load_dataset"]
