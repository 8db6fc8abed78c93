"""What stands where the output shall be: kept, completed or replaced, and nothing else touched."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convert_cases import convert, digests, draw_sources, options_of, png

from convert.dataset.read import read_dataset
from convert.errors import ShardfeedError, TryAgainError, UsageError
from convert.job import convert_dataset
from convert.storage.local import exchange
from convert.write import commit_dataset as module
from convert.write import staging
from convert.write.staging import Staging
from convert.write.staging_key import staging_key

OURS = ["i", "m.csv", "out"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    draw_sources(folder, 40)
    convert(folder / "m.csv", folder / "out")
    return folder


@pytest.fixture
def sources(original: Path, tmp_path: Path) -> Path:
    """40 images, their manifest, and the dataset made of them: a copy for each test."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_done_already(sources: Path) -> None:
    before = digests(sources / "out")
    result = convert(sources / "m.csv", sources / "out", workers=2, max_bad_fraction=0)
    assert (result.already_complete, result.rows, result.records) == (True, 40, 40)
    assert digests(sources / "out") == before
    assert names(sources) == OURS


@pytest.mark.parametrize("kind", ["empty folder", "new folders"])
def test_an_output_that_is_free(tmp_path: Path, kind: str) -> None:
    draw_sources(tmp_path, 40)
    out = tmp_path / "out" if kind == "empty folder" else tmp_path / "a/b/out"
    if kind == "empty folder":
        out.mkdir()
    assert convert(tmp_path / "m.csv", out).records == 40
    assert (out / "_SUCCESS").exists()


@pytest.mark.parametrize("act", [lambda path: os.truncate(path, 9), os.unlink], ids=["cut", "gone"])
def test_a_shard_that_is_touched_before_the_commit(
    sources: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], None]
) -> None:
    """Every shard was whole when it was written, so only a last look can tell."""
    write, touched = staging.write_source_paths, []

    def write_later(*arguments: Any) -> object:
        touched.append(min(sources.glob(".new.staging-*/dataset/*.tfrecord-*")))
        act(touched[0])
        return write(*arguments)

    monkeypatch.setattr(staging, "write_source_paths", write_later)
    with pytest.raises(TryAgainError) as caught:
        convert(sources / "m.csv", sources / "new")
    assert str(caught.value) == (
        f"{touched[0]}: gone, or changed by another process. Run the same command again."
    )
    assert not (sources / "new").exists()
    monkeypatch.undo()
    assert convert(sources / "m.csv", sources / "new").records == 40


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["file", "foreign folder", "dangling link", "damaged dataset"])
def test_what_is_not_ours_is_left_alone(sources: Path, kind: str, overwrite: bool) -> None:
    out = sources / "other"
    if kind == "file":
        out.write_text("keep")
    elif kind == "dangling link":
        out.symlink_to("nowhere")
    else:
        out.mkdir()
        (out / ("dataset.json" if kind == "damaged dataset" else "keep")).write_text("{}")
    before = digests(out) if out.is_dir() else os.lstat(out).st_ino
    with pytest.raises(UsageError) as caught:
        convert(sources / "m.csv", out, overwrite=overwrite)
    assert str(caught.value) == (
        f"{out}: exists and is no valid dataset, so it is left alone. "
        "Choose another output, or remove it yourself."
    )
    assert (digests(out) if out.is_dir() else os.lstat(out).st_ino) == before
    assert names(sources) == [*OURS[:2], "other", "out"]


def test_another_plan_is_refused(sources: Path) -> None:
    first = read_dataset(str(sources / "out")).plan_id
    other = convert(sources / "m.csv", sources / "other", seed=5).info.plan_id
    before = digests(sources / "out")
    with pytest.raises(UsageError) as caught:
        convert(sources / "m.csv", sources / "out", seed=5)
    assert str(caught.value) == (
        f"{sources}/out: holds a dataset of another plan ({first[:8]}; this one is {other[:8]}): "
        "the manifest or an option differs. "
        "Choose another output, or replace it with --overwrite."
    )
    assert digests(sources / "out") == before


def test_a_dataset_that_lost_bytes_is_not_complete(sources: Path) -> None:
    shard = next((sources / "out").glob("images-train*"))
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ShardfeedError) as caught:
        convert(sources / "m.csv", sources / "out")
    assert str(caught.value) == (
        f"{shard}: missing or not of its {size} bytes. "
        "Restore it, or convert again with --overwrite."
    )
    assert convert(sources / "m.csv", sources / "out", overwrite=True).records == 40


