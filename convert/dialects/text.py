"""The text of a label file: its encoding, its lines, its digest."""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Iterator
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
# The first that decodes what UTF-8 does not is suggested, by what people call it.
_LIKELY = {
    "gb18030": "GBK",
    "big5": "Big5",
    "shift_jis": "Shift JIS",
    "euc_kr": "EUC-KR",
    "cp1252": "Windows-1252",
    "latin-1": "Latin-1",
}
_GUESS_BYTES = 1 << 20


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
    """

    def __init__(self, file: str, path: str, encoding: str | None) -> None:
        self.path = path
        self._file = file
        with open(file, "rb") as content:
            start = content.read(HEAD_BYTES)
            content.seek(0)
            self.sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        self.encoding = encoding or _marked(start) or "utf-8"
        _check_encoding(self.encoding)
        self._content: bytes | None = None
        if codecs.lookup(self.encoding).name not in ("utf-8", "utf-8-sig"):
            with open(file, "rb") as content:
                self._content = self._decoded(content.read()).encode()
            start = self._content[:HEAD_BYTES]
        elif start.count(b"\0") > len(start) // _ZERO_SHARE:
            raise UsageError(
                f"{path}: holds zero bytes, as UTF-16 without its mark does. "
                "Give --manifest-encoding utf-16-le, or save it as UTF-8."
            )
        self.head = start.decode("utf-8-sig", "replace")

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode(self.encoding).removeprefix("\ufeff")
        except UnicodeError as error:
            raise UsageError(
                f"{self.path}: not text in {self.encoding}{_line_of(data, error)}. "
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

    def head_lines(self) -> list[str]:
        """Returns the first whole lines that are not blank."""
        text = self.head.replace("\r\n", "\n").replace("\r", "\n")
        whole = text if len(text.encode()) < HEAD_BYTES // 2 else text.rpartition("\n")[0] or text
        return [line for line in whole.split("\n") if line.strip()]

    def _open(self) -> Any:
        return open(self._file, "rb") if self._content is None else io.BytesIO(self._content)

    def not_utf8(self) -> UsageError:
        """Returns the error for a file that is not UTF-8, with the encoding that it may be in."""
        where = ""
        data = b""
        with self._open() as content:
            for number, line in enumerate(content, 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    where = f"; line {number} is the first that is not"
                    data = line + content.read(_GUESS_BYTES)
                    break
        name = next((name for name in _LIKELY if _decodes(data, name)), "latin-1")
        return UsageError(
            f"{self.path}: not UTF-8 text{where}. It may be {_LIKELY[name]}: then give "
            f"--manifest-encoding {name}; or save it as UTF-8."
        )


def _marked(start: bytes) -> str | None:
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)


def _check_encoding(name: str) -> None:
    try:
        "a".encode(name)  # refuses what is no encoding of text, such as `zip`
    except LookupError as error:
        raise UsageError(
            f"--manifest-encoding {name}: no such encoding; others are utf-8, utf-16, gb18030, "
            "big5, shift_jis, cp1252."
        ) from error


def _decodes(data: bytes, encoding: str) -> bool:
    """Tells whether bytes may be text in an encoding."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)  # its end may be cut
    except UnicodeDecodeError:
        return False
    return not any(0x80 <= ord(c) < 0xA0 or 0xE000 <= ord(c) < 0xF900 for c in text)


def _line_of(data: bytes, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return ""
    line = data.count(b"\n", 0, error.start) + 1
    return f": line {line}"
