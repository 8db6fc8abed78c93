"""What the summary says of speed and of the sources, from given numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from convert_cases import convert, draw_sources

from convert.errors import FormatError
from convert.images.oddities import Sighting
from convert.images.sources.reader import SourceReader
from convert.job.report import ConvertResult
from convert.write.shard_summary import Progress, Sources, merge_sources


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ConvertResult:
    folder = tmp_path_factory.mktemp("report")
    return convert(draw_sources(folder, 20), folder / "out", split=(("train", 1.0),))


def seen(count: int, row: int, path: str) -> Sighting:
    return Sighting(count=count, row=row, path=path)


def changed(result: ConvertResult, **values: Any) -> ConvertResult:
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
    return ConvertResult(**{**fields, **values})


@pytest.mark.parametrize(
    ("read", "decode", "write", "line"),
    [
        (6.0, 3.0, 1.0, "reading (reading 60%, decoding 30%, writing 10%)"),
        (1.0, 8.0, 1.0, "decoding (reading 10%, decoding 80%, writing 10%)"),
        (2.0, 0.0, 8.0, "writing (reading 20%, decoding 0%, writing 80%)"),
    ],
)
def test_the_bottleneck(
    result: ConvertResult, read: float, decode: float, write: float, line: str
) -> None:
    work = Progress(
        rows=20,
        input_bytes=4_000_000,
        read_seconds=read,
        decode_seconds=decode,
        write_seconds=write,
    )
    lines = changed(result, work=work, seconds=4.0).lines()
    assert lines[1] == f"20 rows in 4.0 s: 5 files/s, 1.0 MB/s read; bottleneck: {line}"
    assert changed(result, work=work).to_json()["bottleneck"] == line.split()[0]


def test_what_the_sources_are_like(result: ConvertResult) -> None:
    assert "sources: 20 PNG; 12x8 pixels" in result.lines()
    sources = Sources(
        formats={"JPEG": 1200, "PNG": 3},
        smallest=(10, 20),
        largest=(300, 40),
        oddities={"dropped_alpha": seen(1, 5, "a.png"), "oriented": seen(2, 3, "b.jpg")},
    )
    assert changed(result, sources=sources).lines()[2:5] == [
        "sources: 1,200 JPEG, 3 PNG; from 10x20 to 300x40 pixels",
        "warning: 1 image had transparency, which was dropped; "
        "--alpha white (or black) would paint them on a background of that colour (such as a.png)",
        "warning: 2 images had an EXIF orientation, which was not applied; --exif would turn them "
        "(such as b.jpg)",
    ]


@pytest.mark.parametrize(("count", "is_most"), [(601, False), (602, True)])  # of 1,203
def test_transparency_of_most_sources(result: ConvertResult, count: int, is_most: bool) -> None:
    sources = Sources(
        formats={"PNG": 1203},
        smallest=(10, 20),
        largest=(10, 20),
        oddities={"dropped_alpha": seen(count, 5, "a.png")},
    )
    told = changed(result, sources=sources).lines()[3]
    assert is_most == (
        told == f"warning: {count} images had transparency, which was dropped: what lay below it "
        "shows, and may be dim or without text. Look at `convert show`; --alpha white would paint "
        "them as a browser does (such as a.png)"
    )


def test_sources_of_several_shards() -> None:
    late = {"dropped_alpha": seen(1, 9, "late.png")}
    early = {"dropped_alpha": seen(1, 4, "early.png"), "oriented": seen(2, 7, "turned.png")}
    parts = [
        Sources(formats={"PNG": 1}, smallest=(9, 5), largest=(9, 6), oddities=late),
        Sources(formats={}, smallest=(0, 0), largest=(0, 0), oddities={}),
        Sources(formats={"PNG": 1, "GIF": 4}, smallest=(7, 8), largest=(8, 9), oddities=early),
    ]
    assert merge_sources(parts) == Sources(
        formats={"GIF": 4, "PNG": 2},
        smallest=(7, 5),
        largest=(9, 9),
        oddities={"dropped_alpha": seen(2, 4, "early.png"), "oriented": early["oriented"]},
    )
    assert merge_sources([]).formats == {}


def test_a_finished_dataset_without_its_quarantine_file(tmp_path: Path) -> None:
    manifest = draw_sources(tmp_path, 20)
    convert(manifest, tmp_path / "out")
    (tmp_path / "out/quarantine.jsonl").unlink()
    with pytest.raises(FormatError) as caught:
        convert(manifest, tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path}/out/quarantine.jsonl: missing. Restore it, or convert again with --overwrite."
    )


def test_a_finished_conversion_is_recognised_without_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = draw_sources(tmp_path, 20)
    first = convert(manifest, tmp_path / "out")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing was to be read or planned")

    monkeypatch.setattr("convert.job.request.make_plan", refuse)
    monkeypatch.setattr("convert.write.open_inputs.load_manifest", refuse)
    monkeypatch.setattr(SourceReader, "read", refuse)
    again = convert(manifest, tmp_path / "out")
    assert again.already_complete
    assert (again.rows, again.records) == (first.rows, first.records)
