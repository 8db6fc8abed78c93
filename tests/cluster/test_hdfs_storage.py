"""HDFS alone: names of NameNodes, patience, what dies or hangs, and one-line errors."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
from convert_cases import PATIENCE, command
from hdfs_cases import put

from convert.errors import UsageError
from convert.storage.hdfs import client as hdfs_client
from convert.storage.hdfs.connections import HdfsConnections
from convert.storage.hdfs.error_translation import UnavailableError
from convert.storage.interface import PIECE_BYTES
from convert.storage.places import filesystem_of, use_settings

RETRY = hdfs_client.RETRY_SECONDS

COUNT_FAULTS = """
import resource, sys
from convert.storage.places import filesystem_of

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for piece in filesystem_of(sys.argv[1]).stream(sys.argv[1]):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(4)))
"""


def test_names_of_a_group_of_namenodes(hadoop, hdfs, monkeypatch) -> None:
    """One of the two refuses connections; `hdfs:///` is `fs.defaultFS`."""
    monkeypatch.setenv("HADOOP_CONF_DIR", str(hadoop.conf_dir))
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    put(files, f"{hdfs}/file")
    path = hdfs.removeprefix(hadoop.url)
    for address in (f"hdfs://testns{path}/file", f"hdfs://{path}/file"):
        assert filesystem_of(address).read(address) == b"content"


def test_settings_that_come_from_elsewhere(hadoop, hdfs, monkeypatch) -> None:
    """As they come to the workers of Spark, whose machines may have none."""
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    address = "hdfs://" + hdfs.removeprefix(hadoop.url)
    with pytest.raises(UsageError, match=r"fs\.defaultFS"):
        filesystem_of(address)
    use_settings([("fs.defaultFS", hadoop.url)])
    assert filesystem_of(address).status(address) is None


def test_nobody_answers(monkeypatch) -> None:
    monkeypatch.setenv(RETRY, "0.5")
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    for address, problem in (
        ("hdfs://127.0.0.1:1/x", "127.0.0.1:1: connection refused"),
        ("hdfs://nobody.invalid/x", "nobody.invalid:8020: "),
    ):
        with pytest.raises(UnavailableError) as raised:
            filesystem_of(address).read(address)
        assert str(raised.value).startswith(f"{address}: HDFS fails: no NameNode answers (")
        assert problem in str(raised.value)
        assert raised.value.exit_code == 75


@pytest.mark.parametrize("seconds", ["x", "-1", "inf"])
def test_patience_is_a_number(seconds, monkeypatch) -> None:
    monkeypatch.setenv(RETRY, seconds)
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    with pytest.raises(UsageError, match=RETRY):
        filesystem_of("hdfs://127.0.0.1:1/x")


def test_a_restarting_namenode_is_waited_for(hadoop, hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file")
    hadoop.kill_namenode()
    hadoop.start_namenode(wait=False)
    assert files.read(path) == b"content"
    files.make_folder(f"{hdfs}/a/b")  # which safe mode forbids
    put(files, f"{hdfs}/a/b/c")


def test_a_restarting_datanode_is_waited_for(hadoop, hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    content = os.urandom(8 * PIECE_BYTES)  # more than is under way at once
    path = put(files, f"{hdfs}/file", content)
    pieces = files.stream(path)
    found = next(pieces)
    hadoop.kill_datanode()
    hadoop.start_datanode(wait=False)
    assert found + b"".join(pieces) == content


def test_what_mostly_waits_is_done_at_once(hdfs) -> None:
    """One after the other, each would wait for the next for ever."""
    together = threading.Barrier(3, timeout=PATIENCE)
    filesystem_of(hdfs).together(*[together.wait] * 3)


def test_the_memory_of_pieces_is_used_again(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file", bytes(8 * PIECE_BYTES))
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, path], capture_output=True, text=True, check=True
    )
    # Taken anew from the system, the pieces alone would cost a fault for each page.
    assert int(done.stdout) < 8 * PIECE_BYTES // mmap.PAGESIZE // 2


def test_a_file_whose_datanode_dies_is_never_complete(hadoop, hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    with (
        pytest.raises(OSError, match=r"HDFS|DataNode|nodes|file"),
        files.create(f"{hdfs}/x") as file,
    ):
        file.write(bytes(3 << 20))
        hadoop.kill_datanode()
        for _ in range(8):
            file.write(bytes(1 << 20))
    assert files.names(hdfs) == []


def test_a_hanging_datanode_is_given_up(hadoop, hdfs, monkeypatch) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file")
    monkeypatch.setattr(hdfs_client, "_CALL_SECONDS", 0.5)
    monkeypatch.setattr(files._client, "_seconds", 0.5)
    hadoop.pause_datanode()
    with pytest.raises(UnavailableError, match=r"file: HDFS fails: no answer in time"):
        files.read(path)
    hadoop.resume_datanode()
    monkeypatch.undo()
    assert files.read(path) == b"content"


def read_in_child(path: str, results: multiprocessing.Queue) -> None:
    try:
        filesystem_of(path).read(path)
    except UsageError as error:
        results.put(str(error))


def test_a_forked_process_is_told_instead_of_hanging(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file")
    results = multiprocessing.get_context("fork").Queue()
    child = multiprocessing.get_context("fork").Process(target=read_in_child, args=(path, results))
    child.start()
    assert "forked from one that uses HDFS" in results.get(timeout=60)
    child.join()


def test_a_user_without_rights(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    files._client.call(hdfs, lambda client: client.set_permission(hdfs[hdfs.index("/tests") :], 0))
    environment = {**os.environ, "HADOOP_USER_NAME": "nobody"}
    done = command("show", hdfs, check=False, env=environment)
    assert done.returncode == 1
    assert "Permission denied: user=nobody" in done.stderr
    assert done.stderr.count("\n") == 1
