"""`--retry-quarantined`: repaired files come in, everything else stays, as if converted afresh."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from convert_cases import command, convert, digests, draw_sources, png

from convert.errors import FormatError, TooManyBadRowsError, UsageError
from convert.write.retry import retryable_rows

NUM_ROWS = 30
BAD = (3, 17)
ENCODING = pytest.mark.parametrize("encoding", ["raw", "png"])


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """30 rows; the files of two are broken, and a third row has no label."""
    manifest = draw_sources(tmp_path, NUM_ROWS)
    for row in BAD:
        (tmp_path / f"i/{row}.png").write_bytes(b"broken")
    lines = manifest.read_text().splitlines(keepends=True)
    lines[6] = "i/5.png,,5\n"
    manifest.write_text("".join(lines))
    return manifest


def options(**more: object) -> dict[str, object]:
    return {"shard_bytes": 364 * 4, "max_bad_fraction": 0.2, **more}


def repair(manifest: Path, rows: tuple[int, ...] = BAD) -> None:
    for row in rows:
        (manifest.parent / f"i/{row}.png").write_bytes(png(seed=row))


def inodes(dataset: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in dataset.iterdir()}


@ENCODING
def test_the_result_is_that_of_a_fresh_conversion(manifest: Path, encoding: str) -> None:
    out, fresh = manifest.parent / "out", manifest.parent / "fresh"
    old = convert(manifest, out, **options(encoding=encoding))
    before = inodes(out)
    repair(manifest)
    result = convert(manifest, out, **options(encoding=encoding, retry_quarantined=True))
    convert(manifest, fresh, **options(encoding=encoding))
    assert digests(out) == digests(fresh)
    assert (old.quarantined, result.quarantined) == (3, 1)
    assert result.info.plan_id == old.info.plan_id
    assert result.info.dataset_id != old.info.dataset_id
    kept = [name for name, inode in inodes(out).items() if before.get(name) == inode]
    rewritten = 2 if encoding == "raw" else 4  # shards, and their indexes
    assert len(kept) == len(result.info.files()) - rewritten
    left = [name for name in os.listdir(manifest.parent) if name not in ("i", "m.csv")]
    assert sorted(left) == ["fresh", "out"]


def test_only_some_are_repaired(manifest: Path) -> None:
    out = manifest.parent / "out"
    convert(manifest, out, **options())
    repair(manifest, (3,))
    result = convert(manifest, out, **options(retry_quarantined=True))
    rows = [json.loads(line)["row"] for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert (rows, result.records, result.quarantined) == ([5, 17], NUM_ROWS - 2, 2)


def test_nothing_repaired_leaves_the_same_dataset(manifest: Path) -> None:
    out = manifest.parent / "out"
    old = convert(manifest, out, **options())
    before = digests(out)
    result = convert(manifest, out, **options(retry_quarantined=True))
    assert result.info.dataset_id == old.info.dataset_id
    assert digests(out) == before


def test_it_says_what_it_does(manifest: Path) -> None:
    words = ["m.csv", "out", "--size", 12, 8, "--shard-bytes", 364 * 4, "--max-bad-fraction", 0.2]
    command(*words, cwd=manifest.parent)
    repair(manifest)
    done = command(*words, "--retry-quarantined", "--json", cwd=manifest.parent)
    assert done.stderr.startswith("convert: trying 2 of the rows that were left out again\n")
    summary = json.loads(done.stdout)
    assert (summary["records"], summary["quarantined"]) == (NUM_ROWS - 1, 1)
    again = command(*words, "--retry-quarantined", "--json", cwd=manifest.parent)
    assert json.loads(again.stdout)["already_complete"] is True
    assert again.stderr == (
        "convert: no row was left out for its file: there is nothing to try again\n"
        f"convert: out is already complete: {counts(manifest.parent / 'out')}; 1 left out, "
        "see out/quarantine.jsonl\n"
    )


def counts(dataset: Path) -> str:
    splits = json.loads((dataset / "dataset.json").read_text())["splits"]
    return ", ".join(f"{name} {split['records']}" for name, split in splits.items())


def test_without_a_dataset_it_just_converts(manifest: Path) -> None:
    result = convert(manifest, manifest.parent / "out", **options(retry_quarantined=True))
    assert (result.already_complete, result.quarantined) == (False, 3)


def test_a_damaged_shard_is_written_again_too(manifest: Path) -> None:
    out, fresh = manifest.parent / "out", manifest.parent / "fresh"
    info = convert(manifest, out, **options()).info
    repair(manifest)
    convert(manifest, fresh, **options())
    for shard in info.splits["train"]:
        path = out / shard.file
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
    convert(manifest, out, **options(retry_quarantined=True))
    assert digests(out) == digests(fresh)


def test_too_many_bad_rows_leave_the_old_dataset(manifest: Path) -> None:
    out = manifest.parent / "out"
    convert(manifest, out, **options())
    before = digests(out)
    with pytest.raises(TooManyBadRowsError):
        convert(manifest, out, **options(retry_quarantined=True, max_bad_fraction=0.01))
    assert digests(out) == before
    repair(manifest)
    result = convert(manifest, out, **options(retry_quarantined=True, max_bad_fraction=0.04))
    assert result.quarantined == 1


def test_another_plan_is_refused(manifest: Path) -> None:
    out = manifest.parent / "out"
    convert(manifest, out, **options())
    with pytest.raises(UsageError, match="holds a dataset of another plan"):
        convert(manifest, out, **options(retry_quarantined=True, seed=1))
    with pytest.raises(UsageError) as caught:
        convert(manifest, out, **options(retry_quarantined=True, overwrite=True))
    assert str(caught.value) == (
        "--overwrite and --retry-quarantined exclude each other: the first redoes all rows."
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "cannot be read"),
        ("[]\n", "cannot be read"),
        ('{"row": 1}\n', "cannot be read"),
        ('{"row": 1, "reason": "bored"}\n', "has an unknown reason"),
        ('{"row": "1", "reason": "missing"}\n', "has an unknown reason"),
    ],
)
def test_a_damaged_quarantine_file(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "quarantine.jsonl"
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        retryable_rows(str(tmp_path))
    assert str(caught.value) == f"{path}: {problem}. Convert again with --overwrite."


def test_a_note_of_other_rows_is_not_gone_by(manifest: Path) -> None:
    """A staged shard whose note leaves out a row of another shard is written again."""
    out, fresh = manifest.parent / "out", manifest.parent / "fresh"
    convert(manifest, out, **options())
    repair(manifest, BAD[:1])  # its shard stays in staging, the other is forgotten
    with pytest.raises(TooManyBadRowsError):
        convert(manifest, out, **options(retry_quarantined=True, max_bad_fraction=0.05))
    notes = sorted(manifest.parent.glob(".out.staging-*/done/*.json"))
    assert notes
    for note in notes:
        content = json.loads(note.read_text("utf-8"))
        content["quarantined"] = [{"row": 999, "path": "x", "reason": "missing", "detail": "x"}]
        note.write_text(json.dumps(content), "utf-8")
    repair(manifest)
    convert(manifest, out, **options(retry_quarantined=True))
    convert(manifest, fresh, **options())
    assert digests(out) == digests(fresh)
