"""The text of a label file: its encoding, its lines, its digest."""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

from convert.errors import UsageError

HEAD_BYTES = 1 << 16
"""What is looked at to tell a dialect."""

_PIECE_BYTES = 1 << 20
_ZERO_SHARE = 8  # of UTF-16's bytes, half are zero in ASCII, fewer in other scripts
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16's does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Those of whose text a sample is shown where UTF-8 does not fit, by what people call them.
_LIKELY = {
    "cp1252": "Windows-1252",
    "gb18030": "GBK",
    "big5": "Big5",
    "shift_jis": "Shift JIS",
    "euc_kr": "EUC-KR",
}
_SAMPLE_BYTES = 24  # around the first one that is not UTF-8
_GUESS_BYTES = 1 << 20
_OTHER_FILES = {
    b"PK\x03\x04": "an Excel workbook or another ZIP file; save the sheet as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV in UTF-8",
    b"\x1f\x8b": "compressed; decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed; decompress it first",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF file",
    b"PAR1": "a Parquet file; its name has to end in .parquet",
    b"ARROW1": "an Arrow file; save the table as Parquet or CSV",
    b"SQLite format": "an SQLite database; export the table as CSV",
    b"\x80\x04": "a Python pickle; save the table as CSV",
    b"<": "XML or HTML; save the labels as CSV",
}


