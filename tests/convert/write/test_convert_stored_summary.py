"""What staging notes down of a finished shard, damaged: the shard is made again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import convert, digests, draw_sources

from convert.errors import TooManyBadRowsError
from convert.images.sources.file_versions import Origin
from convert.plan.rejected_rows import Quarantined
from convert.write.parse_summary import summary_from_json
from convert.write.shard_summary import ShardSummary, Sources

SUMMARY = ShardSummary(
    file="x",
    records=2,
    bytes=738,
    sha256="a" * 64,
    index_bytes=None,
    index_sha256=None,
    quarantined=[Quarantined(row=3, path="i/3.png", reason="missing", detail="no such file")],
    input_bytes=9,
    sources=Sources(formats={"PNG": 2}, smallest=(12, 8), largest=(12, 8), oddities={}),
    image_digests=bytes(16),
    allow=("/x",),
    origin=Origin(versions="a", contents="b", began=1.5),
)
ODDITY = {"count": 1, "row": 0, "path": "x"}

Change = Callable[[dict[str, Any]], object]


def put(value: object, *path: str) -> Change:
    def change(content: Any) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return change


WRONG: dict[str, Change] = {
    "no file": put(None, "file"),
    "half a letter": put("\ud800", "file"),
    "records of text": put("2", "records"),
    "records of a float": put(2.0, "records"),
    "true records": put(True, "records"),
    "fewer records": put(1, "records"),
    "bytes below zero": put(-1, "bytes"),
    "vast bytes": put(1 << 64, "bytes"),
    "no digest": put("x", "sha256"),
    "a digest of None": put(None, "sha256"),
    "half of an index": put(20, "index_bytes"),
    "the other half": put("a" * 64, "index_sha256"),
    "quarantined of an object": put({}, "quarantined"),
    "quarantined of numbers": put([1], "quarantined"),
    "a row of text": lambda content: put("3", "row")(content["quarantined"][0]),
    "a reason of ours": lambda content: put("because", "reason")(content["quarantined"][0]),
    "a list of reasons": lambda content: put(["missing"], "reason")(content["quarantined"][0]),
    "a detail of None": lambda content: put(None, "detail")(content["quarantined"][0]),
    "input of NaN": put(float("nan"), "input_bytes"),
    "sources of a list": put([], "sources"),
    "formats of a list": put([], "sources", "formats"),
    "a format of text": put("2", "sources", "formats", "PNG"),
    "a size of text": put("12", "sources", "smallest"),
    "a size of one": put([12], "sources", "largest"),
    "a size of texts": put(["12", "8"], "sources", "largest"),
    "oddities of a list": put(["oriented"], "sources", "oddities"),
    "an oddity of text": put({"oriented": {**ODDITY, "count": "1"}}, "sources", "oddities"),
    "an oddity's row": put({"oriented": {**ODDITY, "row": None}}, "sources", "oddities"),
    "an oddity's path": put({"oriented": {**ODDITY, "path": 1}}, "sources", "oddities"),
    "digests of too few": put("AAAA", "image_digests"),
    "digests of no base64": put("!" * 22, "image_digests"),
    "allow of text": put("/x", "allow"),
    "allow of numbers": put([1], "allow"),
    "an origin of a list": put([1], "origin"),
    "one field more": put(1, "x"),
    "one field less": lambda content: content.pop("records"),
}


def test_a_whole_one_is_read() -> None:
    assert summary_from_json(json.loads(json.dumps(SUMMARY.to_json()))) == SUMMARY


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_one_is_refused(name: str) -> None:
    content = json.loads(json.dumps(SUMMARY.to_json()))
    WRONG[name](content)
    with pytest.raises((TypeError, KeyError, ValueError, AttributeError)):
        summary_from_json(content)


@pytest.mark.parametrize("content", [None, [], 1, "x"])
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(TypeError, match="no object"):
        summary_from_json(content)


@pytest.mark.parametrize(
    ("rows", "is_theirs"),
    [
        ([1, 2, 3], True),
        ([3, 2, 1], True),
        ([1, 2], False),
        ([1, 2, 3, 4], False),
        ([1, 2, 4], False),  # the one that was left out is another shard's
    ],
)
def test_the_rows_of_a_shard(rows: list[int], is_theirs: bool) -> None:
    assert SUMMARY.is_of_rows(np.array(rows)) == is_theirs


def test_a_row_is_left_out_once() -> None:
    content = json.loads(json.dumps(SUMMARY.to_json()))
    content["quarantined"] *= 2
    assert not summary_from_json(content).is_of_rows(np.array([1, 2, 3, 4]))


DAMAGES: dict[str, Callable[[str], str]] = {
    "nested": lambda text: "[" * 100_000,
    "a format of text": lambda text: text.replace('"PNG": ', '"PNG": "x", "BMP": '),
    "another row left out": lambda text: text.replace(
        '"quarantined": []', f'"quarantined": {ROWS}'
    ),
}
ROWS = json.dumps([{"row": 999, "path": "x", "reason": "missing", "detail": "x"}])


@pytest.mark.parametrize("name", DAMAGES)
def test_a_shard_with_a_damaged_one_is_made_again(name: str, tmp_path: Path) -> None:
    manifest = draw_sources(tmp_path, 12)
    (tmp_path / "i/3.png").rename(tmp_path / "3.png")
    how = {"shard_bytes": 4 * 369}
    with contextlib.suppress(TooManyBadRowsError):
        convert(manifest, tmp_path / "out", max_bad_fraction=0, **how)
    (tmp_path / "3.png").rename(tmp_path / "i/3.png")
    notes = sorted(tmp_path.glob(".out.staging-*/done/*.json"))
    assert notes
    for note in notes:
        changed = DAMAGES[name](note.read_text("utf-8"))
        assert changed != note.read_text("utf-8")
        note.write_text(changed, "utf-8")
    result = convert(manifest, tmp_path / "out", **how)
    assert (result.records, result.resumed_rows) == (12, 0)
    convert(manifest, tmp_path / "fresh", **how)
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")
