"""The place of the dataset to be: what stands there, who may write it, what is left to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from convert.config import ConvertConfig
from convert.dataset.info import DATASET_JSON, DatasetInfo
from convert.dataset.read import open_dataset
from convert.errors import FormatError, ShardfeedError, UsageError
from convert.os_errors import kind_of
from convert.plan.corrections import Corrections
from convert.plan.shard_specs import plan_id, plan_options
from convert.storage.local import locked
from convert.storage.places import absolute, filesystem_of, is_remote, sha256_file
from convert.write.commit_dataset import replaced_folders
from convert.write.open_inputs import open_manifest
from convert.write.source_note import is_of_root
from convert.write.staging import Staging
from convert.write.staging_key import staging_key

_LONGEST_NAME = 255 - len("..staging-0123456789abcdef")
"""Bytes of a dataset's name: Linux allows 255, and the staging folder beside it adds some."""


class Output:
    """The place of the dataset to be.

    Args:
        config: The options; `dataset` is the place.
        root: Folder of the sources.
        allow: Further folders that paths may lead into.
    """

    def __init__(self, config: ConvertConfig, root: str, allow: tuple[str, ...]) -> None:
        self.path = config.dataset
        self._config, self._root, self._allow = config, root, allow
        self._files = filesystem_of(self.path)

    def staging(self, identity: str) -> Staging:
        """Returns the folder in which the dataset of a plan grows."""
        return Staging(self.path, staging_key(identity, self._root), self._allow)

    def finished(self, identity: str) -> DatasetInfo | None:
        """Judges what stands there.

        Args:
            identity: Digest of the plan.

        Returns:
            The finished dataset of this very plan, or None if there is work to do.

        Raises:
            UsageError: Something else stands there that must not be replaced.
        """
        status = self._files.status(self.path)
        if status is None and not os.path.islink(self.path):
            return None
        if status is not None and status.is_folder and not self._files.names(self.path):
            return None
        try:
            dataset = open_dataset(self.path)
        except FormatError as error:
            raise UsageError(
                f"{self.path}: exists and is no valid dataset, so it is left alone. "
                "Choose another output, or remove it yourself."
            ) from error
        if self._config.overwrite:
            return None
        info = dataset.info
        if info.plan_id != identity:
            raise UsageError(
                f"{self.path}: holds a dataset of another plan ({info.plan_id[:8]}; this one is "
                f"{identity[:8]}): the manifest or an option differs. "
                "Choose another output, or replace it with --overwrite."
            )
        sizes = dataset.folder.sizes()
        for file, (size, _) in info.files().items():
            if sizes.get(file) != size:
                raise ShardfeedError(
                    f"{os.path.join(self.path, file)}: missing or not of its {size} bytes. "
                    "Restore it, or convert again with --overwrite."
                )
        return info

    def finished_before(
        self, given: Mapping[str, tuple[str, ...]], corrections: Sequence[Corrections] = ()
    ) -> DatasetInfo | None:
        """Returns the finished dataset of this very plan, recognised without planning.

        Args:
            given: Classes of the vocabularies that the user gave.
            corrections: Labels that replace those of the manifest, a file after the other.

        Returns:
            None if there is none, or if something is left to be done or said.
        """
        config = self._config
        if config.overwrite or config.retry_quarantined or not self._is_settled():
            return None
        try:
            if config.from_names is None:
                digest = sha256_file(config.manifest)
            else:
                digest = open_manifest(config).sha256
        except OSError:
            return None
        identity = plan_id(digest, plan_options(config, given, corrections))
        if self.staging(identity).exists() or not is_of_root(self.path, self._root):
            return None
        return self.finished(identity)

    def _is_settled(self) -> bool:
        """Returns whether a dataset stands there, and no run is at work or was killed amid it."""
        is_locked = self._files.is_local and os.path.lexists(self._lock_path)
        where = os.path.join(self.path, DATASET_JSON)
        return not is_locked and not replaced_folders(self.path) and self._files.exists(where)

    def check_place(self) -> None:
        """Refuses places that no folder can be renamed to.

        Raises:
            UsageError: It is empty, too long, the current folder, or a mount point.
        """
        if not self.path:
            raise UsageError("DATASET is an empty word, as an unset variable gives. Name a folder.")
        if is_remote(self.path):
            return
        size = len(os.fsencode(os.path.basename(absolute(self.path))))
        if size > _LONGEST_NAME:
            raise UsageError(
                f"{self.path}: its name has {size} bytes; the working folder beside it, whose name "
                f"is longer, leaves room for {_LONGEST_NAME}. Choose a shorter name."
            )
        if not os.path.isdir(self.path):
            return
        if self._config.overwrite or not self._files.names(self.path):
            self._check_folder()

    def _check_folder(self) -> None:
        """Refuses a folder, empty or a dataset, that another folder cannot replace."""
        if os.path.ismount(self.path):
            raise UsageError(
                f"{self.path}: is a mount point, which cannot be replaced. "
                f"Name a folder inside it, like {os.path.join(self.path, 'dataset')}."
            )
        if os.path.samefile(self.path, os.curdir):
            raise UsageError(
                f"{self.path}: is the current folder, which cannot be replaced from inside. "
                "Name a folder inside it, or give the command from another folder."
            )

    def make_parent(self) -> None:
        """Makes the folder that it stands in.

        Raises:
            ShardfeedError: It cannot be made.
        """
        try:
            self._files.make_folder(os.path.dirname(absolute(self.path)))
        except OSError as error:
            raise kind_of(error)(
                f"{self.path}: its parent folder cannot be made: {error.strerror}."
            ) from error

    def alone(self, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Lets no other converter of this machine write there; on HDFS there are no locks."""
        if is_remote(self.path):
            return nullcontext()
        return locked(
            self._lock_path, lambda: say(f"waiting for another convert that writes {self.path}")
        )

    @property
    def _lock_path(self) -> str:
        parent, name = os.path.split(os.path.abspath(self.path))
        return os.path.join(parent, f".{name}.lock")
