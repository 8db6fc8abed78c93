"""`convert show`: what a dataset holds, in numbers and in pictures."""

from convert.show.overview import ShowResult
from convert.show.presentation import ShowConfig, show_dataset

__all__ = ["ShowConfig", "ShowResult", "show_dataset"]
