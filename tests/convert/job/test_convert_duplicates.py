"""Identical pictures in several splits, and with several labels, are told."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from convert_cases import command, convert, png, write_manifest
from hypothesis import given
from hypothesis import strategies as st

from convert.write.duplicates import Duplicates, find_duplicates


def by_hand(records: list[tuple[int, int, tuple[int, ...]]]) -> tuple[int, int]:
    """Counts leaked and conflicting pictures of (digest, split, labels)."""
    splits, labels = defaultdict(set), defaultdict(set)
    for digest, split, label in records:
        splits[digest].add(split)
        labels[digest].add(label)
    return sum(len(s) > 1 for s in splits.values()), sum(len(s) > 1 for s in labels.values())


def find(records: list[tuple[int, int, tuple[int, ...]]]) -> Duplicates:
    return find_duplicates(
        np.array([digest for digest, _, _ in records], np.uint64),
        np.arange(len(records)) * 10,
        np.array([split for _, split, _ in records], np.int8),
        np.array([labels for _, _, labels in records], np.int32).reshape(
            len(records), len(records[0][2]) if records else 1
        ),
    )


RECORDS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 2**63, 2**64 - 1]),
        st.integers(0, 2),
        st.tuples(st.integers(0, 1), st.integers(0, 1)),
    ),
    max_size=12,
)


@given(RECORDS)
def test_counts_are_those_of_a_plain_loop(records: list[tuple[int, int, tuple[int, ...]]]) -> None:
    found = find(records)
    assert (found.leaked, found.conflicting) == by_hand(records)
    for count, rows, field in (
        (found.leaked, found.leaked_rows, 1),
        (found.conflicting, found.conflicting_rows, 2),
    ):
        assert len(rows) == (2 if count else 0)
        if rows:
            first, second = (records[row // 10] for row in rows)
            assert first[0] == second[0]
            assert first[field] != second[field]


def test_the_example_does_not_depend_on_the_order() -> None:
    records = [(5, 0, (0,)), (7, 1, (0,)), (5, 1, (0,)), (7, 0, (1,)), (5, 0, (2,))]
    found = find(records)
    assert (found.leaked_rows, found.conflicting_rows) == ((0, 20), (0, 40))
    order = [3, 1, 4, 0, 2]
    shuffled = find_duplicates(
        np.array([records[i][0] for i in order], np.uint64),
        np.array(order) * 10,
        np.array([records[i][1] for i in order]),
        np.array([records[i][2] for i in order]),
    )
    assert shuffled == found


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five rows: 0 and 3 are one picture in two splits, 1 and 2 one with two labels."""
    for name, seed in {"a": 1, "b": 2, "c": 2, "d": 1, "e": 3}.items():
        (tmp_path / f"{name}.png").write_bytes(png(seed=seed))
    rows = [["a.png", "x", "train"], ["b.png", "x", "train"], ["c.png", "y", "train"]]
    rows += [["d.png", "x", "val"], ["e.png", "y", "val"]]
    return write_manifest(tmp_path / "m.csv", ["path", "y0", "split"], rows)


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("shard_bytes", [1, 1 << 20])
def test_a_conversion_finds_them(manifest: Path, encoding: str, shard_bytes: int) -> None:
    out = manifest.parent / "out"
    result = convert(manifest, out, encoding=encoding, shard_bytes=shard_bytes)
    assert result.duplicates == Duplicates(
        leaked=1, conflicting=1, leaked_rows=(0, 3), conflicting_rows=(1, 2)
    )


def test_it_says_so(manifest: Path) -> None:
    (manifest.parent / "e.png").unlink()
    flags = ["--size", 12, 8, "--max-bad-fraction", 1]
    done = command("m.csv", "out", *flags, cwd=manifest.parent)
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [
        "convert: warning: 1 identical picture is in more than one split, for example rows 0 and "
        "3; --group-column keeps such rows together",
        "convert: warning: 1 identical picture is there with different labels, for example rows 1 "
        "and 2",
    ]


def test_after_a_resume_it_still_knows(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("convert.write.staging.put_in_place", stop)
        with pytest.raises(KeyboardInterrupt):
            convert(manifest, manifest.parent / "out", shard_bytes=1)
    result = convert(manifest, manifest.parent / "out", shard_bytes=1)
    assert result.resumed_rows == 5
    assert result.duplicates is not None
    assert (result.duplicates.leaked, result.duplicates.conflicting) == (1, 1)


def test_none_are_found_where_there_are_none(tmp_path: Path) -> None:
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(png(seed=seed))
    rows = [[f"{seed}.png", "x"] for seed in range(4)]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0"], rows)
    result = convert(manifest, tmp_path / "out", split=(("train", 1.0),))
    assert result.duplicates is not None
    assert result.duplicates.lines() == []
    assert find([]).lines() == []
