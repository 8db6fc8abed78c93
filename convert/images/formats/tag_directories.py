"""Checks the directories of tags in TIFF files and EXIF blocks before Pillow reads them.

A tag names the place of its values, and Pillow copies these for each tag: thousands of tags that
name one place make gigabytes of a small file. Of some directories it also decodes all values.

Source of the structure: TIFF 6.0, section 2; BigTIFF has longer numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from convert.errors import ImageError
from convert.images.formats.tags import Tag

EXIF = b"Exif\0\0"
"""What stands before an EXIF block in a JPEG."""

_VALUE_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
}  # fmt: skip
"""Type of a tag -> bytes of one value; Pillow skips tags of other types."""
_BYTE_KINDS = (1, 2, 7)  # that stay bytes or text
_NUMBER_BYTES = 32  # of memory for each byte in the file; a rational's 8 become about 200
_OFFSET_FORMS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}
"""Type of a tag -> how a place is written, where Pillow takes it for one."""
# Maker notes, the largest values there, are bytes of the file itself; all others are a few numbers.
_DECODED_BYTES = 4 << 20
# Damaged tags name places at random, and their images are fine: so much may be copied for them.
_SHARED_BYTES = 64 << 20
_MOST_TAGS = 4096  # of a page; libtiff sorts all again for each that it does not know
_CUT_TAGS = 1 << 16  # of a directory that the file cuts off; before BigTIFF none could have more
# A picture of 50 million pixels has 195,000 tiles of the smallest size that the format has.
_MOST_PARTS = 250_000
_PARTS = (Tag.STRIP_OFFSETS, Tag.STRIP_COUNTS, Tag.TILE_OFFSETS, Tag.TILE_COUNTS)


class _Form(NamedTuple):
    """How numbers are written: the forms of a number of tags, of a tag, and of a place."""

    num_tags: str
    tag: str
    place: str


_FORM, _BIG_FORM = _Form("H", "HHI4s", "I"), _Form("Q", "HHQ8s", "Q")


def first_page(data: bytes) -> int:
    """Returns where the directory of a TIFF's first page stands; 0 if it cannot be read."""
    return _number(data, 8 if _form(data) is _BIG_FORM else 4, _form(data).place)


def next_page(data: bytes, start: int) -> int:
    """Returns where the directory after the one at `start` stands.

    Returns:
        0 if there is none, or that cannot be read.
    """
    form = _form(data)
    num_tags = _number(data, start, form.num_tags)
    end = start + struct.calcsize(f"={form.num_tags}") + num_tags * struct.calcsize(f"={form.tag}")
    return _number(data, end, form.place)


def check_page(data: bytes, start: int) -> None:
    """Checks the directory of one page of a TIFF, and those of EXIF and GPS that it names.

    Args:
        data: The file.
        start: Where the directory stands.

    Raises:
        ImageError: Its tags would take far more memory or time than the file lets expect.
    """
    form = _form(data)
    _check_num_tags(data, start, form, _MOST_TAGS)
    for tag, count in _check_values(data, start, form).items():
        if tag in _PARTS and count > _MOST_PARTS:
            raise ImageError(
                "too_large", f"{count:,} strips or tiles, at most {_MOST_PARTS:,}; save it in fewer"
            )
    for place in _places(data, start, form, (Tag.EXIF, Tag.GPS)):
        _check_decoded(data, place, form)
        for inner in _places(data, place, form, (Tag.INTEROP,)):
            _check_decoded(data, inner, form)


def check_exif(block: bytes) -> None:
    """Checks the first directory of an EXIF block, which tells the orientation.

    Args:
        block: It, perhaps with the mark that stands before it in a JPEG.

    Raises:
        ImageError: Its tags would take far more memory than the block lets expect.
    """
    while block.startswith(EXIF):
        block = block[len(EXIF) :]
    _check_values(block, first_page(block), _form(block))


