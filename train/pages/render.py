"""Renders templates of Jinja2, in which every text is escaped that is not made by a template."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from convert.command.printed import without_controls
from convert.version import __version__
from train.pages.numbers import compact, duration, percent, size

_MOST_PIXELS = 1 << 14  # of an image on a page: 36 of them stay below 3 MB, whatever they show


def render(template: str, **content: object) -> str:
    """Returns a page.

    Args:
        template: Its file in the package `train`; it extends `pages/base.html.jinja`.
        **content: What the template names.
    """
    return ENVIRONMENT.get_template(template).render(content)


def data_uri(pixels: np.ndarray[Any, np.dtype[np.uint8]], most_pixels: int = _MOST_PIXELS) -> str:
    """Returns an image as a `data:` URI of a PNG; one too large for a page is made smaller.

    Args:
        pixels: uint8, shape (height, width, 1, 3 or 4).
        most_pixels: Of the image on the page.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    ratio = math.sqrt(most_pixels / (image.width * image.height))
    if ratio < 1:
        reduced = max(1, int(image.width * ratio)), max(1, int(image.height * ratio))
        image = image.resize(reduced, Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _printable(value: object) -> object:
    """Writes the control characters of a text as escapes; markup has none left."""
    return value if hasattr(value, "__html__") else without_controls(str(value))


ENVIRONMENT = Environment(
    loader=PackageLoader("train", "."),
    autoescape=True,
    finalize=_printable,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals["version"] = __version__
ENVIRONMENT.filters |= {
    "compact": compact,
    "data_uri": data_uri,
    "duration": duration,
    "percent": percent,
    "size": size,
    "thousands": "{:,}".format,
}
