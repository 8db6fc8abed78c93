"""The parts of the cache: what needs room, what gives it, who is let in, what the dead leave."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cache_cases import used_bytes

from convert.metadata import Shard
from train.cache.addresses import Addresses
from train.cache.counts import CacheCounts, CacheTotals
from train.cache.fetch import Fetcher, Item
from train.cache.folder import MARKER, CacheFolder, Refusal
from train.cache.members import Member, needed, this_process
from train.cache.need import largest_window
from train.cache.part import Part
from train.cache.room import CachedFile, Wish, candidates
from train.cache.streams import Streams
from train.errors import TryAgainError, UsageError
from train.order import RecordOrder
from train.sizes import parse_bytes, show_bytes

# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200GB", 200 * 10**9),
        ("1.5 TB", 1_500 * 10**9),
        ("512MiB", 512 << 20),
        ("3g", 3 * 10**9),
        ("2Gi", 2 << 30),
        ("4096", 4096),
        ("7 bytes", None),
        ("-1GB", None),
        ("1e9", None),
        ("GB", None),
        ("", None),
    ],
)
def test_sizes_are_read(text, size):
    if size is None:
        with pytest.raises(UsageError) as caught:
            parse_bytes(text)
        expected = f"a size is written like 200GB, 1.5TB or 512MiB, got {text!r}."
        assert str(caught.value) == expected
    else:
        assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1e3, "1 kB"), (999_600, "1 MB"), (2.5e11, "250 GB")],
)
def test_sizes_are_shown(size, text):
    assert show_bytes(size) == text


# What a window needs


@pytest.mark.parametrize("seed", range(40))
def test_no_window_needs_more_than_the_bound(seed):
    """Against all windows of some epochs, for shards of any sizes."""
    chance = random.Random(seed)
    number = chance.randint(1, 12)
    records = [chance.choice([0, 1, 3, 7, 10, 10, 10]) for _ in range(number)]
    records[0] += 1
    sizes = [n * chance.choice([100, 100, 130]) + chance.randint(0, 9) * (n > 0) for n in records]
    window = chance.randint(1, sum(records))
    order = RecordOrder(records, seed=seed, window=window)
    found = max(
        sum(sizes[span.shard] for span in order.window_spans(epoch, number))
        for epoch in range(50)
        for number in range(order.num_windows)
    )
    assert found <= largest_window(order, sizes) <= sum(sizes)
    plain = RecordOrder(records, seed=seed, window=window, shuffle=False)
    exact = max(
        sum(sizes[span.shard] for span in plain.window_spans(0, number))
        for number in range(plain.num_windows)
    )
    assert largest_window(plain, sizes) == exact


def test_the_bound_is_tight_for_equal_shards():
    order = RecordOrder([10] * 20, seed=0, window=40)
    assert largest_window(order, [1000] * 20) == 5000  # three whole ones between two others


def test_shards_are_told_in_the_order_of_their_next_use():
    order = RecordOrder([10] * 9, seed=3, window=25)
    for epoch in (0, 1):
        for window in range(order.num_windows):
            upcoming = [
                span.shard
                for place in [(epoch, w) for w in range(window, order.num_windows)]
                + [(epoch + 1, w) for w in range(order.num_windows)]
                for span in order.window_spans(*place)
            ]
            assert order.shards_from(epoch, window).tolist() == list(dict.fromkeys(upcoming))


# What gives way


def file(name, used=0, size=10):
    return CachedFile(name=name, size=size, used=used)


@pytest.mark.parametrize(
    ("rank", "share", "expected"),
    [
        (None, 0, ["old", "new", "last", "soon", "theirs"]),  # it has to go on
        (0.5, 0, ["old", "new", "last"]),  # only for what is used later
        (0.1, 0, ["old", "new", "last", "soon"]),
        (0.5, 30, ["old", "new", "theirs", "last"]),  # it has less than its share
        (None, 30, ["old", "new", "theirs", "last", "soon"]),
    ],
)
def test_what_gives_way(rank, share, expected):
    files = [file("soon"), file("theirs", 3), file("new", 9), file("last", 5), file("old", 1)]
    ranks = {"soon": 0.3, "last": 0.9}
    wish = Wish(size=10, rank=rank, share=share)
    found = candidates(files, wish, ranks.get, {"theirs"})
    assert [each.name for each in found] == expected


# The folder


def everything(files, members):
    return sorted(files, key=lambda each: each.used)


def put(folder, name, size=100, choice=everything):
    """Fetches a file; returns its descriptor, or why not."""
    part = folder.reserve(name, size, choice)
    if isinstance(part, Refusal):
        return part
    part.write(bytes(size))
    part.sync()
    return folder.publish(part)


def names(folder):
    return sorted(each.name for each in folder.files())


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
    assert put(folder, "d", 200) is Refusal.FULL
    assert names(folder) == ["a", "b", "c"]


def test_a_file_is_fetched_by_one(tmp_path):
    folder, other = CacheFolder(str(tmp_path), 300), CacheFolder(str(tmp_path), 300)
    part = folder.reserve("a", 100, everything)
    assert isinstance(part, Part)
    assert used_bytes(tmp_path) == 100  # of full size at once
    assert other.reserve("a", 100, everything) is Refusal.BUSY
    part.write(b"x" * 100)
    os.close(folder.publish(part))
    assert other.reserve("a", 100, everything) is Refusal.BUSY  # it is there


def test_who_has_stopped_for_long_stops_nobody(tmp_path, monkeypatch):
    folder = CacheFolder(str(tmp_path), 300)
    stopped = folder.reserve("a", 100, everything)
    monkeypatch.setattr("train.cache.folder._STALLED_SECONDS", -1)
    os.close(put(folder, "a"))
    stopped.write(bytes(100))
    os.close(folder.publish(stopped))  # it goes on after all
    assert names(folder) == ["a"]


def test_parts_of_the_dead_are_removed(tmp_path):
    folder = CacheFolder(str(tmp_path), 300)
    code = (
        "import os, sys; from train.cache.folder import CacheFolder;"
        f"folder = CacheFolder({str(tmp_path)!r}, 300);"
        "part = folder.reserve('a', 250, lambda *found: []); part.write(b'half');"
        "os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == -9
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
        f"{tmp_path}: full of what 2 other readers need: they and this one take up to 110 bytes at "
        "once, the cache may have 100. Wait until one ends, give --cache-bytes 110, or name "
        "another --cache."
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
        "import os; from train.cache.folder import CacheFolder;"
        "from train.cache.members import Member;"
        f"folder = CacheFolder({str(tmp_path)!r}, 100);"
        "folder.admit(Member(process='q', shards='q', need=90, whole=90, budget=100, names=()));"
        "os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == -9
    assert len(os.listdir(tmp_path / "readers")) == 1
    folder.admit(member("a", 90))
    assert len(os.listdir(tmp_path / "readers")) == 1


# Addresses


def test_a_file_lies_where_it_was_promised(tmp_path):
    sizes = [5000, 0, 4096, 10]
    addresses = Addresses(sizes)
    memories = [addresses.memory(number) for number in range(4)]
    assert [len(memory) for memory in memories] == sizes
    for number in (0, 2, 3):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number + 1]) * sizes[number])
        with path.open("rb") as opened:
            addresses.lay(number, opened.fileno())
        assert (memories[number] == number + 1).all()
    addresses.clear(0)
    assert (memories[2] == 3).all()
    with (tmp_path / "0").open("rb") as opened:
        addresses.lay(0, opened.fileno())
    assert (memories[0] == 1).all()
    assert not memories[0].flags.writeable
    del addresses
    assert (memories[3] == 4).all()  # it lives as long as somebody looks


def test_addresses_cost_no_memory():
    addresses = Addresses([1 << 30] * 2000)  # two terabytes
    assert len(addresses.memory(1999)) == 1 << 30


def test_totals_are_told():
    totals = CacheTotals(
        hits=3, misses=2, fetched_bytes=2_000_000, fetch_seconds=0.5, waited_seconds=0.25
    )
    assert str(totals) == "3 shards were there, 2 fetched (2 MB at 4 MB/s), waited 0.2 s"
    assert str(totals - totals) == "0 shards were there, 0 fetched, waited 0.0 s"
    assert totals.to_json()["fetched_bytes_per_second"] == 4_000_000
    assert (totals - totals).to_json()["fetched_bytes_per_second"] is None


def test_giving_up_leaves_alone_who_asked_later():
    """One thread has its shard, but not laid it yet, when another one asks for it once more."""
    may_go = threading.Event()

    def bring(shard: int, needed: bool) -> int:
        may_go.wait()
        return os.open(os.devnull, os.O_RDONLY)

    streams = Streams(bring, 1, may_go.set)
    first = streams.need(3)
    may_go.set()
    file = first.result()
    may_go.clear()
    second = streams.need(3)
    assert second is not first
    assert not streams.give_up(3, first)
    assert streams.give_up(3, second) and not streams.give_up(3, second)
    third = streams.need(3)
    may_go.set()
    for fetched in (file, third.result()):
        descriptor = fetched.take()
        assert descriptor is not None and fetched.take() is None
        os.close(descriptor)
    streams.close()


# Fetching


@pytest.fixture
def item(tmp_path) -> Item:
    content = b"shard" * 20
    (tmp_path / "far").write_bytes(content)
    shard = Shard(
        file="far", records=1, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    return Item(path=str(tmp_path / "far"), shard=shard)


def fetcher(folder) -> Fetcher:
    return Fetcher(folder, lambda name: None, CacheCounts())


def test_what_is_not_needed_yet_lets_others_go_first(tmp_path, item):
    folder = CacheFolder(str(tmp_path / "cache"), 300)
    with folder.wanted():
        assert fetcher(folder).bring(item, needed=False) is None
        os.close(fetcher(folder).bring(item, needed=True))
        os.close(fetcher(folder).bring(item, needed=False))  # it is there by now
    assert names(folder) == [item.name]


def test_what_is_needed_waits_for_room(tmp_path, item):
    folder = CacheFolder(str(tmp_path / "cache"), 300)
    held = put(folder, "held", 250)
    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(fetcher(folder).bring, item, needed=True)
        while not folder.is_wanted():
            time.sleep(0.001)
        assert fetcher(folder).bring(item, needed=False) is None
        assert not brought.done()
        os.close(held)
        os.close(brought.result())
    assert names(folder) == [item.name]
    assert not folder.is_wanted()


def test_an_end_is_no_wait(tmp_path, item):
    folder = CacheFolder(str(tmp_path / "cache"), 300)
    put(folder, "held", 250)
    bringer = fetcher(folder)
    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(bringer.bring, item, needed=True)
        bringer.closed.set()
        assert brought.result() is None
