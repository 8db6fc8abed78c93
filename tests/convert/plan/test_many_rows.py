"""Manifests of any size: read in blocks, kept in mapped files, planned as small ones are."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from convert_cases import options_of, plan_of
from pyarrow import parquet

from convert.errors import ShardfeedError, TryAgainError
from convert.plan import spooled
from convert.plan.dialects import read_manifest
from convert.plan.shard_specs import Plan, make_plan
from convert.plan.splits import record_order

NUM_ROWS = 500


def blocky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the parts small, so that every array is a mapped file and has many blocks."""
    monkeypatch.setattr(spooled, "_MOST_IN_MEMORY", 16)
    monkeypatch.setattr(spooled, "_ROWS_AT_ONCE", 7)


def content(plan: Plan) -> dict[str, Any]:
    """Returns all that a plan says, as plain values."""
    return {
        "id": plan.plan_id,
        "splits": {name: rows.tolist() for name, rows in plan.splits.items()},
        "classes": plan.vocabularies.classes,
        "labels": plan.labels.tolist(),
        "boxes": None if plan.boxes is None else plan.boxes.tolist(),
        "changed": plan.changed,
        "quarantined": plan.quarantined,
        "paths": plan.shard("train", 0).paths,
    }


def tables() -> dict[str, pa.Table]:
    """Returns tables of every kind of label, with gaps, odd spellings and wrong rows."""
    rng = np.random.default_rng(0)
    paths = [f"a/{row}.png" if row % 50 else "" for row in range(NUM_ROWS)]
    lists = [[str(n) for n in rng.integers(0, 30, 3)] if row % 9 else [] for row in range(NUM_ROWS)]
    lists[100] = ["1", "", "2"]
    texts = ["".join(rng.choice(list("é长字abc "), 4)) for _ in range(NUM_ROWS)]
    texts[333] = "e\u0301abc"
    boxes = {
        name: [low + int(n) for n in rng.integers(0, 9, NUM_ROWS)]
        for name, low in (("left", 0), ("top", 0), ("right", 6), ("bottom", 6))
    }
    numbers = {
        f"y{i}": [None if n > 8 else int(n) for n in rng.integers(0, 10, NUM_ROWS)] for i in (0, 1)
    }
    return {
        "texts": pa.table({"path": paths, "text": texts}),
        "lists": pa.table({"path": paths, "text": lists}),
        "columns": pa.table({"path": paths, **numbers, **boxes}),
        "groups": pa.table({"path": paths, "text": texts, "group": [t[:2] for t in texts]}),
    }


@pytest.mark.parametrize("kind", ["texts", "lists", "columns", "groups"])
def test_blocks_and_mapped_files_change_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tmp_path / "m.parquet"
    parquet.write_table(tables()[kind], file, row_group_size=64)
    options = {"group_column": "group"} if kind == "groups" else {}
    expected = content(plan_of(file, max_bad_fraction=1.0, **options))
    assert expected["quarantined"]
    blocky(monkeypatch)
    assert content(plan_of(file, max_bad_fraction=1.0, **options)) == expected


@pytest.mark.parametrize("kind", ["texts", "columns"])
def test_a_table_of_text_in_mapped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tmp_path / "m.csv"
    rows = tables()[kind].to_pydict()
    cells = ([str(v) if v is not None else "" for v in column] for column in rows.values())
    lines = [",".join(rows), *map(",".join, zip(*cells, strict=True))]
    file.write_text("\n".join(lines), encoding="utf-8")
    expected = columns_of(file)
    blocky(monkeypatch)
    assert columns_of(file) == expected


@pytest.mark.parametrize("kind", ["texts", "columns"])
def test_a_full_folder_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The kernel lets no file grow: neither one of texts nor one of labels."""
    file = tmp_path / "m.parquet"
    parquet.write_table(tables()[kind], file)
    manifest = read_manifest(str(file))
    blocky(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        for attempt in (
            lambda: read_manifest(str(file)),
            lambda: make_plan(manifest, options_of(file), {}),
        ):
            with pytest.raises(TryAgainError, match=f"{tmp_path}: no room for a large manifest's"):
                attempt()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_no_folder_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the manifest that is missing; a small one needs no such folder."""
    file = tmp_path / "m.parquet"
    parquet.write_table(tables()["texts"], file)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    read_manifest(str(file))
    blocky(monkeypatch)
    with pytest.raises(ShardfeedError, match="gone: no room for a large manifest's columns: No"):
        read_manifest(str(file))


def columns_of(file: Path) -> dict[str, list[str]]:
    return {name: column.to_pylist() for name, column in read_manifest(str(file)).columns.items()}


def test_the_order_is_that_of_the_random_numbers() -> None:
    """Sorted by parts as it would be sorted whole."""
    config = options_of(Path("m.csv"))
    rows = np.arange(10_000)[::3]
    bits = np.random.Philox(key=[config.seed, 0]).random_raw(len(rows))
    expected = rows[np.argsort(bits, kind="stable")]
    assert record_order(rows, "train", config).tolist() == expected.tolist()


def test_equal_numbers_leave_rows_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    class Few:
        def random_raw(self, count: int) -> np.ndarray[Any, Any]:
            return (np.arange(count, dtype=np.uint64) % 3) << np.uint64(62)

    monkeypatch.setattr(np.random, "Philox", lambda key: Few())
    found = record_order(np.arange(9), "train", options_of(Path("m.csv")))
    assert found.tolist() == [0, 3, 6, 1, 4, 7, 2, 5, 8]


_PEAK = """
import sys, threading, time
from convert.config import ConvertConfig
from convert.plan.load_inputs import load_manifest
from convert.plan.shard_specs import make_plan
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))
peak = 0
def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
config = ConvertConfig(manifest=sys.argv[1], dataset="out", size=(8, 8), text_column="text")
make_plan(load_manifest(sys.argv[1]), config, {})
print(peak)
"""


@pytest.mark.long
def test_a_row_takes_at_most_forty_bytes_of_memory(tmp_path: Path) -> None:
    """Of memory that the system cannot take back, from four million rows to eight."""
    peaks = []
    for millions in (4, 8):
        file = tmp_path / f"{millions}.csv"
        with file.open("w") as table:
            table.write("path,text\n")
            for start in range(0, millions * 1_000_000, 1000):
                table.writelines(f"batch/{start:08d}/{i:03d}.jpg,{i:04d}\n" for i in range(1000))
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(file)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
        file.unlink()
    assert (peaks[1] - peaks[0]) / 4_000_000 <= 40
    assert peaks[1] < 1 << 30
