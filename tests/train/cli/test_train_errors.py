"""What goes wrong in training is told in one line, and stops leave no mess."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import forked
import pytest
from conftest import SAMPLE
from train_cases import SMALL, run_main, train

from convert import ConvertConfig
from convert.job import convert_dataset
from train.config import TrainConfig
from train.errors import UsageError


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: no such dataset folder. Make it with `convert MANIFEST "
         "DATASET`."),
        (["empty"], 1, "empty: no dataset.json in it, so it is no finished dataset. Make it with "
         "`convert MANIFEST DATASET`."),
        (["strips", "--batch-size", "91"], 2, "strips: the split 'train' has 90 records, fewer "
         "than one batch; --batch-size must be at most 90, got 91."),
        (["strips", "--run", "empty/full"], 2, "empty/full: exists already. Name a new folder with "
         "--run, or remove this one."),
        (["strips", "--epochs", "0"], 2, "--epochs must be at least 1, got 0."),
        (["evaluate", "empty"], 1, "empty: no config.json in it, so it is no run. `train` makes "
         "runs."),
        (["evaluate", "run", "--split", "test"], 2, "strips: no split 'test'; the dataset has "
         "train, validation."),
        (["predict", "empty", "x.png"], 1, "empty: no config.json in it, so it is no run. `train` "
         "makes runs."),
        (["predict", "run"], 2, "nothing to read: name image files, folders or globs, or give "
         "--manifest or --split."),
        (["strips", "--head", "none"], 2, "argument --head: invalid choice: 'none' (choose from "
         "'auto', 'shared', 'separate'). See `train fit --help`."),
    ],
)  # fmt: skip
def test_errors_are_one_line(
    words, code, message, run, small_dataset, tmp_path, monkeypatch, capfd
):
    (tmp_path / "empty" / "full").mkdir(parents=True)
    (tmp_path / "empty" / "full" / "file").touch()
    (tmp_path / "strips").symlink_to(small_dataset)
    shutil.copytree(run[0], tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "dataset": "strips"}))
    monkeypatch.chdir(tmp_path)
    assert run_main(*words) == code
    assert capfd.readouterr() == ("", f"train: error: {message}\n")


def test_a_damaged_record_stops_training_with_one_line(small_dataset, tmp_path):
    shutil.copytree(small_dataset, tmp_path / "strips")
    shard = tmp_path / "strips" / "images-train.tfrecord-00001-of-00004"
    data = bytearray(shard.read_bytes())
    data[3 * 12379 + 500] ^= 1
    shard.write_bytes(data)
    code, _, stderr = train("strips", "--epochs", 1, "--batch-size", 90, cwd=tmp_path)
    assert code == 1
    assert len(stderr) == 2  # the opening line and the error
    assert stderr[1].startswith(
        "train: error: strips/images-train.tfrecord-00001-of-00004: record 3 (manifest row "
    )
    assert stderr[1].endswith(
        ") is damaged: its CRC is wrong. Restore the file from a copy, or convert again with "
        "--overwrite."
    )


@pytest.mark.parametrize("is_old", [False, True])
def test_the_source_of_a_damaged_record_is_named(
    is_old, small_dataset, small_manifest, sample_rows, tmp_path
):
    """By the dataset itself; an old one does not know its sources' paths, but a manifest does."""
    shutil.copytree(small_dataset, tmp_path / "strips")
    manifest = ()
    if is_old:
        (tmp_path / "strips" / "sources.parquet").unlink()
        manifest = ("--manifest", small_manifest)
    shard = tmp_path / "strips" / "images-train.tfrecord-00001-of-00004"
    data = bytearray(shard.read_bytes())
    data[3 * 12379 + 500] ^= 1
    shard.write_bytes(data)
    flags = ("--epochs", 1, "--batch-size", 90)
    code, _, stderr = train("strips", *flags, *manifest, cwd=tmp_path)
    assert code == 1
    row = int(stderr[-1].partition("(manifest row ")[2].partition(",")[0])
    assert stderr[-1] == (
        "train: error: strips/images-train.tfrecord-00001-of-00004: record 3 "
        f"(manifest row {row}, {sample_rows[row]['path']}) is damaged: its CRC is wrong. "
        "Restore the file from a copy, or convert again with --overwrite."
    )


def test_another_datasets_classes_are_refused(run, small_manifest, tmp_path):
    rows = small_manifest.read_text(encoding="utf-8").splitlines()
    (tmp_path / "few.csv").write_text("\n".join(rows[:60]), encoding="utf-8")
    convert_dataset(
        ConvertConfig(
            manifest=str(tmp_path / "few.csv"), dataset=str(tmp_path / "few"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(128, 32), split=(("validation", 1.0),), workers=1,
        )
    )  # fmt: skip
    code, _, stderr = train("evaluate", run[0], tmp_path / "few")
    assert code == 2
    assert len(stderr) == 1
    assert stderr[0].startswith(f"train: error: {tmp_path / 'few'}: its classes [")


def test_what_cannot_be_built_leaves_no_folder(small_dataset, tmp_path):
    """`convert` refuses such a name; a dataset of another origin may have it."""
    shutil.copytree(small_dataset, tmp_path / "strips")
    described = tmp_path / "strips/dataset.json"
    text = described.read_text(encoding="utf-8").replace('"name": "y1"', '"name": "第二"')
    described.write_text(text, encoding="utf-8")
    code, _, stderr = train("strips", "--run", "run", "--batch-size", 32, cwd=tmp_path)
    assert (code, stderr) == (
        2,
        [
            "train: error: strips: The output '第二' cannot be built: an output's name must be of "
            "ASCII letters, digits and _ . > -, and not begin with _ > or -. "
            "Rename the label columns."
        ],
    )
    assert not (tmp_path / "run").exists()


def test_a_reader_that_goes_away_is_no_error(run):
    """As in `train evaluate RUN | head -1`."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = forked.run(forked.TRAIN, "evaluate", run[0], stdout=write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


def test_sigterm_stops_with_143(small_dataset, tmp_path):
    flags = (*SMALL, "--run", "run", "--epochs", "1000")
    command = [sys.executable, "-m", "train", small_dataset, *flags]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "train: epoch" in line:  # in the midst of it
            process.terminate()
            break
    _, rest = process.communicate()
    assert process.returncode == 143
    assert re.fullmatch(
        r"[\d:]{8} train: stopped by SIGTERM in epoch \d+ after step \d+; a checkpoint is "
        r"written\. Go on with `train resume run`\.",
        rest.splitlines()[-1],
    )
    assert len(os.listdir(tmp_path / "run" / "checkpoints")) > 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0."),
        ({"window": 0}, "--window must be at least 1, got 0."),
        ({"learning_rate": 0.0}, "--learning-rate must be in (0, 10], got 0."),
        ({"weight_decay": -1.0}, "--weight-decay must be 0 or more, got -1."),
        ({"warmup": 1.0}, "--warmup must be in [0, 1), got 1."),
        ({"label_smoothing": 1.0}, "--label-smoothing must be in [0, 1), got 1."),
        ({"clip_norm": 0.0}, "--clip-norm must be above 0, got 0."),
        ({"seed": -1}, "--seed must be in [0, 2**32), got -1."),
    ],
)
def test_options_are_validated(option, message):
    with pytest.raises(UsageError) as raised:
        TrainConfig(dataset="strips", **option)
    assert str(raised.value) == message
