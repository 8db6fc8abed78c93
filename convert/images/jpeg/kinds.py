"""The kinds of JPEG that no libjpeg here can decode.

Source of the numbers: ITU-T T.81, table B.1.
"""

from __future__ import annotations

from convert.errors import ImageError
from convert.images.jpeg.segments import Header, read_header

_DECODED = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))  # baseline to progressive arithmetic
_LOSSLESS = frozenset((0xC3, 0xC7, 0xCB, 0xCF))


def check_jpeg(data: bytes) -> None:
    """Refuses a JPEG of a kind that no libjpeg here can decode; nothing in it is damaged.

    Args:
        data: A file that starts with `JPEG_SIGNATURE`.

    Raises:
        ImageError: It is one.
    """
    header = read_header(data)
    if header is not None:
        require_known(header)


def require_known(header: Header) -> None:
    """Refuses a JPEG whose header tells of such a kind.

    Args:
        header: Its header.

    Raises:
        ImageError: It is of one.
    """
    if header.process in _DECODED and header.precision == 8 and header.size[1] > 0:
        return
    if header.process == 0xF7:
        kind = "JPEG-LS"
    elif header.process in _LOSSLESS:
        kind = "lossless JPEG"
    elif header.process not in _DECODED:
        kind = "hierarchical JPEG"
    elif header.precision != 8:
        kind = f"JPEG of {header.precision} bits a value"
    else:
        kind = "JPEG whose height comes after its pixels (DNL)"
    raise ImageError(
        "unsupported_here",
        f"a {kind}, which the JPEG decoders here cannot read; save it as a usual JPEG or PNG",
    )
