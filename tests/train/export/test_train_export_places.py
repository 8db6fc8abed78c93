"""`train export`: links as outputs, and files that an export must never replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reading_cases import untrained_run as make_run

from train.errors import UsageError
from train.export.config import ExportConfig
from train.export.write_and_check import export_run
from train.runs.folder import RunFolder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def export(run: RunFolder, output: Path, name: str = "keras", **options):
    return export_run(run, ExportConfig(formats=(name,), output=str(output), **options))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("keras", ".keras"), ("savedmodel", "")],  # a file, and a folder
)
def test_what_a_link_points_at_is_replaced(name, suffix, untrained_run, tmp_path):
    disk, here = tmp_path / "disk", tmp_path / "here"
    here.mkdir()
    export(untrained_run, disk / "v1", name)
    before = {path.name: path.stat().st_ino for path in disk.iterdir()}
    for end in {suffix, ".json"}:
        (here / f"current{end}").symlink_to(f"../disk/v1{end}")
    (made,) = export(untrained_run, here / "current", name, overwrite=True)
    assert made.path == str(disk / f"v1{suffix}")
    assert all(path.is_symlink() for path in here.iterdir())
    after = {path.name: path.stat().st_ino for path in disk.iterdir()}
    assert after.keys() == before.keys()
    assert all(after[file] != before[file] for file in before)
    assert len(list(here.iterdir())) == 2


def test_a_dangling_link_is_left_alone(untrained_run, tmp_path):
    (tmp_path / "reader.keras").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists and is no export, so it is left alone"):
        export(untrained_run, tmp_path / "reader", overwrite=True)
    assert os.readlink(tmp_path / "reader.keras") == "nowhere"


def test_json_that_describes_no_export_is_left_alone(untrained_run, tmp_path):
    (tmp_path / "reader.json").write_text('{"mine": 1}')
    with pytest.raises(UsageError) as caught:
        export(untrained_run, tmp_path / "reader", overwrite=True)
    assert str(caught.value) == (
        f"{tmp_path}/reader.json: exists and describes no export, so it is left alone. "
        "Name another --output."
    )
    assert os.listdir(tmp_path) == ["reader.json"]


@pytest.fixture
def own_run(tiny_dataset, tmp_path) -> RunFolder:
    return make_run(tmp_path / "run", tiny_dataset)


@pytest.mark.parametrize("name", ["best", "config", "dataset", "checkpoints/1", "link"])
def test_a_run_is_never_replaced_by_its_export(name, own_run, tmp_path):
    (tmp_path / "run/link.keras").symlink_to("best.keras")
    (tmp_path / "run/checkpoints").mkdir()
    before = contents(tmp_path / "run")
    with pytest.raises(UsageError, match=r"is a file of the run itself\. Name another --output\."):
        export(own_run, tmp_path / "run" / name, overwrite=True)
    assert contents(tmp_path / "run") == before


def test_nothing_is_exported_into_the_dataset(own_run, tiny_dataset, tmp_path):
    (tmp_path / "data").symlink_to(tiny_dataset)
    with pytest.raises(UsageError) as caught:
        export(own_run, tmp_path / "data/reader", overwrite=True)
    assert str(caught.value) == (
        f"{tmp_path}/data/reader.json: is inside the dataset {tiny_dataset}, where only convert "
        "writes. Name another --output."
    )
    assert not (tiny_dataset / "reader.keras").exists()
