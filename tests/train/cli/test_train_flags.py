"""Each flag of `train fit` changes the result in the way that it says."""

from __future__ import annotations

import io
import json
from dataclasses import fields

import keras
import numpy as np
import pytest
from PIL import Image
from train_cases import BASE, learn

from train.config import CHANGEABLE, TrainConfig
from train.errors import StoppedError, UsageError
from train.model.recogniser import plain
from train.records.reading.reader import RecordReader
from train.runs.folder import RunFolder
from train.training.dry_run.augmentation_picture import write_augmented
from train.training.dry_run.dry_run import dry_run, dry_run_lines
from train.training.job import Job

CHANGES = {
    "batch_size": 40,
    "learning_rate": 1e-4,
    "weight_decay": 0.5,
    "warmup": 0.9,
    "label_smoothing": 0.0,
    "clip_norm": 1e-3,
    "gradient_accumulation": 2,
    "class_balance": 1.0,
    "model": "resnet10",
    "width": 0.25,
    "precision": "bfloat16",
    "head": "separate",
    "augment": "default",
    "window": 20,
    "seed": 1,
    "overfit": 20,
    "leave_out": "1/2",
    "epochs": 2,
}
"""Flags after which other weights are learned."""

ELSEWHERE = {
    "dataset": "every test",
    "run": "test_train_run",
    "more_datasets": "test_train_several",
    "shares": "test_train_several",
    "ema": "test_the_average_is_validated_and_saved_beside_the_raw_weights",
    "weights": "test_train_weights",
    "augment_on": "test_train_augment_on_device",
    "patience": "test_train_resume_stops",
    "target": "test_a_target_ends_the_run",
    "max_minutes": "test_time_ends_a_session_with_a_checkpoint",
    "checkpoint_minutes": "test_train_resume",
    "keep_checkpoints": "test_train_checkpoint",
    "deterministic": "test_train_resume_stops",
    "verify_records": "test_train_bad_records",
    "on_bad_record": "test_train_bad_records",
    "manifest": "test_train_bad_records",
    "cache": "test_train_cache",
    "cache_bytes": "test_train_cache",
}
"""Flags that change something else than the weights, and where that is tested."""


def weights_of(dataset, **options) -> list[np.ndarray]:
    """Takes the steps that `fit` would take, one by one: most time goes into building graphs."""
    job = Job.open(TrainConfig(dataset=str(dataset), **{**BASE, **options}))
    model = job.model()
    model.run_eagerly = True
    for epoch in range(job.config.epochs):
        for step in range(job.training.num_steps):
            model.train_on_batch(*job.training.element(job.training.batch(epoch, step)))
    return [np.array(variable) for variable in plain(model).weights]


def raw_weights(run: RunFolder) -> list[np.ndarray]:
    return keras.models.load_model(run.file("last_raw.keras"), compile=False).get_weights()


@pytest.fixture(scope="module")
def base(tiny_dataset, tmp_path_factory) -> RunFolder:
    return learn(tiny_dataset, tmp_path_factory.mktemp("base") / "run")


def test_every_flag_is_tested():
    assert {field.name for field in fields(TrainConfig)} == set(CHANGES) | set(ELSEWHERE)


@pytest.fixture(scope="module")
def unchanged(tiny_dataset) -> list[np.ndarray]:
    return weights_of(tiny_dataset)


@pytest.mark.parametrize("flag", CHANGES)
def test_it_changes_what_is_learned(flag, unchanged, tiny_dataset):
    changed = weights_of(tiny_dataset, **{flag: CHANGES[flag]})
    pairs = zip(unchanged, changed, strict=False)
    same = all(a.shape == b.shape and np.array_equal(a, b) for a, b in pairs)
    assert len(unchanged) != len(changed) or not same


def test_without_a_change_the_same_is_learned(unchanged, tiny_dataset):
    for ours, theirs in zip(unchanged, weights_of(tiny_dataset), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_average_is_validated_and_saved_beside_the_raw_weights(base, tiny_dataset, tmp_path):
    (row,) = base.history()
    assert {"validation_exact", "raw_validation_exact"} <= set(row)
    assert row["validation_loss"] != row["raw_validation_loss"]
    saved = base.load_model("last.keras")
    average = saved.get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(average, raw_weights(base), strict=True))
    raw = keras.models.load_model(base.file("last_raw.keras"), compile=False)
    assert len(saved.trainable_variables) == len(raw.trainable_variables)  # others may train on
    plain = learn(tiny_dataset, tmp_path / "run", ema=0.0)
    assert "raw_validation_exact" not in plain.history()[0]
    assert not (tmp_path / "run" / "last_raw.keras").exists()
    learned = plain.load_model("last.keras").get_weights()
    for ours, theirs in zip(raw_weights(base), learned, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)  # but for rounding the same


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.long)])
def test_what_is_saved_computes_in_float32(precision, tiny_dataset, tmp_path):
    run = learn(tiny_dataset, tmp_path / "run", precision=precision)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["precision"] == precision
    model = run.load_model()
    assert {layer.compute_dtype for layer in model.layers} <= {"float32", "uint8"}
    raw = keras.models.load_model(run.file("last_raw.keras"), compile=False)
    assert raw.get_layer("stem_conv").compute_dtype == precision
    assert {str(logits.dtype) for logits in raw.output.values()} == {"float32"}


