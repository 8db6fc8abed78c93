"""The folder of a cache: who writes, what is removed, who is let in, what the dead leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cache_cases import everything, names, put, used_bytes

from train.cache.folder import MARKER, CacheFolder
from train.cache.partial_file import Part
from train.cache.reservations import Member, needed, this_process
from train.errors import TryAgainError, UsageError


def test_a_folder_has_few_files_and_no_lock_stays(tmp_path):
    folder = CacheFolder(str(tmp_path / "a" / "cache"), 1000)
    os.close(put(folder, "x"))
    folder.is_wanted()
    assert sorted(os.listdir(folder.path)) == [
        MARKER, "lock", "readers", "shards", "wanted"
    ]  # fmt: skip
    assert names(folder) == ["x"]
    assert not os.listdir(tmp_path / "a" / "cache" / "readers")


def test_what_is_open_stays_and_the_longest_unused_goes(tmp_path):
    folder = CacheFolder(str(tmp_path), 300)
    for age, name in enumerate(["a", "b", "c"]):
        descriptor = put(folder, name)
        os.utime(descriptor, (age, age))
        if name != "a":
            os.close(descriptor)
    os.close(put(folder, "d"))
    assert names(folder) == ["a", "c", "d"]


def test_nothing_is_removed_in_vain(tmp_path):
    folder = CacheFolder(str(tmp_path), 300)
    os.close(put(folder, "a"))
    put(folder, "b")
    put(folder, "c")
    assert put(folder, "d", 200) is None
    assert names(folder) == ["a", "b", "c"]


def test_a_file_is_fetched_by_one(tmp_path):
    folder, other = CacheFolder(str(tmp_path), 300), CacheFolder(str(tmp_path), 300)
    part = folder.reserve("a", 100, everything)
    assert isinstance(part, Part)
    assert used_bytes(tmp_path) == 100  # of full size at once
    assert other.reserve("a", 100, everything) is None
    part.write(b"x" * 100)
    os.close(folder.publish(part))
    assert other.reserve("a", 100, everything) is None  # it is there


def test_who_has_stopped_for_long_stops_nobody(tmp_path, monkeypatch):
    folder = CacheFolder(str(tmp_path), 300)
    stopped = folder.reserve("a", 100, everything)
    monkeypatch.setattr("train.cache.folder._STALLED_SECONDS", -1)
    os.close(put(folder, "a"))
    stopped.write(bytes(100))
    os.close(folder.publish(stopped))  # it goes on after all
    assert names(folder) == ["a"]


def run_until_killed(code):
    """Runs code in a process of its own, which kills itself at its end."""
    code += "; import os; os.kill(os.getpid(), 9)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == -9


def test_parts_of_the_dead_are_removed(tmp_path):
    folder = CacheFolder(str(tmp_path), 300)
    code = (
        "from train.cache.folder import CacheFolder;"
        f"folder = CacheFolder({str(tmp_path)!r}, 300);"
        "part = folder.reserve('a', 250, lambda *found: []); part.write(b'half')"
    )
    run_until_killed(code)
    assert used_bytes(tmp_path) == 250
    living = folder.reserve("c", 50, everything)
    assert names(folder) == ["c.0.part"]
    os.close(put(folder, "a"))
    assert names(folder) == ["a", "c.0.part"]
    living.remove()
    assert names(folder) == ["a"]


def test_a_damaged_file_is_removed_only_if_it_is_still_the_one(tmp_path):
    folder = CacheFolder(str(tmp_path), 300)
    damaged = put(folder, "a")
    again = folder.open("a")
    folder.discard("a", damaged)
    assert not names(folder)
    os.close(put(folder, "a"))
    folder.discard("a", again)  # another one has its name by now
    assert names(folder) == ["a"]


def test_nobody_fetches_ahead_while_somebody_waits(tmp_path):
    folder, other = CacheFolder(str(tmp_path), 300), CacheFolder(str(tmp_path), 300)
    assert not other.is_wanted()
    with folder.wanted(), folder.wanted():
        assert other.is_wanted()
    assert not other.is_wanted()


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError) as caught:
        CacheFolder(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: not empty, and no cache of shardfeed: it has no {MARKER}. "
        "Name a new or empty folder with --cache."
    )
    assert os.listdir(tmp_path) == ["mine"]


def test_half_of_the_disk_is_the_default(tmp_path):
    disk = os.statvfs(tmp_path)
    budget = CacheFolder(str(tmp_path)).budget
    assert budget == pytest.approx(disk.f_bavail * disk.f_frsize / 2, rel=0.2)


# Readers


def member(shards, need, whole=1000, process="p", budget=100):
    return Member(
        process=process, shards=shards, need=need, whole=whole, budget=budget, names=("x",)
    )


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], 0),
        ([member("a", 10), member("b", 20)], 30),
        ([member("a", 10, 15), member("a", 10, 15)], 15),  # the same shards, each once
    ],
)
def test_what_readers_need_together(members, expected):
    assert needed(members) == expected


def test_readers_are_let_in_while_they_fit(tmp_path):
    folder = CacheFolder(str(tmp_path), 100)
    mine = this_process()
    leave = folder.admit(member("a", 60, process="another"))
    folder.admit(member("b", 30, process=mine))
    with pytest.raises(TryAgainError) as caught:
        folder.admit(member("c", 20, process=mine))
    assert str(caught.value) == (
        f"{tmp_path}: full of shards that 2 other readers need: they and this one take up to 110 "
        "bytes at once, the cache may have 100. Wait until one ends, give --cache-bytes 110, or "
        "name another --cache."
    )
    leave()
    folder.admit(member("c", 20, process=mine))
    with pytest.raises(UsageError, match="take up to 120 bytes at once"):
        folder.admit(member("d", 70, process=mine))


def test_the_largest_budget_counts(tmp_path):
    """Else who was promised less could wait for ever."""
    CacheFolder(str(tmp_path), 100).admit(member("a", 60, process="another"))
    small, large = CacheFolder(str(tmp_path), 80), CacheFolder(str(tmp_path), 300)
    with pytest.raises(TryAgainError):
        small.admit(member("b", 50, budget=80, process="y"))
    large.admit(member("b", 50, budget=300, process="z"))
    small.admit(member("c", 50, budget=80, process="y"))


def test_readers_of_dead_processes_count_no_more(tmp_path):
    folder = CacheFolder(str(tmp_path), 100)
    code = (
        "from train.cache.folder import CacheFolder;"
        "from train.cache.reservations import Member;"
        f"folder = CacheFolder({str(tmp_path)!r}, 100);"
        "folder.admit(Member(process='q', shards='q', need=90, whole=90, budget=100, names=()))"
    )
    run_until_killed(code)
    assert len(os.listdir(tmp_path / "readers")) == 1
    folder.admit(member("a", 90))
    assert len(os.listdir(tmp_path / "readers")) == 1
