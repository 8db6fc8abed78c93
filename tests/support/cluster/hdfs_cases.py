"""What tests of conversions on HDFS share."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from convert.dataset.info import SOURCE, SUCCESS
from convert.storage.interface import FileSystem
from convert.storage.places import filesystem_of, sha256_file

SIZE = (12, 8)


def upload(folder: Path, address: str) -> None:
    """Copies a folder to HDFS, byte for byte."""
    files = filesystem_of(address)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    for parent in {path.parent.relative_to(folder) for path in paths}:
        files.make_folder(f"{address}/{parent.as_posix()}")

    def copy(path: Path) -> None:
        with files.create(f"{address}/{path.relative_to(folder).as_posix()}") as file:
            file.write(path.read_bytes())

    with ThreadPoolExecutor(64) as pool:  # half a second each, in which nothing happens
        list(pool.map(copy, paths))


def download(address: str, folder: Path) -> Path:
    """Copies a folder of HDFS, as `hdfs dfs -get` does; returns where it lies."""
    files = filesystem_of(address)
    folder.mkdir()
    for name in files.names(address):
        if files.is_folder(f"{address}/{name}"):
            download(f"{address}/{name}", folder / name)
        else:
            (folder / name).write_bytes(files.read(f"{address}/{name}"))
    return folder


def remote_digests(address: str) -> dict[str, str]:
    """Returns the sha256 of each file of a folder of HDFS, as `convert_cases.digests` does."""
    names = sorted({*filesystem_of(address).names(address)} - {SOURCE})
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(sha256_file, [f"{address}/{name}" for name in names])
        return dict(zip(names, found, strict=True))


def require_whole_or_absent(address: str) -> None:
    """Asserts that nothing is seen under a final name but a finished dataset, if anything is."""
    files = filesystem_of(address)
    if files.exists(address):
        assert SUCCESS in files.names(address)


def beside(address: str) -> list[str]:
    """Returns the names beside an output."""
    parent, name = os.path.split(address)
    return sorted(set(filesystem_of(address).names(parent)) - {name})


def put(files: FileSystem, path: str, content: bytes = b"content") -> str:
    """Writes a file; returns its path."""
    with files.create(path) as file:
        file.write(content)
    return path


def options(encoding: str = "raw") -> dict[str, object]:
    """Returns how tests convert, for a call."""
    return {"encoding": encoding, "shard_bytes": 9000, "max_bad_fraction": 0.1}


def words(encoding: str = "raw") -> list[str]:
    """Returns the same for a command line."""
    return [
        *("--size", *map(str, SIZE), "--encoding", encoding, "--shard-bytes", "9000"),
        *("--max-bad-fraction", "0.1", "--json"),
    ]


def attempts(dataset: str) -> list[str]:
    """Returns the files that are being written for a dataset."""
    parent, name = os.path.split(dataset)
    files = filesystem_of(dataset)
    if not files.exists(parent):
        return []
    staged = [n for n in files.names(parent) if n.startswith(f".{name}.staging-")]
    folders = [f"{parent}/{n}/attempts" for n in staged]
    return [n for folder in folders if files.exists(folder) for n in files.names(folder)]
