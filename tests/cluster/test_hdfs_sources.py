"""Source images on HDFS: how their paths may be written, and why there is none."""

from __future__ import annotations

from functools import partial

import pytest
from convert_cases import png
from hdfs_cases import put

from convert.errors import ImageError
from convert.images.sources.hdfs_reader import HdfsSourceReader
from convert.storage.places import filesystem_of


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.png", "missing"),
        ("in/a.png/b.png", "missing"),
        ("nul\0l.png", "missing"),
        ("in", "not_a_file"),
        ("in/", "not_a_file"),
        ("..", "not_a_file"),
        ("../out.png", "outside_root"),
        ("/elsewhere/a.png", "outside_root"),
        ("hdfs://other:1/a.png", "outside_root"),
        ("in/large.png", "too_large"),
    ],
)
def test_sources_that_cannot_be_read(hdfs, path, reason) -> None:
    root = f"{hdfs}/root"
    files = filesystem_of(root)
    files.make_folder(f"{root}/in")
    contents = {"root/in/a.png": png(), "root/in/large.png": bytes(10_001), "out.png": png()}
    files.together(*(partial(put, files, f"{hdfs}/{name}", contents[name]) for name in contents))
    reader = HdfsSourceReader(root, 10_000)
    with pytest.raises(ImageError) as raised:
        reader.read(path)
    assert raised.value.reason == reason
    assert hdfs not in raised.value.detail


def test_sources_by_any_way_of_writing_them(hdfs) -> None:
    root = f"{hdfs}/root"
    files = filesystem_of(root)
    files.make_folder(f"{root}/in")
    content = png()
    put(files, f"{root}/in/a.png", content)
    reader = HdfsSourceReader(root + "/", 10_000)
    path = root[root.index("/tests") :]
    for name in ("in/a.png", "./in/../in/a.png", f"{path}/in/a.png", f"{root}/in/a.png"):
        assert reader.read(name) == content
