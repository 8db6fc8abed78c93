"""Registrations in a cache that others write to: looked at with care, and never a traceback."""

from __future__ import annotations

import fcntl
import json
import os
import uuid

import pytest
from cache_cases import SHARD, through
from irregular import KINDS

from train.cache.folder import CacheFolder
from train.cache.reservations import Member, Members
from train.errors import FormatError, ShardfeedError

MEMBER = Member(process="1-a", shards="ab", need=5, whole=9, budget=90, names=("a-5", "b-4"))


@pytest.fixture
def members(tmp_path):
    return Members(str(tmp_path))


@pytest.fixture
def register(tmp_path):
    """Returns a function that registers a content as a living process does."""
    held = []

    def register(content):
        path = tmp_path / f"{os.getpid()}-{uuid.uuid4().hex}.json"
        path.write_text(content)
        held.append(os.open(path, os.O_RDONLY))
        fcntl.flock(held[-1], fcntl.LOCK_EX)
        return path

    yield register
    for descriptor in held:
        os.close(descriptor)


def test_a_registration_is_read_as_it_was_written(members, tmp_path):
    path, descriptor = members.register(MEMBER)
    assert Members(str(tmp_path)).living() == {path: MEMBER}
    os.close(descriptor)
    assert not Members(str(tmp_path)).living()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        {"more": 1},
        {"need": "5"},
        {"need": -1},
        {"need": True},
        {"whole": 1.5},
        {"budget": 1 << 60},
        {"process": None},
        {"shards": ["a"]},
        {"names": None},
        {"names": 7},
        {"names": {"a": [1]}, "process": 3},
        {"names": ["a", 1]},
        {"names": [[]]},
    ],
)
def test_a_foreign_value_is_one_line(content, members, register):
    if isinstance(content, dict):
        sound = {name: getattr(MEMBER, name) for name in Member.__slots__}
        content = json.dumps({**sound, **content})
    path = register(content)
    with pytest.raises(FormatError) as caught:
        members.living()
    assert str(caught.value) == (
        f"{path}: no registration of a reader that this version of shardfeed knows, and a process "
        "holds it. End that process, or name another folder with --cache."
    )


def test_what_is_too_large_is_not_read(members, register):
    os.truncate(register("{}"), 1 << 40)
    with pytest.raises(FormatError, match="no registration of a reader"):
        members.living()


def test_files_of_others_are_left_alone(members, tmp_path):
    for name in ("notes.txt", "1.json", f"x-{uuid.uuid4().hex}.json"):
        (tmp_path / name).write_text("mine")
    assert not members.living()
    assert len(os.listdir(tmp_path)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_one_line(kind, many_shards, tmp_path):
    CacheFolder(str(tmp_path))
    path = tmp_path / "readers" / f"1-{uuid.uuid4().hex}.json"
    path.write_text("{}")
    KINDS[kind](path)
    with pytest.raises(ShardfeedError) as caught:
        through(many_shards, tmp_path, 9 * SHARD)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