def check_index(block: bytes) -> None:
    """Checks the directory that lists the pictures in a camera's JPEG (MPF).

    Args:
        block: The index, a TIFF without a picture.

    Raises:
        ImageError: Its tags would take far more memory than the block lets expect.
    """
    _check_decoded(block, first_page(block), _form(block))


def _check_num_tags(data: bytes, start: int, form: _Form, most: int) -> None:
    """Refuses a directory of too many tags; what does not fit into the file is none."""
    num_tags = _number(data, start, form.num_tags)
    room = len(data) - start - struct.calcsize(f"={form.num_tags}")
    if num_tags > most and room // struct.calcsize(f"={form.tag}") >= min(num_tags, _CUT_TAGS):
        raise ImageError("too_large", f"a page of {num_tags:,} tags, at most {most:,}")


def _check_decoded(data: bytes, start: int, form: _Form) -> None:
    """Checks a directory of which Pillow decodes all values, not only those that it is asked for.

    Raises:
        ImageError: They would take far more memory than the file lets expect.
    """
    _check_num_tags(data, start, form, _CUT_TAGS)
    _check_values(data, start, form)
    total = 0
    for _, kind, count, value in _tags(data, start, form):
        size = count * _VALUE_BYTES.get(kind, 0)
        if size <= len(value) or _number(value, 0, form.place, _order(data)) + size <= len(data):
            total += size if kind in _BYTE_KINDS else size * _NUMBER_BYTES
    if total > len(data) + _DECODED_BYTES:
        raise ImageError(
            "too_large", f"its tags decode to {total:,} bytes of values, of a file of {len(data):,}"
        )


def _places(data: bytes, start: int, form: _Form, wanted: tuple[int, ...]) -> list[int]:
    """Returns where the directories stand that tags of a directory name.

    Of equal tags the last counts, and tags whose values are cut off do not, as for Pillow.
    """
    places = {}
    for tag, kind, count, value in _tags(data, start, form):
        if tag in wanted and kind in _OFFSET_FORMS and count:
            size = count * _VALUE_BYTES[kind]
            source, at = value, 0
            if size > len(value):
                source, at = data, _number(value, 0, form.place, _order(data))
            if at + size <= len(source):
                places[tag] = _number(source, at, _OFFSET_FORMS[kind], _order(data))
    return [place for place in places.values() if place > 0]


def _tags(data: bytes, start: int, form: _Form) -> Iterator[tuple[int, int, int, bytes]]:
    """Yields the tag, type, number of values and value or its place of each tag that is there."""
    tag_form = struct.Struct(_order(data) + form.tag)
    first = start + struct.calcsize(f"={form.num_tags}")
    num_tags = min(_number(data, start, form.num_tags), max(0, len(data) - first) // tag_form.size)
    yield from tag_form.iter_unpack(memoryview(data)[first : first + num_tags * tag_form.size])


def _check_values(data: bytes, start: int, form: _Form) -> dict[int, int]:
    """Returns the number of values of each tag in a directory, if they can be copied.

    Raises:
        ImageError: They would take far more bytes than there are.
    """
    counts: dict[int, int] = {}
    total = 0
    for tag, kind, count, value in _tags(data, start, form):
        size = count * _VALUE_BYTES.get(kind, 0)
        counts[tag] = max(count, counts.get(tag, 0))
        if size > len(value):
            place = _number(value, 0, form.place, _order(data))
            total += min(size, max(0, len(data) - place))
    if total > len(data) + _SHARED_BYTES:
        raise ImageError(
            "too_large", f"its tags name {total:,} bytes of values, of {len(data):,} that are there"
        )
    return counts


def _order(data: bytes) -> str:
    return ">" if data.startswith(b"MM") else "<"


def _form(data: bytes) -> _Form:
    return _BIG_FORM if data[2:3] == b"+" else _FORM  # as Pillow tells them apart


def _number(data: bytes, start: int, form: str, order: str = "") -> int:
    """Returns a number in a file; 0 where the file ends before it."""
    form = (order or _order(data)) + form
    if start + struct.calcsize(form) > len(data):
        return 0
    number: int = struct.unpack_from(form, data, start)[0]
    return number