def test_auto_precision_is_resolved_and_recorded(base):
    assert base.config()["precision"] == "float32"  # tests run on CPUs


def test_a_target_ends_the_run(tiny_dataset, tmp_path):
    run = learn(tiny_dataset, tmp_path / "run", epochs=5, target="character_accuracy=0.0001")
    assert len(run.history()) < 5


def test_time_ends_a_session_with_a_checkpoint(tiny_dataset, tmp_path):
    with pytest.raises(StoppedError) as stopped:
        learn(tiny_dataset, tmp_path / "run", epochs=5, max_minutes=1e-9)
    assert str(stopped.value) == (
        "stopped by --max-minutes 1e-09 in epoch 1 after step 1; a checkpoint is written. "
        f"Go on with `train resume {tmp_path / 'run'}`."
    )
    assert stopped.value.exit_code == 0
    assert (tmp_path / "run" / "checkpoints" / "epoch-0000-step-00000001").is_dir()


def test_overfitting_trains_and_validates_on_the_same_few(tiny_dataset):
    options = {**BASE, "overfit": 8, "augment": "default"}
    job = Job.open(TrainConfig(dataset=str(tiny_dataset), **options))
    assert job.training.augment is None
    assert (job.training.num_steps, job.training.batch_size) == (1, 8)
    assert sorted(job.training.order.records(3, 0, 8)) == list(range(8))
    (first,) = [job.validation.batch(0, step)[0] for step in range(job.validation.num_steps)]
    np.testing.assert_array_equal(first, job.training.reader.gather(np.arange(8))[0])


def test_a_dry_run_writes_nothing(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(dataset=str(tiny_dataset), **BASE)
    found = dry_run(config)
    assert (found.model, found.steps, found.picture) == ("cnn", 2, None)
    assert dry_run_lines(config, found)[-1].endswith("; nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_leaves_a_picture_of_what_augmentation_does(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(dataset=str(tiny_dataset), **{**BASE, "augment": "strong"})
    found = dry_run(config)
    name = f"{tiny_dataset.name}-augmented.png"
    assert (found.picture, found.picture_error) == (name, None)
    assert dry_run_lines(config, found)[-1] == f"{name}: training images beside augmented versions"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    source = Job.open(config).training
    images, _ = source.reader.gather(source.order.records(0, 0, 8))
    drawn = np.asarray(Image.open(tmp_path / name))
    height, width = 4 * images.shape[1], 4 * images.shape[2]  # 64 pixels, enlarged to 256
    cells = [
        [drawn[y : y + height : 4, x : x + width : 4] for x in range(8, drawn.shape[1] - 8, 264)]
        for y in range(8, drawn.shape[0] - 8, height + 34)
    ]
    np.testing.assert_array_equal(np.stack([row[0] for row in cells]), images)
    assert all(len({cell.tobytes() for cell in row}) == 6 for row in cells)


def test_a_picture_replaces_only_one_of_its_kind(tiny_dataset, tmp_path):
    source = Job.open(TrainConfig(dataset=str(tiny_dataset), batch_size=45)).training
    path = tmp_path / "augmented.png"
    write_augmented(str(path), source)
    before = path.read_bytes()
    write_augmented(str(path), source)
    assert path.read_bytes() == before
    alien = io.BytesIO()
    Image.new("RGB", (4, 4)).save(alien, "PNG")
    for content in (alien.getvalue(), b"mine", b""):
        path.write_bytes(content)
        with pytest.raises(UsageError) as refused:
            write_augmented(str(path), source)
        assert str(refused.value) == (
            f"{path}: exists and was not drawn by `train fit --dry-run`. Move it away, then look "
            "again."
        )
        assert path.read_bytes() == content


def test_a_dry_run_without_room_for_its_picture_says_so(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"{tiny_dataset.name}-augmented.png"
    (tmp_path / name).mkdir()
    config = TrainConfig(dataset=str(tiny_dataset), **{**BASE, "augment": "default"})
    *_, told, last = dry_run_lines(config, dry_run(config))
    assert told == (
        f"no picture of augmented images: {name}: exists and was not drawn by "
        "`train fit --dry-run`. Move it away, then look again."
    )
    assert last.endswith("; nothing was written")


def test_only_what_cannot_change_the_weights_may_change_in_a_resume():
    assert set(CHANGEABLE) & set(CHANGES) == {"epochs"}


def test_overfitting_checks_the_labels_that_are_read_once(tiny_dataset, monkeypatch):
    asked = []
    labels = RecordReader.labels

    def counted(reader, records):
        asked.append(records.tolist())
        return labels(reader, records)

    monkeypatch.setattr(RecordReader, "labels", counted)
    Job.open(TrainConfig(dataset=str(tiny_dataset), **{**BASE, "overfit": 8}))
    assert asked == [[*range(8)]]
