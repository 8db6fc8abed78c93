"""The same manifest with other images: noticed on a resume, and where a finished dataset stands."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from convert_cases import ALL, convert, digests, draw_sources, options_of, png
from hdfs_cases import upload
from irregular import LARGE

from convert.dataset.read import read_dataset
from convert.errors import FormatError, TooManyBadRowsError, TryAgainError, UsageError
from convert.job import convert_dataset
from convert.job.report import ConvertResult
from convert.storage.places import filesystem_of
from convert.verify import VerifyConfig, verify_dataset

NUM_ROWS = 40


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """The root `A`, and `B` with other images; `m.csv` fits both."""
    for name in "AB":
        shutil.move(draw_sources(tmp_path / name, NUM_ROWS), tmp_path / "m.csv")
    (tmp_path / "B/i/7.png").write_bytes(png(seed=99))
    return tmp_path


def run(folder: Path, root: str, **more: Any) -> tuple[ConvertResult, list[str]]:
    """Converts into `out`; returns the result and what was said."""
    said: list[str] = []
    options = {"root": str(folder / root), "split": ALL, "order": "source", **more}
    config = options_of(folder / "m.csv", folder / "out", shard_bytes=4000, **options)
    return convert_dataset(config, said.append), said


def is_right(folder: Path, root: str) -> bool:
    """Compares every record with its image, and the files with those of a fresh conversion."""
    config = VerifyConfig(
        dataset=str(folder / "out"), manifest=str(folder / "m.csv"), root=str(folder / root),
        deep=True, workers=1,
    )  # fmt: skip
    return not verify_dataset(config).problems


def stopped(folder: Path, monkeypatch: pytest.MonkeyPatch, root: str = "A", **more: Any) -> None:
    """Converts all shards but does not commit."""

    def fail(*_: object, **__: object) -> None:
        raise TryAgainError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("convert.write.staging.put_in_place", fail)
        with pytest.raises(TryAgainError, match="stopped"):
            run(folder, root, **more)


def test_the_dataset_is_the_same_on_every_machine(roots: Path) -> None:
    first = run(roots, "A")[0].info.dataset_id
    shutil.rmtree(roots / "out")
    for path in (roots / "A/i").iterdir():
        os.utime(path, (1, 1))
    (roots / "A").rename(roots / "C")
    assert run(roots, "C")[0].info.dataset_id == first


def test_another_root_is_an_error_that_names_both(roots: Path) -> None:
    run(roots, "A")
    before = digests(roots / "out")
    with pytest.raises(UsageError) as caught:
        run(roots, "B")
    assert str(caught.value) == (
        f"{roots}/out: was made from the images in {roots}/A, and those in {roots}/B are others "
        "(in 1 of 4 shards). Choose another output, or replace it with --overwrite."
    )
    assert digests(roots / "out") == before
    assert run(roots, "A")[0].already_complete
    assert not run(roots, "B", overwrite=True)[0].already_complete
    assert is_right(roots, "B")


def test_another_spelling_of_the_root(roots: Path) -> None:
    run(roots, "A")
    (roots / "link").symlink_to("A")
    for root in ("A/", "A/../A", "link"):
        result, said = run(roots, root)
        assert (result.already_complete, said) == (True, [])


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_images_may_move(roots: Path, way: str) -> None:
    run(roots, "A")
    before = digests(roots / "out")
    if way == "moved":
        (roots / "A").rename(roots / "C")
    else:  # without their times
        shutil.copytree(roots / "A", roots / "C", copy_function=shutil.copyfile)
    result, said = run(roots, "C")
    assert result.already_complete
    compares = f"comparing the images in {roots}/C with those in {roots}/A, which {roots}/out is "
    assert said == [
        *[f"{compares}made of"] * (way == "copied"),
        f"{roots}/out: its images have moved from {roots}/A to {roots}/C",
    ]
    assert run(roots, "C")[1] == []
    assert digests(roots / "out") == before
    (roots / "out/sources.parquet").unlink()  # its digest was kept
    (problem,) = verify_dataset(VerifyConfig(dataset=str(roots / "out"), workers=1)).problems
    assert problem.file == "sources.parquet"


def test_dataset_and_images_may_move_together(roots: Path) -> None:
    run(roots, "A")
    moved = roots.parent / "moved"
    roots.rename(moved)
    assert run(moved, "A")[0].already_complete


def test_a_dataset_that_does_not_know_its_root(roots: Path) -> None:
    run(roots, "A")
    (roots / "out/_source.json").unlink()
    assert run(roots, "B")[0].already_complete
    assert is_right(roots, "A")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"root": 1, "shards": {}}', '{"root": "/", "shards": []}',
        '{"root": "/", "shards": {"a": 1}}', '{"root": "/", "shards": {"a": {"versions": 1}}}',
        '{"root": "/", "shards": {"a": {"versions": 1, "contents": "", "began": 1}}}',
        '{"root": "/", "shards": {"a": {"versions": "", "contents": "", "began": "1"}}}',
        "[" * 100_000, None,
    ],
)  # fmt: skip
def test_a_damaged_note(roots: Path, text: str | None) -> None:
    run(roots, "A")
    (roots / "out/_source.json").write_text(text or "")
    if text is None:
        os.truncate(roots / "out/_source.json", LARGE)
    with pytest.raises(FormatError) as caught:
        run(roots, "A")
    assert str(caught.value) == (
        f"{roots}/out/_source.json: not as convert wrote it. Remove it: the dataset is whole "
        "without, but no longer knows which images it was made from."
    )
    problems = verify_dataset(VerifyConfig(dataset=str(roots / "out"), workers=1)).problems
    assert [str(each.file) for each in problems] == ["_source.json"]


def test_the_note_names_root_and_shards(roots: Path) -> None:
    run(roots, "A")
    content = json.loads((roots / "out/_source.json").read_text())
    assert content["root"] == str(roots / "A")
    assert content["shards"].keys() == read_dataset(str(roots / "out")).files().keys()


@pytest.mark.parametrize("change", ["content", "time", "size", "gone", "link"])
def test_images_that_change_before_a_resume(
    roots: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    stopped(roots, monkeypatch, max_bad_fraction=1)
    image = roots / "A/i/7.png"
    if change == "content":
        image.write_bytes(png(seed=99))
    elif change == "time":
        os.utime(image, ns=(0, image.stat().st_mtime_ns + 1))
    elif change == "size":
        status = image.stat()
        image.write_bytes(image.read_bytes() + b"\0")
        os.utime(image, ns=(0, status.st_mtime_ns))
    elif change == "gone":
        image.unlink()
    else:
        image.unlink()
        image.symlink_to("8.png")
    result, said = run(roots, "A", max_bad_fraction=1)
    assert said[-2:] == [
        "converting 1 of 4 finished shards again: their images have changed since",
        f"going on: {NUM_ROWS - 10} rows are already done",
    ]
    assert result.resumed_rows == NUM_ROWS - 10
    assert is_right(roots, "A")


def test_images_that_stay_are_not_converted_again(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (roots / "A/i/3.png").unlink()  # a row that stays bad
    (roots / "A/i/4.png").rename(roots / "A/i/4")  # found under another spelling
    text = (roots / "m.csv").read_text().replace("i/5.png", "i/5")
    (roots / "m.csv").write_text(text)
    stopped(roots, monkeypatch, max_bad_fraction=1)
    assert run(roots, "A", max_bad_fraction=1)[0].resumed_rows == NUM_ROWS


def test_a_spelled_image_that_changes(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (roots / "m.csv").read_text().replace("i/5.png", "i/5")
    (roots / "m.csv").write_text(text)
    stopped(roots, monkeypatch)
    (roots / "A/i/5.png").write_bytes(png(seed=99))
    assert run(roots, "A")[0].resumed_rows == NUM_ROWS - 10


def test_a_retry_converts_changed_images_again(roots: Path) -> None:
    image = roots / "A/i/7.png"
    content = image.read_bytes()
    image.write_bytes(b"no image")
    run(roots, "A", max_bad_fraction=1)
    image.write_bytes(content)
    (roots / "A/i/30.png").write_bytes(png(seed=99))
    said = run(roots, "A", retry_quarantined=True)[1]
    assert "converting 1 of 3 finished shards again: their images have changed since" in said
    assert is_right(roots, "A")


def test_a_repaired_image_after_too_many_bad_rows(roots: Path) -> None:
    """The rows of other shards go on from where they were."""
    images = [roots / "A/i" / name for name in ("7.png", "8.png")]
    contents = [image.read_bytes() for image in images]
    for image in images:
        image.write_bytes(b"no image")
    with pytest.raises(TooManyBadRowsError):
        run(roots, "A")
    for image, content in zip(images, contents, strict=True):
        image.write_bytes(content)
    assert run(roots, "A")[0].records == NUM_ROWS
    assert is_right(roots, "A")


def test_a_file_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stamp is that of the file that was opened."""
    from convert.images.sources.reader import SourceReader, Stamps

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    stamps: Stamps = {}
    reader = SourceReader(str(tmp_path), stamps=stamps)
    real = os.read

    def replace(descriptor: int, size: int) -> bytes:
        content = real(descriptor, size)
        path.write_bytes(b"new content")
        return content

    monkeypatch.setattr(os, "read", replace)
    assert reader.read("a.png") == b"old"
    assert stamps["a.png"] != reader.stamp("a.png", 0.0)
    assert reader.stamp("b.png", 0.0) is None
    assert reader.stamp(".", 0.0) is None


