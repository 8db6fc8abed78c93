"""Where the files are that are measured: in a folder of HDFS, and on a local disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hdfs_native import Client, WriteOptions

from convert.storage.hdfs.address import path_of, split_address
from convert.storage.places import filesystem_of

ROOT = Path(__file__).resolve().parent.parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_UPLOADS = 64  # to complete a new file takes 0.4 s, nearly all of it waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Two folders that are removed in the end.

    Attributes:
        address: On HDFS, an `hdfs://` address.
        folder: On the local disk.
        daemons: Process that has started the daemons of this HDFS. None: it was there.
    """

    address: str
    folder: Path
    daemons: int | None

    def client(self) -> Client:
        """Returns a raw client, as a user of hdfs-native makes it."""
        return Client(f"hdfs://{split_address(self.address)[0]}")

    def name(self, path: str) -> str:
        """Returns the path by which the raw client knows a file of the folder on HDFS."""
        return f"{path_of(self.address)}/{path}"

    def daemon_seconds(self) -> float:
        """Returns the CPU time of the NameNode and the DataNode so far; 0 if they are not ours."""
        seconds = 0.0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.daemons:
                    seconds += (int(fields[11]) + int(fields[12])) / _TICKS
        return seconds

    def upload(self, folder: Path) -> None:
        """Copies a local folder's files to the same names on HDFS."""
        client = self.client()
        options = WriteOptions(create_parent=True)

        def copy(path: Path) -> None:
            with client.create(self.name(str(path.relative_to(folder.parent))), options) as file:
                content = path.read_bytes()
                for start in range(0, len(content), 1 << 20):
                    file.write(content[start : start + (1 << 20)])

        files = [path for path in folder.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(_UPLOADS) as pool:
            list(pool.map(copy, files))


@contextlib.contextmanager
def open_place(url: str | None, folder: Path | None) -> Iterator[Place]:
    """Makes both folders, and an HDFS if there is none.

    Args:
        url: A folder of HDFS to make ours in. None: on an HDFS that is started on loopback.
        folder: A local folder to make ours in. None: where temporary files are.
    """
    with contextlib.ExitStack() as stack:
        local = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        daemons = None
        if url is None:
            url, daemons = stack.enter_context(_hadoop(local / "hadoop"))
        address = f"{url.rstrip('/')}/benchmark-{uuid.uuid4().hex}"
        files = filesystem_of(address)
        stack.callback(files.remove_tree, address)
        files.make_folder(address)
        yield Place(address=address, folder=local, daemons=daemons)


@contextlib.contextmanager
def _hadoop(folder: Path) -> Iterator[tuple[str, int]]:
    """Starts a NameNode and a DataNode; returns their address and the process above them."""
    folder.mkdir()
    # It ends with us, however we end, and the daemons with it.
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        sys.executable,
        str(ROOT / "tests" / "support" / "hadoop.py"),
    ]
    with subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                sys.exit("HDFS does not start: what is above says why.")
            yield address, process.pid
        finally:
            process.terminate()
