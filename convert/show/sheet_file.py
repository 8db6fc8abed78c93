"""The file of a contact sheet: where it may go, and how it appears."""

from __future__ import annotations

import errno
import os
import stat
from io import BytesIO
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from convert.errors import UsageError
from convert.os_errors import kind_of
from convert.storage.places import absolute, filesystem_of, is_remote, real_place
from convert.storage.regular_files import open_regular

_SOFTWARE = ("Software", "shardfeed contact sheet")
"""Keyword and text by which a sheet is known as ours; the PNG standard names the keyword."""

_MARK = b"tEXt" + "\0".join(_SOFTWARE).encode("latin-1")
_PNG = b"\x89PNG\r\n\x1a\n"
_START_BYTES = 256  # of a file: Pillow writes texts right behind the header


def check_folder(sheets: str, dataset: str) -> None:
    """Makes the folder for the sheets.

    Raises:
        UsageError: It cannot be made, or lies in the dataset, which must hold nothing else.
    """
    if _whole(sheets).startswith(_whole(dataset)):
        raise UsageError(
            f"--sheets {sheets}: is inside the dataset {dataset}, where only convert writes. "
            "Choose another folder."
        )
    try:
        filesystem_of(sheets).make_folder(sheets)
    except OSError as error:
        raise kind_of(error)(f"--sheets {sheets}: cannot be made: {error.strerror}.") from error


def _whole(folder: str) -> str:
    """Returns a folder's one name, with a slash at its end."""
    return os.path.join(absolute(folder) if is_remote(folder) else os.path.realpath(folder), "")


def check_sheet(path: str, dataset: str, *, overwrite: bool) -> None:
    """Checks that nothing stands where a sheet goes, or a sheet that an earlier call drew.

    Args:
        path: The sheet's file.
        dataset: The dataset's folder, of which nothing may be replaced.
        overwrite: Whether a file of another kind may be replaced.

    Raises:
        UsageError: Something else stands there.
    """
    if _whole(path).startswith(_whole(dataset)):
        raise UsageError(
            f"{path}: leads into the dataset {dataset}, where only convert writes. "
            "Choose another folder with --sheets."
        )
    if filesystem_of(path).is_folder(path):
        raise UsageError(f"{path}: cannot be written: {os.strerror(errno.EISDIR)}.")
    kind = _kind(path)
    if kind == "other" or (kind == "file" and not overwrite):
        cure = ", or replace it with --overwrite" * (kind == "file")
        raise UsageError(
            f"{path}: exists and is no contact sheet of `convert show`, so it is left alone. "
            f"Choose another folder with --sheets{cure}."
        )


def _kind(path: str) -> str:
    """Names the kind of a path: nothing, a "sheet", a "file" or something "other"."""
    files, real = filesystem_of(path), real_place(path)
    try:
        if files.is_local:
            found = os.lstat(real)
            is_file, size = stat.S_ISREG(found.st_mode), found.st_size
        else:
            status = files.status(real)
            if status is None:
                return ""
            is_file, size = not status.is_folder, status.size
        if not is_file:
            return "other"
        start = files.read(real, 0, min(_START_BYTES, size))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:  # who may not read it cannot know that it is a sheet
        return "file"
    return "sheet" if start.startswith(_PNG) and _MARK in start else "file"


def write_png(path: str, image: Image.Image) -> None:
    """Writes a PNG so that it is there whole or not at all, replacing an older one.

    Raises:
        UsageError: It may not be written there.
        TryAgainError: The disk is full or failed, or HDFS did.
    """
    try:
        if is_remote(path):
            buffer = BytesIO()
            _save(image, buffer)
            filesystem_of(path).replace(path, buffer.getvalue())
        else:
            _write_here(path, image)
    except OSError as error:
        raise kind_of(error)(f"{path}: cannot be written: {error.strerror}.") from error


def _write_here(path: str, image: Image.Image) -> None:
    """Writes a PNG on this machine; where a link stands, what it points at is replaced."""
    path = real_place(path)
    part = f"{path}.part-{os.getpid()}"
    try:
        with open(part, "wb", opener=open_regular) as file:
            _save(image, file)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _save(image: Image.Image, file: IO[bytes]) -> None:
    """Writes a PNG that `check_sheet` recognises."""
    texts = PngInfo()
    texts.add_text(*_SOFTWARE)
    image.save(file, "PNG", compress_level=9, pnginfo=texts)