def test_a_plain_conversion_of_a_dataset_without_times(roots: Path) -> None:
    """Datasets of earlier versions have no note; a retry of theirs knows no sources."""
    (roots / "A/i/7.png").write_bytes(b"no image")
    run(roots, "A", max_bad_fraction=1)
    (roots / "out/_source.json").unlink()
    (roots / "A/i/7.png").write_bytes(png(seed=7))
    assert run(roots, "A", retry_quarantined=True)[0].quarantined == 0
    assert is_right(roots, "A")
    shards = json.loads((roots / "out/_source.json").read_text())["shards"].values()
    assert [shard is None for shard in shards].count(False) == 1
    assert convert(roots / "m.csv", roots / "fresh", root=str(roots / "A")).records == NUM_ROWS


def test_images_that_change_on_hdfs(
    hdfs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their size and the time of a newer one tell; a copy elsewhere is known by what it holds."""
    draw_sources(tmp_path, 8)
    for root in ("A", "B"):
        upload(tmp_path / "i", f"{hdfs}/{root}/i")
    options = {"split": ALL, "order": "source", "shard_bytes": 1000, "max_bad_fraction": 1}

    def convert_here(root: str) -> tuple[ConvertResult, list[str]]:
        said: list[str] = []
        config = options_of(tmp_path / "m.csv", tmp_path / "out", root=f"{hdfs}/{root}", **options)
        return convert_dataset(config, said.append), said

    with monkeypatch.context() as patch:
        patch.setattr("convert.write.staging.put_in_place", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            convert_here("A")
        with pytest.raises(ZeroDivisionError):
            convert_here("A")
    filesystem_of(hdfs).replace(f"{hdfs}/A/i/1.png", png(seed=1))
    result, said = convert_here("A")
    assert "converting 1 of 4 finished shards again: their images have changed since" in said
    assert result.resumed_rows == 6
    assert convert_here("A/")[1] == []
    assert convert_here("B")[0].already_complete
    filesystem_of(hdfs).replace(f"{hdfs}/A/i/1.png", png(seed=99))
    with pytest.raises(UsageError, match=r"others \(in 1 of 4 shards\)"):
        convert_here("A")
