"""Files as memory, without a descriptor each."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest

from convert.dataset.mapping import REPAIR, forget, map_file
from convert.errors import FormatError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)
    return path


def test_the_content(file):
    memory = map_file(str(file), 16_384)
    assert memory.tobytes() == file.read_bytes()
    with pytest.raises(ValueError, match="read-only"):
        memory[0] = 1


def test_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert map_file(str(tmp_path / "empty"), 0).shape == (0,)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("file", 5, "16384 bytes, expected 5"),
        ("none", 5, "cannot be read: No such file or directory"),
        (".", 5, "cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_mapped(file, name, size, message):
    path = str(file.parent / name) if name != "." else str(file.parent)
    with pytest.raises(FormatError) as raised:
        map_file(path, size)
    assert str(raised.value) == f"{path}: {message}. {REPAIR}"


def test_a_view_keeps_the_memory(file):
    """The finalizer must not unmap what a slice still shows."""
    view = map_file(str(file), 16_384)[100:200]
    gc.collect()
    others = [map_file(str(file), 16_384) for _ in range(50)]
    del others
    assert view.tolist() == list(range(100, 200))


def mappings(path):
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sum(str(path) in line for line in maps)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc of Linux")
def test_what_nobody_sees_is_unmapped(file):
    memory = map_file(str(file), 16_384)
    assert mappings(file) == 1
    del memory
    gc.collect()
    assert mappings(file) == 0


def test_more_files_than_descriptors(file):
    code = """
import resource, sys
from convert.dataset.mapping import map_file
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
memories = [map_file(sys.argv[1], 16_384) for _ in range(1_000)]
print(sum(int(memory[255]) for memory in memories))
"""
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("255000\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc of Linux")
def test_forgotten_memory_is_given_back_and_can_be_read_again(tmp_path):
    size = 32 << 20
    path = tmp_path / "large"
    path.write_bytes(np.arange(size, dtype=np.uint8).tobytes())
    memory = map_file(str(path), size)
    total = int(memory.sum())
    before = resident_file_bytes()
    forget(memory[5:-5])  # ends that are no pages stay
    assert resident_file_bytes() < before - size / 2
    assert int(memory.sum()) == total
    forget(memory[10:20])


def resident_file_bytes():
    """Of disks, and of a file system in memory, as /tmp may be."""
    with open("/proc/self/status", encoding="utf-8") as status:
        lines = [line for line in status if line.startswith(("RssFile", "RssShmem"))]
    return sum(int(line.split()[1]) * 1024 for line in lines)
