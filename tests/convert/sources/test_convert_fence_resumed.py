"""`--allow` on a conversion that was stopped, refused or finished without it, or with another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from convert_cases import ALL, convert, digests, png, write_manifest
from fence_cases import NUM_ROWS, draw_cache, outside

from convert.errors import TooManyBadRowsError, TryAgainError
from convert.write.staging import Staging


def left_out(dataset: Path) -> dict[str, tuple[str, str]]:
    """Returns {path: (reason, detail)} of the rows left out."""
    lines = map(json.loads, (dataset / "quarantine.jsonl").read_text("utf-8").splitlines())
    return {line["path"]: (line["reason"], line["detail"]) for line in lines}


def mixed(folder: Path) -> Path:
    """Makes a manifest of twelve rows; those divisible by four lead out of its folder."""
    manifest = draw_cache(folder)
    (folder / "own").mkdir()
    rows = []
    for row in range(NUM_ROWS):
        path = f"{row}.png"
        if row % 4:
            (folder / "own" / path).write_bytes(png(seed=row))
        else:
            path = os.path.relpath(manifest.parent / "train" / path, folder / "own")
        rows.append([path, f"{row:x}"])
    return write_manifest(folder / "own/m.csv", ["path", "y0"], rows)


OPTIONS = {"split": ALL, "order": "source", "shard_bytes": 1000, "max_bad_fraction": 1.0}


def stopped(
    manifest: Path, out: Path, monkeypatch: pytest.MonkeyPatch, allow: tuple[str, ...]
) -> None:
    """Converts, but is stopped before the end."""

    def stop(*_: object, **__: object) -> None:
        raise TryAgainError("stopped")

    with monkeypatch.context() as patched, pytest.raises(TryAgainError):
        patched.setattr(Staging, "commit", stop)
        convert(manifest, out, allow=allow, **OPTIONS)


@pytest.mark.parametrize(
    ("before", "after", "resumed"),
    [
        ((), (), 12),
        ((), ("hub",), 6),  # three in each shard; those with rows left out are written again
        (("hub",), ("hub",), 12),
        (("hub",), ("hub", "own"), 12),
        (("hub",), (), 0),  # any row may have come by what is no longer allowed
    ],
)
def test_resuming_with_another_fence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    after: tuple[str, ...],
    resumed: int,
) -> None:
    manifest = mixed(tmp_path)
    before, after = (tuple(str(tmp_path / f) for f in folders) for folders in (before, after))
    convert(manifest, tmp_path / "fresh", allow=after, **OPTIONS)
    stopped(manifest, tmp_path / "out", monkeypatch, before)
    result = convert(manifest, tmp_path / "out", allow=after, **OPTIONS)
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")
    assert result.resumed_rows == resumed
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".out")]


def test_too_many_outside_then_allowed(tmp_path: Path) -> None:
    manifest = mixed(tmp_path)
    options = {**OPTIONS, "max_bad_fraction": 0.0}
    with pytest.raises(TooManyBadRowsError, match="3 outside_root"):
        convert(manifest, tmp_path / "out", **options)
    result = convert(manifest, tmp_path / "out", allow=(str(tmp_path / "hub"),), **options)
    assert (result.records, result.quarantined) == (NUM_ROWS, 0)


def test_a_finished_dataset_takes_in_what_is_allowed_now(tmp_path: Path) -> None:
    manifest = mixed(tmp_path)
    convert(manifest, tmp_path / "out", **OPTIONS)
    assert left_out(tmp_path / "out") == {
        f"../hub/snapshots/0a1b/train/{row}.png": outside(f"../hub/snapshots/0a1b/train/{row}.png")
        for row in (0, 4, 8)
    }
    allow = (str(tmp_path / "hub"),)
    config = {"allow": allow, **OPTIONS}
    assert convert(manifest, tmp_path / "out", **config).already_complete
    result = convert(manifest, tmp_path / "out", retry_quarantined=True, **config)
    assert (result.records, result.quarantined) == (NUM_ROWS, 0)
    convert(manifest, tmp_path / "fresh", **config)
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")