def test_overwrite_replaces(sources: Path) -> None:
    before = digests(sources / "out")
    (sources / "i/0.png").write_bytes(png(seed=99))  # the plan does not know; overwrite redoes
    result = convert(sources / "m.csv", sources / "out", overwrite=True)
    assert not result.already_complete
    after = digests(sources / "out")
    assert after.keys() == before.keys()
    assert after["dataset.json"] == result.info.dataset_id != before["dataset.json"]
    assert names(sources) == OURS


def test_overwrite_keeps_the_files_of_others(sources: Path) -> None:
    (sources / "out/notes.txt").write_text("mine")
    old = f".out.old-{read_dataset(str(sources / 'out')).dataset_id[:16]}"
    said: list[str] = []
    config = options_of(sources / "m.csv", sources / "out", seed=5, overwrite=True)
    convert_dataset(config, said.append)
    assert said[2:] == [
        f"the replaced dataset is deleted, but {sources}/{old} keeps files of others: notes.txt"
    ]
    assert names(sources) == [old, *OURS]
    assert names(sources / old) == ["notes.txt"]


def test_overwrite_that_fails_keeps_the_old_dataset(sources: Path) -> None:
    before = digests(sources / "out")
    for source in (sources / "i").iterdir():
        source.unlink()
    with pytest.raises(ShardfeedError):
        convert(sources / "m.csv", sources / "out", overwrite=True, seed=5)
    assert digests(sources / "out") == before


@pytest.mark.parametrize("inside", ["m.csv", "i", "classes.txt"])
@pytest.mark.parametrize("more", [{"overwrite": True}, {"retry_quarantined": True}])
def test_a_dataset_that_holds_inputs_is_not_replaced(
    sources: Path, inside: str, more: dict[str, bool]
) -> None:
    (sources / "classes.txt").write_text("".join(f"{digit:x}\n" for digit in range(16)))
    (sources / inside).rename(sources / "out" / inside)
    (sources / "link").symlink_to("out")
    place = {name: sources / name for name in ("m.csv", "i", "classes.txt")}
    place[inside] = sources / "link" / inside
    root = str(sources if inside != "i" else place["i"])
    before = {path: path.lstat().st_ino for path in sources.rglob("*")}
    with pytest.raises(UsageError) as caught:
        convert(
            place["m.csv"], sources / "out", root=root, vocabulary=(f"y0={place['classes.txt']}",),
            **more,
        )  # fmt: skip
    assert str(caught.value) == (
        f"{place[inside]}: lies in the dataset {sources}/out, which would be replaced as a whole. "
        "Move it out, or choose another output."
    )
    assert {path: path.lstat().st_ino for path in sources.rglob("*")} == before


@pytest.mark.parametrize("left", ["the replaced dataset", "staging", "its lock"])
def test_what_a_run_left_that_was_killed_at_its_end(sources: Path, left: str) -> None:
    out = sources / "out"
    convert(sources / "m.csv", out)  # notes down that the sources have moved here
    if left == "staging":
        plan_id = read_dataset(str(out)).plan_id
        Staging(str(out), staging_key(plan_id, str(sources))).prepare()
    elif left == "its lock":
        (sources / ".out.lock").touch()
    else:
        shutil.copytree(out, sources / ".out.old-0123456789abcdef")
    assert len(names(sources)) == len(OURS) + 1
    assert convert(sources / "m.csv", out).already_complete
    assert names(sources) == OURS


class Killed(BaseException):
    """Stands for a SIGKILL at the worst moment."""


@pytest.mark.parametrize("when", ["before the exchange", "after the exchange"])
def test_overwrite_killed_half_way(
    sources: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def die(first: str, second: str) -> None:
        if when == "after the exchange":
            exchange(first, second)
        raise Killed

    before = digests(sources / "out")
    more = {"seed": 5, "overwrite": True}
    with monkeypatch.context() as patch:
        patch.setattr(module, "exchange", die)
        with pytest.raises(Killed):
            convert(sources / "m.csv", sources / "out", **more)
    new = digests(sources / "out")
    assert (new == before) == (when == "before the exchange")  # one or the other, and whole
    convert(sources / "m.csv", sources / "out", **more)
    convert(sources / "m.csv", sources / "fresh", seed=5)
    assert digests(sources / "out") == digests(sources / "fresh")
    assert [name for name in names(sources) if "old" in name or "staging" in name] == []
