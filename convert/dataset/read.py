"""Reading a dataset's description from its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass

from convert.dataset.folder import Folder
from convert.dataset.hdfs_folder import RemoteFolder
from convert.dataset.info import DATASET_JSON, DatasetInfo
from convert.dataset.local_folder import LocalFolder
from convert.dataset.parser import parse_dataset
from convert.errors import FormatError
from convert.storage.places import filesystem_of, is_remote


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A finished dataset, of which all that is read belongs together.

    Attributes:
        folder: Its folder, held.
        info: Its description.
    """

    folder: Folder
    info: DatasetInfo

    @property
    def path(self) -> str:
        """The folder as the user named it."""
        return self.folder.path


def open_folder(path: str) -> Folder:
    """Opens a folder, to be held while it is read.

    Raises:
        OSError: There is none on this machine, or it may not be opened.
    """
    return RemoteFolder(path, filesystem_of) if is_remote(path) else LocalFolder(path)


def read_dataset(path: str) -> DatasetInfo:
    """Reads a dataset folder's `dataset.json`; to read more of it, use `open_dataset`.

    Raises:
        FormatError: There is none, or it is not valid.
    """
    return open_dataset(path).info


def open_dataset(path: str) -> OpenDataset:
    """Opens a dataset's folder and reads its `dataset.json`.

    Raises:
        FormatError: There is none, or it is not valid.
        ReplacedError: Another one came on HDFS meanwhile.
    """
    where = os.path.join(path, DATASET_JSON)
    files = filesystem_of(path)
    folder = None
    try:
        folder = open_folder(path)
        text = folder.read_text(DATASET_JSON).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: not UTF-8 text. Convert again.") from error
    except OSError as error:
        changed = folder and folder.change()
        if changed:
            raise changed from error
        if not files.is_folder(path):
            problem = "no such dataset folder. Make it with `convert MANIFEST DATASET`"
        elif isinstance(error, FileNotFoundError):
            problem = (
                f"no {DATASET_JSON} in it, so it is no finished dataset. "
                "Make it with `convert MANIFEST DATASET`"
            )
        else:
            problem = f"cannot read its {DATASET_JSON}: {error.strerror}"
        raise FormatError(f"{path}: {problem}.") from error
    folder.require_current()
    return OpenDataset(folder, parse_dataset(text, where))
