"""`train predict --output`: which files a result may replace, and which never."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from predict_cases import predict
from reading_cases import untrained_run as make_run

from train.errors import ShardfeedError, UsageError
from train.predict.config import PredictConfig
from train.predict.pipeline import predict_images


@pytest.fixture
def image(sample_files, tmp_path) -> Path:
    return Path(shutil.copy(sample_files[0], tmp_path / "image.png"))


def refusal(run, output: Path, **options) -> str:
    """Returns the one line; the output stays as it was."""
    before = output.read_bytes()
    with pytest.raises(UsageError) as caught:
        predict_images(run, PredictConfig(output=str(output), **options))
    assert output.read_bytes() == before
    return str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_older_result_is_replaced(kind, untrained_run, image, tmp_path):
    output = tmp_path / "predictions"
    output.touch()
    results = []
    for _ in range(2):
        predict(untrained_run, tmp_path, images=(str(image),), format=kind)
        results.append(output.read_text())
    assert results[0] == results[1] != ""


def test_another_file_is_left_alone(untrained_run, image, tmp_path):
    output = tmp_path / "thesis.csv"
    output.write_text("path,text\n1,2\n")
    assert refusal(untrained_run, output, images=(str(image),)) == (
        f"{output}: exists and is no result of `train predict`, so it is left alone. "
        "Name another --output, or replace it with --overwrite."
    )
    config = PredictConfig(images=(str(image),), output=str(output), overwrite=True)
    predict_images(untrained_run, config)
    assert output.read_text().startswith("path,text,confidence,error,confidences\n")


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_manifest_is_never_replaced(link, overwrite, untrained_run, image, tmp_path):
    """Not even one that looks like a result."""
    manifest = output = tmp_path / "m.csv"
    manifest.write_text("path,text,confidence,error,confidences\nimage.png,abcd,,,\n")
    if link:
        output = tmp_path / "link"
        link(manifest, output)
    told = refusal(untrained_run, output, manifest=str(manifest), overwrite=overwrite)
    assert told == (
        f"{output}: is the --manifest, which a result never replaces. Name another --output."
    )


@pytest.mark.parametrize("way", ["named", "folder", "glob", "manifest", "link"])
def test_an_image_is_never_replaced(way, untrained_run, image, tmp_path):
    output = image
    options: dict[str, object] = {"images": (str(image),)}
    if way == "folder":
        options = {"images": (str(tmp_path),)}
    elif way == "glob":
        options = {"images": (f"{tmp_path}/*.png",)}
    elif way == "manifest":
        (tmp_path / "m.csv").write_text("path\nimage\n")  # found by another spelling
        options = {"manifest": str(tmp_path / "m.csv")}
    elif way == "link":
        output = tmp_path / "out.csv"
        output.symlink_to(image)
    told = refusal(untrained_run, output, overwrite=True, **options)
    assert told == f"{output}: is an image, which a result never replaces. Name another --output."


def test_the_list_of_images_is_never_replaced(untrained_run, image, tmp_path, monkeypatch):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{image}\n")
    with listed.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        told = refusal(untrained_run, listed, images=("-",), overwrite=True)
    assert told.startswith(f"{listed}: is the list of images, which a result never replaces.")


def test_a_link_stays(untrained_run, image, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "predictions").symlink_to("disk/result.csv")
    with pytest.raises(UsageError) as caught:
        predict(untrained_run, tmp_path, images=(str(image),))
    assert str(caught.value) == (
        f"{tmp_path}/predictions: a link that leads nowhere. Name another --output."
    )
    (tmp_path / "disk/result.csv").touch()
    predict(untrained_run, tmp_path, images=(str(image),))
    assert (tmp_path / "predictions").is_symlink()
    assert (tmp_path / "disk/result.csv").read_text().startswith("path,text")
    assert os.listdir(tmp_path / "disk") == ["result.csv"]


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(untrained_run, image, tmp_path):
    """Whoever may write in the folder can guess its name."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"predictions.part-{os.getpid()}").symlink_to(victim)
    with pytest.raises(ShardfeedError, match="a link, expected a regular file"):
        predict(untrained_run, tmp_path, images=(str(image),))
    assert victim.read_text() == "mine"


def test_run_and_dataset_are_never_replaced(tiny_dataset, image, tmp_path):
    run = make_run(tmp_path / "run", tiny_dataset)
    for output in (tmp_path / "run/config.json", tiny_dataset / "quarantine.jsonl"):
        refusal(run, output, images=(str(image),), overwrite=True)
    config = PredictConfig(images=(str(image),), output=f"{tmp_path}/run/read.csv")
    predict_images(run, config)
    assert (tmp_path / "run/read.csv").exists()
