"""Files of arrays and of models, which are zip archives: what can be told without reading them."""

from __future__ import annotations

import os
import zipfile
from typing import BinaryIO

from convert.regular import open_regular

_LARGE_BYTES = 1 << 30  # to read so much takes seconds


def require_stored(file: BinaryIO) -> None:
    """Raises unless a file of arrays is as small packed as it is unpacked.

    Args:
        file: Open at its start, as it is afterwards.

    Raises:
        ValueError: Its arrays would take more memory than it has bytes.
        BadZipFile: It is no archive.
    """
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("its arrays are larger than the file")
    file.seek(0)


def has_end(path: str) -> bool:
    """Tells whether an archive ends as one, if it is large.

    A terabyte of nothing takes no room on a disk, and its digest half an hour.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb", opener=open_regular) as file:
        return os.fstat(file.fileno()).st_size <= _LARGE_BYTES or zipfile.is_zipfile(file)
