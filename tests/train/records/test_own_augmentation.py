"""`--augment`: its strengths by name, and a function of the user's."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from train_cases import learn, train

from train import load_numpy
from train.audit.fold_runs import train_folds
from train.config import TrainConfig
from train.errors import UsageError
from train.records.augment import augment
from train.records.augmentation_draws import STRENGTHS
from train.records.draws import Draws
from train.runs.checkpoints.checkpoint import content_digest
from train.runs.folder import RunFolder
from train.training.job import Job
from train.training.resuming.resume import resume_training

OWN = """
import numpy as np
calls = []
def darken(images, draws):
    calls.append(draws)
    rng = draws.generator()
    return (images * rng.uniform(0.5, 1, (len(images), 1, 1, 1))).astype(np.uint8)
def unseeded(images, draws):
    return np.random.default_rng().integers(0, 256, images.shape, np.uint8)
def bright(images, draws):
    return images * 1.5
def failing(images, draws):
    raise KeyError("a\\x1b[31m")
def late(images, draws):
    if draws.step > 0:
        raise KeyError("late")
    return images
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A module in the current folder."""
    (tmp_path / "tests_augment.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("tests_augment", None)
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path)]


def first_images(dataset, asked) -> np.ndarray:
    return next(iter(load_numpy(str(dataset), "train", 16, augment=asked)))[0]


@pytest.mark.parametrize("name", STRENGTHS)
def test_a_strength_by_name(name, small_dataset):
    plain = first_images(small_dataset, False)
    draws = Draws(seed=0, epoch=0, step=0, first=0, count=16)
    expected = augment(plain, draws, STRENGTHS[name])
    np.testing.assert_array_equal(first_images(small_dataset, name), expected)


def test_the_default_by_its_other_name_and_none(small_dataset):
    one, other = first_images(small_dataset, True), first_images(small_dataset, "default")
    np.testing.assert_array_equal(one, other)
    one, other = first_images(small_dataset, False), first_images(small_dataset, "none")
    np.testing.assert_array_equal(one, other)


def test_a_function_by_name(small_dataset):
    named = first_images(small_dataset, "tests_augment:darken")
    np.testing.assert_array_equal(
        named, first_images(small_dataset, sys.modules["tests_augment"].darken)
    )
    assert 0.5 < named.mean() / first_images(small_dataset, False).mean() < 1


def test_names_that_are_none(small_dataset):
    with pytest.raises(UsageError) as refused:
        TrainConfig(dataset="strips", augment="weak")
    assert str(refused.value) == (
        "--augment must be one of none, light, default, strong, or module:function, got 'weak'."
    )
    with pytest.raises(UsageError) as refused:
        first_images(small_dataset, "weak")
    assert str(refused.value) == (
        "augment must be one of none, light, default, strong, module:function, or a function, "
        "got 'weak'."
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("tests_nowhere:f", "module 'tests_nowhere' cannot be imported: ModuleNotFoundError: No "
         "module named 'tests_nowhere'"),
        ("tests_augment:f", "tests_augment has no function 'f'. Write it as module:function."),
        ("tests_augment:bright", "must return uint8 of shape (4, 16, 64, 3), got float64 of "
         "shape (4, 16, 64, 3)."),
        ("tests_augment:failing", "failed when called with (images, draws): KeyError: "
         r"'a\x1b[31m'"),
        ("tests_augment:unseeded", "gave other images when it was called again with equal draws, "
         "so no resume could repeat it. Take all random numbers from `draws`: draws.uniform, "
         "draws.noise or draws.generator()."),
    ],
)  # fmt: skip
def test_a_function_that_does_not_fit_is_refused_before_there_is_a_run(
    function, message, tiny_dataset, tmp_path
):
    with pytest.raises(UsageError) as refused:
        learn(tiny_dataset, tmp_path / "run", augment=function)
    between = " " if message.startswith("must") else ": "
    assert str(refused.value) == f"--augment {function}{between}{message}"
    assert not (tmp_path / "run").exists()


def test_a_function_that_fails_later_is_one_line(tiny_dataset, tmp_path):
    words = ("--batch-size", 8, "--model", "cnn", "--width", 0.125, "--epochs", 1)
    code, _, lines = train(
        "fit", tiny_dataset, "--run", "run", "--augment", "tests_augment:late", *words, cwd=tmp_path
    )
    assert code == 2
    assert lines[-1] == (
        "train: error: --augment tests_augment:late: failed when called with (images, draws): "
        "KeyError: 'late'"
    )
    assert not any("Traceback" in line for line in lines)


def test_the_place_in_the_run_is_told_and_a_resume_repeats_it(tiny_dataset, tmp_path):
    own = {"augment": "tests_augment:darken", "batch_size": 20}
    whole = learn(tiny_dataset, tmp_path / "whole", epochs=2, **own)
    calls = {(draws.epoch, draws.step) for draws in sys.modules["tests_augment"].calls}
    assert calls == {(epoch, step) for epoch in range(2) for step in range(4)}
    learn(tiny_dataset, tmp_path / "run", epochs=2, target="character_accuracy=0.0001", **own)
    changes = {"target": "exact=1", "augment": own["augment"]}
    assert resume_training(str(tmp_path / "run"), changes).epochs == 2
    resumed = RunFolder.open(str(tmp_path / "run"))
    for ours, theirs in zip(
        whole.load_model("last.keras").get_weights(),
        resumed.load_model("last.keras").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_resume_imports_no_function_that_is_not_named_again(tiny_dataset, tmp_path):
    run = tmp_path / "run"
    learn(tiny_dataset, run, augment="tests_augment:darken")
    del sys.modules["tests_augment"]
    with pytest.raises(UsageError) as refused:
        resume_training(str(run), {"epochs": 2})
    assert str(refused.value) == (
        f"{run}: its training images are changed by tests_augment:darken, which is imported only "
        "if it is named. If you trust it, repeat --augment tests_augment:darken."
    )
    with pytest.raises(UsageError) as refused_too:
        folder = RunFolder.open(str(run))
        train_folds(folder, str(tmp_path / "folds"), 2, str(tiny_dataset), None, None, print)
    assert str(refused_too.value) == str(refused.value)
    assert "tests_augment" not in sys.modules and not (tmp_path / "folds").exists()
    changes = {"epochs": 2, "augment": "tests_augment:darken"}
    assert resume_training(str(run), changes).epochs == 2


def test_overfitting_changes_no_image(tiny_dataset):
    job = Job.open(TrainConfig(dataset=str(tiny_dataset), overfit=4, augment="tests_augment:late"))
    assert job.training.augment is None and "tests_augment" not in sys.modules


@pytest.mark.parametrize(("then", "now"), [(True, "default"), (False, "none")])
def test_a_run_of_an_earlier_version_goes_on(then, now, tiny_dataset, tmp_path):
    run = learn(tiny_dataset, tmp_path / "run", augment=now)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["augment"] == now
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "augment": then}))
    for path in (tmp_path / "run" / "checkpoints").glob("*/checkpoint.json"):
        content = json.loads(path.read_text())
        del content["sha256"]
        content["options"]["augment"] = then
        path.write_text(json.dumps({**content, "sha256": content_digest(content)}))
    assert run.config()["augment"] == now
    assert resume_training(str(tmp_path / "run"), {"epochs": 2}).epochs == 2
