"""Registrations in a cache's folder that none of our processes wrote."""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from train.cache.members import Member, Members, leave
from train.errors import FormatError

MEMBER = Member(process="1-x", shards="s", need=10, whole=20, budget=30, names=("a-10", "b-10"))
REMEDY = "End that process, or name another folder with --cache."
NAME = f"1-{'a' * 32}.json"


@pytest.fixture
def held(tmp_path):
    """Writes registrations that stay locked, as those of another process do."""
    descriptors = []

    def hold(content: bytes) -> Path:
        path = tmp_path / NAME
        path.write_bytes(content)
        descriptors.append(os.open(path, os.O_RDONLY))
        fcntl.flock(descriptors[-1], fcntl.LOCK_EX)
        return path

    yield hold
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_registration_is_read_by_others(tmp_path):
    path, descriptor = Members(str(tmp_path)).register(MEMBER)
    assert Members(str(tmp_path)).living() == {path: MEMBER}
    leave(path, descriptor, MEMBER.process)
    assert Members(str(tmp_path)).living() == {}


def test_one_that_nobody_holds_is_removed_unread(tmp_path):
    (tmp_path / NAME).write_text("?")
    assert Members(str(tmp_path)).living() == {}
    assert not (tmp_path / NAME).exists()


WHOLE = asdict(MEMBER)
CONTENTS = {
    "no JSON": "?",
    "no object": "[]",
    "nested": "[" * 100_000,
    "fewer fields": json.dumps({"process": "1-x"}),
    "more fields": json.dumps({**WHOLE, "x": 1}),
    "a need of text": json.dumps({**WHOLE, "need": "10"}),
    "a need below zero": json.dumps({**WHOLE, "need": -1}),
    "a vast budget": json.dumps({**WHOLE, "budget": 1 << 70}),
    "NaN": json.dumps({**WHOLE, "whole": float("nan")}),
    "names of numbers": json.dumps({**WHOLE, "names": [1]}),
    "one name": json.dumps({**WHOLE, "names": 1}),
    "a process of none": json.dumps({**WHOLE, "process": None}),
    "shards of a list": json.dumps({**WHOLE, "shards": []}),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_one_that_is_damaged_is_named(name, held, tmp_path):
    path = held(CONTENTS[name].encode())
    message = (
        f"{path}: no registration of a reader that this version of shardfeed knows, and a process "
        f"holds it. {REMEDY}"
    )
    with pytest.raises(FormatError, match=re.escape(message)):
        Members(str(tmp_path)).living()


def test_a_vast_one_is_not_read(held, tmp_path):
    os.truncate(held(b"{"), 1 << 40)
    with pytest.raises(OSError, match=r"1,099,511,627,776 bytes, expected at most"):
        Members(str(tmp_path)).living()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "a link, expected a regular file"),
        (os.mkfifo, "a pipe, socket or device, expected a regular file"),
        (os.mkdir, "Is a directory"),
    ],
)
def test_one_of_another_kind_is_refused(make, problem, tmp_path):
    make(tmp_path / NAME)
    with pytest.raises(OSError, match=problem):
        Members(str(tmp_path)).living()
