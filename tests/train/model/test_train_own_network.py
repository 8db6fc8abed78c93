"""`--model module:function`: a network of the user's own."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace

import keras
import numpy as np
import pytest
from resume_cases import at_step, send
from train_cases import learn

from train.cli.startup import import_model
from train.errors import DivergedError, FormatError, ShardfeedError, UsageError


@pytest.fixture(autouse=True)
def own_networks(tmp_path, monkeypatch):
    """Modules in the current folder, with networks such as a user would write."""
    (tmp_path / "tests_diverge.py").write_text(
        "import keras\n"
        "def build(image_shape, outputs, *, seed):\n"
        "    x = keras.Input(image_shape, dtype='uint8')\n"
        "    y = keras.layers.Rescaling(float('nan'))(x)\n"
        "    y = keras.layers.GlobalAveragePooling2D()(y)\n"
        "    return keras.Model(x, {n: keras.layers.Dense(c, name=n)(y)"
        " for n, c in outputs.items()})\n"
        "class AtStep4(keras.layers.Layer):\n"
        "    def build(self, shape):\n"
        "        self.steps = self.add_weight(shape=(), initializer='zeros', trainable=False)\n"
        "    def call(self, x, training=False):\n"
        "        if training:\n"
        "            self.steps.assign_add(1)\n"
        "        return keras.ops.where(self.steps == 4, float('nan'), x)\n"
        "def later(image_shape, outputs, *, seed):\n"
        "    x = keras.Input(image_shape, dtype='uint8')\n"
        "    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))\n"
        "    y = AtStep4()(y)\n"
        "    return keras.Model(x, {n: keras.layers.Dense(c, name=n)(y)"
        " for n, c in outputs.items()})\n"
    )
    (tmp_path / "tests_own.py").write_text(
        "import keras\n"
        "def build(image_shape, outputs, *, seed):\n"
        "    keras.utils.set_random_seed(seed)\n"
        "    x = keras.Input(image_shape, dtype='uint8')\n"
        "    y = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x))\n"
        "    return keras.Model(x, {n: keras.layers.Dense(c, name=n)(y)"
        " for n, c in outputs.items()})\n"
        "@keras.saving.register_keras_serializable('tests_own')\n"
        "class Half(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return x / 2\n"
        "def own_layer(image_shape, outputs, *, seed):\n"
        "    model = build(image_shape, outputs, seed=seed)\n"
        "    return keras.Model(model.input, {n: Half()(y) for n, y in model.output.items()})\n"
        "def wrong(image_shape, outputs, *, seed):\n"
        "    x = keras.Input(image_shape)\n"
        "    return keras.Model(x, keras.layers.Flatten()(x))\n"
        "def failing(image_shape, outputs, *, seed):\n"
        "    raise KeyError('depth')\n"
    )
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("tests_diverge", "tests_own"):
        sys.modules.pop(name, None)
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path)]


def test_a_network_of_ones_own(tiny_dataset, tmp_path):
    run = learn(tiny_dataset, tmp_path / "run", model="tests_own:build")
    model = run.load_model()
    assert [layer.name for layer in model.layers if layer.name.startswith("y")] == [
        "y0", "y1", "y2", "y3",
    ]  # fmt: skip
    assert list(model.output) == ["y0", "y1", "y2", "y3"]


def test_layers_of_ones_own_are_known_where_the_module_is_named(tiny_dataset, tmp_path):
    """The registration goes with the module, as it would in another process."""
    run = learn(tiny_dataset, tmp_path / "run", model="tests_own:own_layer")
    registered = keras.saving.get_custom_objects()
    del registered["tests_own>Half"]
    with pytest.raises(FormatError) as refused:
        run.load_model()
    assert str(refused.value) == (
        f"{run.file('best.keras')}: cannot be loaded as a model. If its layers are those of "
        "tests_own:own_layer, register them and repeat --model tests_own:own_layer."
    )
    del sys.modules["tests_own"]
    import_model(Namespace(model="tests_own:own_layer"))
    assert list(run.load_model().output) == ["y0", "y1", "y2", "y3"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tests_absent:build",
            "--model tests_absent:build: module 'tests_absent' cannot be imported: "
            "ModuleNotFoundError: No module named 'tests_absent'",
        ),
        (
            "tests_own:absent",
            "--model tests_own:absent: tests_own has no function 'absent'. "
            "Write it as module:function.",
        ),
        (
            "tests_own:wrong",
            "--model tests_own:wrong: its output must be a dict with the keys y0, y1, y2, y3.",
        ),
        (
            "tests_own:failing",
            "--model tests_own:failing: failed when called with (image_shape, outputs, "
            "seed=seed): KeyError: 'depth'",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused(name, message, tiny_dataset, tmp_path):
    with pytest.raises(UsageError) as refused:
        learn(tiny_dataset, tmp_path / "run", model=name)
    assert str(refused.value) == message
    assert not (tmp_path / "run").exists()


def test_a_resume_imports_no_module_that_is_not_named_again(tiny_dataset, tmp_path):
    from train.training.resuming.resume import resume_training

    learn(tiny_dataset, tmp_path / "run", model="tests_own:build")
    with pytest.raises(ShardfeedError) as refused:
        resume_training(str(tmp_path / "run"), {"epochs": 2})
    assert str(refused.value) == (
        f"{tmp_path / 'run'}: its model is built by tests_own:build, which is imported only if "
        "it is named. If you trust it, repeat --model tests_own:build."
    )
    changes = {"epochs": 2, "model": "tests_own:build"}
    assert resume_training(str(tmp_path / "run"), changes).epochs == 2


def test_a_loss_that_is_no_number_saves_its_batch(tiny_dataset, sample_rows, tmp_path):
    from train.input.open_source import open_source

    with pytest.raises(DivergedError) as diverged:
        learn(tiny_dataset, tmp_path / "run", model="tests_diverge:build")
    path = tmp_path / "run" / "diverged.npz"
    with np.load(path) as stored:
        named = [f"row {stored['rows'][i]} {stored['paths'][i]}" for i in range(3)]
        assert str(diverged.value) == (
            f"the loss became nan at step 1 (epoch 1, step 1); its batch is in {path} "
            f"({', '.join(named)}, ...). Lower --learning-rate, or look at these images."
        )
        source = open_source(str(tiny_dataset), "train", 45, 0)
        images, *labels = source.batch(0, 0)
        np.testing.assert_array_equal(stored["images"], images)
        np.testing.assert_array_equal(stored["labels"], np.stack(labels, axis=1))
        expected = source.reader.rows(source.order.records(0, 0, 45))
        np.testing.assert_array_equal(stored["rows"], expected)
        assert stored["paths"].tolist() == [sample_rows[row]["path"] for row in expected]


def test_what_diverged_between_two_looks_is_named_and_never_kept(
    tiny_dataset, tmp_path, monkeypatch
):
    """The loss is looked at after 10 steps; before that, checkpoints and a stop are asked for."""
    at_step(monkeypatch, 5, send(signal.SIGTERM))
    with pytest.raises(DivergedError) as diverged:
        learn(
            tiny_dataset,
            tmp_path / "run",
            model="tests_diverge:later",
            batch_size=5,
            checkpoint_minutes=0,
            keep_checkpoints=20,
        )
    assert str(diverged.value).startswith("the loss became nan at step 4 (epoch 1, step 4); its ")
    with np.load(tmp_path / "run" / "diverged.npz") as stored:
        assert (stored["epoch"], stored["step"]) == (0, 3)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == [f"epoch-0000-step-{step:08}" for step in (1, 2, 3)]