class LabelText:
    """A label file as UTF-8 text.

    Args:
        file: The file on this machine.
        path: What messages call it.
        encoding: Its encoding, by Python's name. None: that of its byte-order mark, else UTF-8.

    Raises:
        UsageError: There is no such encoding, or the file is not text of it.
        OSError: The file cannot be read.

    Attributes:
        path: As given.
        sha256: Digest of the file's bytes, in hexadecimal.
        head: The text's first 64 KiB.
        encoding: Name of the encoding, for people.
        doubts: Lines that tell what is strange about it.
    """

    def __init__(self, file: str, path: str, encoding: str | None) -> None:
        self.path = path
        self._file = file
        with open(file, "rb") as content:
            start = content.read(HEAD_BYTES)
            content.seek(0)
            self.sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        what = next((w for first, w in _OTHER_FILES.items() if start.startswith(first)), None)
        if what is not None:
            raise UsageError(f"{path}: this is {what}.")
        marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")
        self.encoding = encoding or marked
        _check_encoding(self.encoding)
        self.doubts: tuple[str, ...] = ()
        self._content: bytes | None = None
        if codecs.lookup(self.encoding).name not in ("utf-8", "utf-8-sig"):
            with open(file, "rb") as content:
                self._content = self._decoded(content.read())
            start = self._content[:HEAD_BYTES]
        elif start.count(b"\0") > len(start) // _ZERO_SHARE:
            raise UsageError(
                f"{path}: holds zero bytes, as {_wide(start).upper()} without its mark does. "
                f"Give --manifest-encoding {_wide(start)}, or save it as UTF-8."
            )
        self.head = start.decode("utf-8-sig", "replace")

    def _decoded(self, data: bytes) -> bytes:
        """Returns the text as UTF-8; notes a doubt where it could have been UTF-8 before."""
        try:
            text = data.decode(self.encoding).removeprefix("\ufeff")
            if not data.isascii() and not data.startswith(tuple(_MARKS)) and _is_utf8(data):
                self.doubts = (
                    f"warning: {self.path} is UTF-8 text by its bytes; --manifest-encoding "
                    f"{self.encoding} reads them otherwise",
                )
            return text.encode()
        except UnicodeError as error:
            where = ""
            if isinstance(error, UnicodeDecodeError):
                lines = data.count(b"\n", 0, error.start)
                where = f": line {lines + 1}"
            raise UsageError(
                f"{self.path}: not text in {self.encoding}{where}. "
                "Give its encoding with --manifest-encoding."
            ) from error

    def for_arrow(self) -> Any:
        """Returns the text as what pyarrow reads."""
        import pyarrow as pa

        return self._file if self._content is None else pa.BufferReader(self._content)

    def pieces(self) -> Iterator[bytes]:
        """Yields the text as UTF-8, without a byte-order mark, in pieces."""
        with self._open() as content:
            first = True
            while piece := content.read(_PIECE_BYTES):
                yield piece.removeprefix(codecs.BOM_UTF8) if first else piece
                first = False

    def lines(self, newline: str | None = None) -> io.TextIOWrapper:
        """Opens the text for reading.

        Args:
            newline: As of `open`: None makes all ends of lines alike, "" leaves them as they are.
        """
        return io.TextIOWrapper(self._open(), "utf-8-sig", newline=newline)

    def numbered(self) -> Iterator[tuple[int, str]]:
        """Yields the number, from 1, and the text of each line that is not blank."""
        with self.lines() as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.removesuffix("\n")

    def line_of(self, row: int) -> int:
        """Returns the number of the line that is a row, from 1; blank lines are none."""
        return next(islice(self.numbered(), row, None))[0]

    def head_lines(self) -> list[str]:
        """Returns the first whole lines that are not blank."""
        text = self.head.replace("\r\n", "\n").replace("\r", "\n")
        whole = text if len(text.encode()) < HEAD_BYTES // 2 else text.rpartition("\n")[0] or text
        return [line for line in whole.split("\n") if line.strip()]

    def _open(self) -> Any:
        return open(self._file, "rb") if self._content is None else io.BytesIO(self._content)

    def not_utf8(self) -> UsageError:
        """Returns the error for a file that is not UTF-8, with the encoding that it may be in."""
        with self._open() as content:
            for number, line in enumerate(content, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    samples = _samples(line, error.start, content.read(_GUESS_BYTES))
                    return UsageError(
                        f"{self.path}: line {number} is not UTF-8 text. {samples}; "
                        "or save the file as UTF-8."
                    )
        return UsageError(f"{self.path}: not UTF-8 text. Save it as UTF-8.")


def _samples(line: bytes, place: int, more: bytes) -> str:
    """Returns how a line reads in each encoding that it may be in.

    Args:
        line: The line.
        place: Where it is no longer UTF-8.
        more: Lines after it, which the encoding has to fit too.
    """
    readings = []
    for name, known_as in _LIKELY.items():
        text = _decoded(line, name)
        if text is not None and _decoded(more, name) is not None:
            before = len(line[:place].decode(name, "ignore"))
            sample = text[max(0, before - _SAMPLE_BYTES) : before + _SAMPLE_BYTES].strip()
            readings.append(f"--manifest-encoding {name} ({known_as}) reads {sample!r}")
    if not readings:
        return "Give its encoding, by Python's name, with --manifest-encoding NAME"
    return "; ".join([*readings, "others go by Python's names, such as cp1251"])


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wide(start: bytes) -> str:
    """Returns in which encoding of two or four bytes a character most of a text is ASCII."""
    zeros = [start[place::4].count(0) for place in range(4)]
    order = "le" if zeros[3] >= zeros[0] else "be"
    # In UTF-32 three bytes of four are zero.
    return f"utf-32-{order}" if sorted(zeros)[1] > len(start) // 8 else f"utf-16-{order}"


def _check_encoding(name: str) -> None:
    try:
        "a".encode(name)  # refuses what is no encoding of text, such as `zip`
    except LookupError as error:
        raise UsageError(
            f"--manifest-encoding {name}: no such encoding; others are utf-8, utf-16, gb18030, "
            "big5, shift_jis, cp1252."
        ) from error


def _decoded(data: bytes, encoding: str) -> str | None:
    """Returns bytes as text in an encoding; None if they cannot be such text."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)  # its end may be cut
    except UnicodeDecodeError:
        return None
    odd = any(0x80 <= ord(c) < 0xA0 or 0xE000 <= ord(c) < 0xF900 for c in text)
    return None if odd else text
