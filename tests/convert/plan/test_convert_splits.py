"""Splits and order: stable, seeded, and from nothing but the rows themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import plan_of, write_manifest

from convert.errors import UsageError
from convert.plan.shard_specs import Plan

THIRDS = (("train", 0.5), ("validation", 0.25), ("test", 0.25))


def planned(folder: Path, paths: list[str], groups: list[str] | None = None, **more: Any) -> Plan:
    groups = groups or ["g"] * len(paths)
    rows = [[path, "x", group] for path, group in zip(paths, groups, strict=True)]
    return plan_of(write_manifest(folder / "m.csv", ["path", "y0", "group"], rows), **more)


def split_of(plan: Plan) -> dict[str, str]:
    """Returns each path's split."""
    paths = plan.manifest.columns["path"].to_pylist()
    return {paths[row]: split for split, rows in plan.splits.items() for row in rows.tolist()}


PATHS = [f"{i}.png" for i in range(2000)]


def test_shares_are_kept(tmp_path: Path) -> None:
    default = planned(tmp_path, PATHS).splits
    assert list(default) == ["train", "validation"]
    assert abs(len(default["train"]) - 1800) < 60
    thirds = planned(tmp_path, PATHS, split=THIRDS).splits
    assert list(thirds) == ["train", "validation", "test"]
    assert abs(len(thirds["train"]) - 1000) < 100
    assert abs(len(thirds["test"]) - 500) < 90


def test_splits_and_order_are_pinned(tmp_path: Path) -> None:
    """A change here would move the rows of every data set that is converted again."""
    made = planned(tmp_path, PATHS[:12], split=THIRDS).splits
    assert {split: rows.tolist() for split, rows in made.items()} == {
        "train": [1, 4, 3, 11, 8, 7],
        "validation": [9, 2, 0],
        "test": [10, 6, 5],
    }


def test_other_rows_and_their_order_move_no_row(tmp_path: Path) -> None:
    alone = split_of(planned(tmp_path, PATHS[:1000], split=THIRDS))
    mixed = PATHS.copy()
    np.random.default_rng(0).shuffle(mixed)
    among_others = split_of(planned(tmp_path, mixed, split=THIRDS))
    assert {path: among_others[path] for path in alone} == alone


def test_another_seed_is_another_split_and_order(tmp_path: Path) -> None:
    plans = [planned(tmp_path, PATHS, split=THIRDS, seed=seed) for seed in (0, 0, 1)]
    same, again, other = ({k: v.tolist() for k, v in plan.splits.items()} for plan in plans)
    assert same == again
    assert not any(sorted(same[split]) == sorted(other[split]) for split in same)


def test_groups_stay_together(tmp_path: Path) -> None:
    groups = [f"writer {i % 300}" for i in range(len(PATHS))]
    made = planned(tmp_path, PATHS, groups, split=THIRDS, group_column="group")
    found = split_of(made)
    by_group: dict[str, set[str]] = {}
    for path, group in zip(PATHS, groups, strict=True):
        by_group.setdefault(group, set()).add(found[path])
    assert {len(splits) for splits in by_group.values()} == {1}
    assert set().union(*by_group.values()) == {"train", "validation", "test"}


def test_a_folder_that_moves_takes_no_row_to_another_split(tmp_path: Path) -> None:
    keys = [f"{i}" for i in range(len(PATHS))]
    moved = [f"elsewhere/{path}" for path in PATHS]
    for key, is_kept in ((None, False), ("group", True)):
        before, after = (
            split_of(planned(tmp_path, paths, keys, split=THIRDS, group_column=key))
            for paths in (PATHS, moved)
        )
        same = [before[old] == after[new] for old, new in zip(PATHS, moved, strict=True)]
        assert all(same) == is_kept


def test_order(tmp_path: Path) -> None:
    shuffled = planned(tmp_path, PATHS).splits["train"].tolist()
    source = planned(tmp_path, PATHS, order="source").splits["train"].tolist()
    assert source == sorted(shuffled) != shuffled
    orders = [
        planned(tmp_path, PATHS, split=(("train", 1.0),), seed=seed).splits["train"].tolist()
        for seed in (0, 1)
    ]
    assert orders[0] != orders[1]  # also where the split leaves no choice


def test_a_column_of_splits(tmp_path: Path) -> None:
    names = ["train", "val", "test", "valid", "dev", "validation", "train"]
    rows = [[f"{i}", "x", name] for i, name in enumerate(names)]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0", "split"], rows)
    expected = {"train": [0, 6], "validation": [1, 3, 4, 5], "test": [2]}
    found = plan_of(manifest, order="source").splits  # `split` needs no flag
    assert {split: rows.tolist() for split, rows in found.items()} == expected
    assert list(plan_of(manifest, split=(("train", 1.0),)).splits) == ["train"]  # the flag wins


def test_only_the_splits_present_exist(tmp_path: Path) -> None:
    rows = [["a", "x", "test"], ["b", "x", "dev"]]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0", "part"], rows)
    assert list(plan_of(manifest, split_column="part").splits) == ["validation", "test"]


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("m.csv", "path,y0,split\na,x,train\n\nb,x,Train\n", "row 1 (line 4)"),
        ("m.jsonl", '{"path": "a", "y0": "x", "split": "Train"}\n', "row 0 (line 1)"),
    ],
)
def test_no_split(tmp_path: Path, name: str, content: str, place: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        plan_of(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path}/{name}: {place}: split='Train' is no split; "
        "they are train, validation, test, val, valid, dev."
    )


def test_an_empty_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, PATHS[:3])
    assert str(caught.value) == (
        "the split 'validation' is empty: none of 3 good rows fell into it. "
        "Give it a larger share with --split, or add rows."
    )


def test_bad_rows_are_in_no_split(tmp_path: Path) -> None:
    manifest = write_manifest(
        tmp_path / "m.csv", ["path", "y0"], [["a", "x"], ["b", ""], ["c", "x"]]
    )
    made = plan_of(manifest, split=(("train", 1.0),), order="source")
    assert made.splits["train"].tolist() == [0, 2]
    assert [row.row for row in made.quarantined] == [1]
