"""Converts labelled images into sharded TFRecords: once, exactly, and from where it stopped."""

from convert.config import ConvertConfig
from convert.errors import ShardfeedError
from convert.version import __version__

__all__ = ["ConvertConfig", "ShardfeedError", "__version__"]
