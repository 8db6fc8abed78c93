"""From a file's bytes to pixels (`decode`), and from there to a record's image (`render`)."""

from convert.images.decoding import Decoded, decode
from convert.images.open_image import FORMATS, decode_error, open_image
from convert.images.options import ImageOptions
from convert.images.rendering import Rendered, render, to_array

__all__ = [
    "FORMATS",
    "Decoded",
    "ImageOptions",
    "Rendered",
    "decode",
    "decode_error",
    "open_image",
    "render",
    "to_array",
]
