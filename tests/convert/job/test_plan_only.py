"""`convert --plan-only`: tells what a conversion would make, and writes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from convert_cases import command, draw_sources, png
from fault_injection import faulty

from convert.dataset.read import read_dataset

COUNT = 30


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return draw_sources(tmp_path, COUNT)


def planned(manifest: Path, *more: object) -> tuple[dict[str, Any], str]:
    """Plans; returns the summary and what stderr says. Checks that nothing was written."""
    before = sorted(manifest.parent.rglob("*"))
    done = command(manifest, manifest.parent / "out", "--plan-only", "--json", *more)
    assert sorted(manifest.parent.rglob("*")) == before
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_it_tells_what_converting_makes(manifest: Path, encoding: str) -> None:
    options = ("--size", 16, 8, "--encoding", encoding, "--shard-bytes", 2000)
    plan, said = planned(manifest, *options)
    command(manifest, manifest.parent / "out", *options)
    info = read_dataset(str(manifest.parent / "out"))
    assert plan["plan_id"] == info.plan_id
    assert plan["splits"] == {
        name: {"records": info.num_records(name), "shards": len(shards)}
        for name, shards in info.splits.items()
    }
    assert plan["outputs"] == {"y0": 16, "y1": 16}
    assert plan["bytes"] == sum(s.bytes for shards in info.splits.values() for s in shards)
    assert (plan["records"], plan["tried"], plan["failed"]) == (COUNT, COUNT, 0)
    assert plan["seconds"] > 0
    assert "nothing was written" in said and "ms an image, mean of 30" in said


def test_images_that_would_be_left_out_are_named(manifest: Path) -> None:
    first = manifest.read_text().splitlines()[1].split(",")[0]
    (manifest.parent / first).write_bytes(b"no image")
    plan, said = planned(manifest, "--size", 8, 8)
    assert (plan["tried"], plan["failed"]) == (COUNT - 1, 1)
    assert f"1 of 30 images tried would be left out, such as {first}: " in said


def test_without_any_image_there_is_no_time(manifest: Path) -> None:
    for source in manifest.parent.rglob("*.png"):
        source.unlink()
    plan, said = planned(manifest, "--size", 8, 8, "--encoding", "jpeg")
    assert (plan["bytes"], plan["seconds"], plan["failed"]) == (None, None, COUNT)
    assert "ms an image" not in said


def test_what_converting_refuses_planning_refuses(manifest: Path) -> None:
    for output, more, message in (
        ("out", ("--label-columns", "no"), "no column 'no'"),
        ("", (), "DATASET is an empty word"),
    ):
        done = command(manifest, output, "--plan-only", "--size", 8, 8, *more, check=False)
        assert done.returncode == 2
        assert message in done.stderr


def test_a_folder_of_images_that_is_missing_is_refused(manifest: Path) -> None:
    words = ("--plan-only", "--size", 8, 8, "--root", manifest.parent / "no")
    done = command(manifest, "out", *words, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("no: no such folder. The manifest's paths start there.\n")


def test_images_that_end_the_process_are_named(manifest: Path, tmp_path: Path) -> None:
    """As converting leaves them out; the same command would meet them again."""
    paths = [line.split(",")[0] for line in manifest.read_text().splitlines()[1:]]
    deadly = [paths[number] for number in (0, 1, 4, 7)]
    for path in deadly:
        (manifest.parent / path).write_bytes(png((13, 13)))
    environment = faulty(tmp_path / "fault", "fail_on_size((13, 13), 'SIGKILL')")
    words = ("--plan-only", "--json", "--size", 8, 8)
    done = command(manifest, "out", *words, env=environment)
    plan = json.loads(done.stdout)
    assert (plan["tried"], plan["failed"]) == (COUNT - 4, 4)
    assert (
        f"4 of 30 images tried would be left out, such as {deadly[0]}: decoding it ended the"
        in (done.stderr)
    )
