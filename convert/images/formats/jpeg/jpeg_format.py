"""JPEG files: bounds their segments and scans, finds damage, decodes them with libjpeg-turbo.

Source of the numbers: ITU-T T.81, table B.1.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, JpegImagePlugin, features

from convert.config import Box
from convert.errors import ImageError
from convert.images.formats.image_format import ImageFormat, Loaded
from convert.images.formats.jpeg.decoder import COLOURS, Wanted, judge
from convert.images.formats.jpeg.scans import check_header, check_scans
from convert.images.formats.jpeg.segments import JPEG_SIGNATURE, SCAN, Header, Marker, read_header
from convert.images.formats.tag_directories import check_index

# Baseline to progressive arithmetic.
_DECODED = frozenset(Marker.SOF + process for process in (0, 1, 2, 9, 10))
_LOSSLESS = frozenset(Marker.SOF + process for process in (3, 7, 11, 15))
# SOF, its length, 8 bits; then SOS, whose fifth byte is the number of channels.
_BASELINE_RGB, _BASELINE_GREY = b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x0b\x08"
# The same code as that of the judge, so its pixels are the same. Other libjpegs round otherwise.
_IS_TURBO = features.check_feature("libjpeg_turbo")
_SMALL = 64  # pixels; below, two scales may give one size
_NUM_SCAN_MARKERS = "num_scan_markers"  # in an opened image's `info`, so that they count once
# CIPA DC-007 (MPF), section 5.2.3: the index of a camera's JPEG that holds several pictures.
_MP_ENTRIES = 0xB002
_PICTURES = 64  # looked at in search of one that is no preview


class JpegFormat(ImageFormat):
    """JPEG; see `ImageFormat`."""

    name = JpegImagePlugin.JpegImageFile.format
    signatures = (JPEG_SIGNATURE,)

    def check(self, data: bytes) -> None:
        """Refuses too many segments, and EXIF that names far more bytes than it has."""
        check_header(data)

    def read_header(self, data: bytes) -> Image.Image:
        """Reads the first picture only: `Image.open` looks at the others in a camera's, too."""
        return JpegImagePlugin.JpegImageFile(BytesIO(data))

    def header_error(self, data: bytes) -> ImageError | None:
        """Looks whether it is of a kind that no libjpeg here can decode; nothing is damaged."""
        header = read_header(data)
        return None if header is None else _unknown_kind(header)

    def check_work(self, image: Image.Image, data: bytes, max_pixels: int) -> None:
        """Refuses too many scans."""
        num_pixels = image.width * image.height
        image.info[_NUM_SCAN_MARKERS] = check_scans(data, num_pixels, max_pixels)

    def decode_less(
        self, image: Image.Image, data: bytes, box: Box, smallest: tuple[int, int], mode: str | None
    ) -> tuple[Image.Image, bytes, float]:
        """Chooses a scale at which libjpeg decodes less."""
        width = image.width
        drafted = image.draft(mode, smallest)
        return image, data, width / drafted[1][2] if drafted else 1.0

    def decode(
        self, image: Image.Image, data: bytes, *, full_size: tuple[int, int], lenient: bool
    ) -> Loaded:
        """Decodes a file and judges it; see `ImageFormat`."""
        if image.mode not in COLOURS:
            return super().decode(image, data, full_size=full_size, lenient=lenient)
        header = None if _is_usual(image, data) else read_header(data)
        unknown = None if header is None else _unknown_kind(header)
        if unknown is not None:
            raise unknown
        # A decoder that was asked for the size of a small picture would take a yet smaller scale.
        is_reduced = image.size != full_size
        wanted = Wanted(COLOURS[image.mode], image.size if is_reduced else (0, 0))
        pixels, file, oddities = judge(wanted, data, header, image.size if lenient else None)
        is_cmyk = image.mode == "CMYK"  # which Pillow inverts
        if is_cmyk and "adobe" not in image.info:
            oddities = (*oddities, "cmyk_unmarked")
        is_ambiguous = is_reduced and max(full_size) < _SMALL
        if _IS_TURBO and not (is_cmyk or is_ambiguous) and pixels.shape[1::-1] == image.size:
            return Loaded(image, oddities, pixels)
        if file is not data:
            info, image = image.info, self.read_header(file)
            image.info = info  # with the orientation, which the repair left out
        image.load()
        return Loaded(image, oddities)

    def has_further_pages(self, image: Image.Image, data: bytes) -> bool:
        """Looks in a camera's index for a second picture with as many pixels as the first."""
        if "mp" not in image.info:
            return False
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        check_index(image.info["mp"])
        index: Any = image._getmp()
        start = image.info["mpoffset"]
        size = _num_pixels(data, 0)
        return any(
            not entry["Attribute"]["MPType"].startswith("Large Thumbnail")
            and _num_pixels(data, start + entry["DataOffset"]) >= size
            for entry in index[_MP_ENTRIES][1:_PICTURES]
        )


def _is_usual(image: Any, data: bytes) -> bool:
    """Returns whether a JPEG is baseline, all channels in one scan: its header has no more to say.

    A look for a few bytes takes a tenth of the time that reading the header takes.
    """
    if _BASELINE_RGB not in data and _BASELINE_GREY not in data:
        return False
    if image.info.get(_NUM_SCAN_MARKERS) != 1:
        return False
    return bool(data[data.find(SCAN) + 4] == image.layers)


def _num_pixels(data: bytes, start: int) -> int:
    header = read_header(data, start)
    return 0 if header is None else header.size[0] * header.size[1]


def _unknown_kind(header: Header) -> ImageError | None:
    """Returns the error for a kind of JPEG that no libjpeg here can decode."""
    if header.process == Marker.JPEG_LS:
        kind = "JPEG-LS"
    elif header.process in _LOSSLESS:
        kind = "lossless JPEG"
    elif header.process not in _DECODED:
        kind = "hierarchical JPEG"
    elif header.precision != 8:
        kind = f"JPEG of {header.precision} bits a value"
    elif header.size[1] == 0:
        kind = "JPEG whose height comes after its pixels (DNL)"
    else:
        return None
    return ImageError(
        "unsupported_here",
        f"a {kind}, which the JPEG decoders here cannot read; save it as a usual JPEG or PNG",
    )
