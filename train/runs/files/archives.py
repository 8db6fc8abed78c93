"""Arrays and models in a run's folder: what they claim is compared with what is there first.

A header of 128 bytes can claim terabytes, which NumPy takes from the memory before it reads any.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

Arrays = dict[str, np.ndarray[Any, Any]]

_SUFFIX = ".npy"  # of the members of a .npz file
_WEIGHTS = "model.weights.h5"  # in a .keras file


class ArrayHeader(NamedTuple):
    """What a stored array is said to be.

    Attributes:
        shape: Its shape.
        dtype: Its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_headers(file: BinaryIO) -> dict[str, ArrayHeader]:
    """Returns what the arrays in a .npz file are said to be; reads none of them.

    Raises:
        ValueError: It is no such file, or claims more than it holds.
    """
    with _members(file) as (archive, names):
        headers = {}
        for name, member in names.items():
            with archive.open(member) as stream:
                headers[name] = _header(stream, member.file_size)
        return headers


def read_arrays(file: BinaryIO) -> Arrays:
    """Returns the arrays in a .npz file.

    Raises:
        ValueError: It is no such file, or claims more than it holds.
    """
    read_headers(file)
    with _members(file) as (archive, names):
        arrays = {}
        for name, member in names.items():
            with archive.open(member) as stream:
                arrays[name] = npy.read_array(stream, allow_pickle=False)
        return arrays


def read_array(file: BinaryIO) -> np.ndarray[Any, Any]:
    """Returns the array in a .npy file.

    Raises:
        ValueError: It is no such file, or claims another size than it has.
    """
    _header(file, os.fstat(file.fileno()).st_size)
    file.seek(0)
    array: np.ndarray[Any, Any] = npy.read_array(file, allow_pickle=False)
    return array


def require_real_model(file: BinaryIO) -> None:
    """Checks that a .keras file unpacks to what it holds, and so do the weights in it.

    Raises:
        ValueError: It is no such file, or claims more than it holds.
    """
    import h5py

    with _opened(file) as archive:
        # Each step back in a member of an archive reads it again from its start.
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as weights:
            sizes: list[int] = []

            def add(name: str, item: object) -> None:
                if isinstance(item, h5py.Dataset):
                    sizes.append(math.prod(item.shape or ()) * item.dtype.itemsize)

            weights.visititems(add)
        if sum(sizes) > archive.getinfo(_WEIGHTS).file_size:
            raise ValueError("its weights are larger than the file")
    file.seek(0)


def read_comment(file: BinaryIO) -> bytes:
    """Returns the comment of a .keras file, at most 65,535 bytes; empty if it has none.

    Raises:
        ValueError: It is no such file.
    """
    with _opened(file) as archive:
        return archive.comment


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Opens an archive that is as small packed as it is unpacked.

    Raises:
        ValueError: It is none; or it cannot be read while it is open.
    """
    try:
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > size:
                raise ValueError("its arrays are larger than the file")
            yield archive
    # What the parsers of zip files, deflate streams, headers and HDF5 stumble over.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise ValueError("it is no archive of arrays") from error


@contextlib.contextmanager
def _members(file: BinaryIO) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Opens an archive of arrays, and tells its members by the arrays' names."""
    with _opened(file) as archive:
        yield archive, {info.filename.removesuffix(_SUFFIX): info for info in archive.infolist()}


def _header(stream: IO[bytes], size: int) -> ArrayHeader:
    """Reads the header of a stored array.

    Args:
        stream: Stands at its start.
        size: Bytes of header and array.

    Raises:
        ValueError: It is none, or is not that of an array of this size.
    """
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, _, dtype = read(stream)
    except Exception as error:  # whatever its parser stumbles over
        raise ValueError("an array has no header that can be read") from error
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which are never loaded")
    claimed = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or claimed != size - stream.tell():
        raise ValueError(f"an array claims {claimed:,} bytes, of {size - stream.tell():,}")
    return ArrayHeader(shape, dtype)
