"""What HDFS answers, and what is made of it; a client that is none stands for a cluster."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace
from typing import ClassVar

import pytest

from convert.storage.hdfs.error_translation import PassingError, translate
from convert.storage.hdfs.filesystem import HdfsFileSystem

STANDBY = "Operation category READ is not supported in state standby"
REFUSED = "Permission denied: user=x, access=WRITE"


def answer(kind: str, message: str) -> RuntimeError:
    return RuntimeError(f'RPCError("org.apache.hadoop.{kind}", "{message}\\n\\tat a.b(C.java:1)")')


@pytest.mark.parametrize(
    ("error", "kind", "number", "text"),
    [
        (answer("ipc.StandbyException", STANDBY), PassingError, errno.EIO, STANDBY),
        (answer("hdfs.SafeModeException", "safe mode."), PassingError, errno.EIO, "safe mode"),
        (ConnectionResetError(104, "reset"), PassingError, errno.EIO, "[Errno 104] reset"),
        (TimeoutError(), PassingError, errno.EIO, "no answer in time"),
        (answer("security.AccessControlException", REFUSED), OSError, errno.EACCES, REFUSED),
        (answer("hdfs.DSQuotaExceededException", "full"), OSError, errno.EDQUOT, "full"),
        (answer("IOException", "/a (is not a directory)"), OSError, errno.ENOTDIR,
         "/a (is not a directory)"),
        (RuntimeError("SASL: no ticket"), OSError, errno.EACCES, "SASL: no ticket"),
        (FileNotFoundError("Path is not a file: /a"), OSError, errno.EISDIR, "Is a directory"),
    ],
)  # fmt: skip
def test_which_errors_may_pass(error, kind, number, text) -> None:
    """Whatever is not known to stay is tried again, and ends with exit 75."""
    found = translate(error, "hdfs://h/x")
    assert isinstance(found, PassingError) == (kind is PassingError)
    assert (found.errno, found.strerror, found.filename) == (number, text, "hdfs://h/x")


class ForgetfulClient:
    """Keeps one byte less than it is given."""

    deleted: ClassVar[list[str]] = []

    def __init__(self, url: str, settings: object) -> None:
        self.size = 0

    def create(self, path: str, options: object) -> ForgetfulClient:
        return self

    def write(self, content: bytes) -> None:
        self.size += len(content)

    def close(self) -> None:
        pass

    def get_file_info(self, path: str) -> SimpleNamespace:
        return SimpleNamespace(isdir=False, length=self.size - 1, modification_time=0)

    def delete(self, path: str) -> None:
        self.deleted.append(path)


def test_a_file_that_lost_bytes_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdfs_native.Client", ForgetfulClient)
    monkeypatch.setattr(ForgetfulClient, "deleted", [])
    with socket.create_server(("127.0.0.1", 0)) as namenode:
        files = HdfsFileSystem(f"127.0.0.1:{namenode.getsockname()[1]}", {})
        with (
            pytest.raises(OSError, match="HDFS kept 6 of 7 bytes"),
            files.create("hdfs:///x") as file,
        ):
            file.write(b"content")
    assert ForgetfulClient.deleted == ["/x"]
