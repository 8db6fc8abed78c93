"""Converts labelled images into sharded TFRecords: once, exactly, and from where it stopped."""

from convert.config import ConvertConfig
from convert.errors import ShardfeedError

__version__ = "0.1.0"

__all__ = ["ConvertConfig", "ShardfeedError", "__version__"]
