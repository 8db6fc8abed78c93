import itertools
import subprocess
import sys
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from convert.plan.labels.output_names import name_problem
from train.config import ModelName
from train.model.loss import SparseCrossentropy
from train.model.metrics import exact_match
from train.model.networks.by_name import build_model
from train.model.recogniser import Recogniser, plain

STRIP = (32, 128, 3)


def digits(num_outputs: int) -> dict[str, int]:
    return {f"y{position}": 10 for position in range(num_outputs)}


def images(shape: tuple[int, int, int], batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, *shape), dtype=np.uint8)


@pytest.fixture
def mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize(
    ("image_shape", "num_outputs"),
    [
        (STRIP, 4),
        (STRIP, 12),  # more outputs than names sort by: y10 comes after y9
        ((16, 16, 1), 1),
        ((2, 4, 3), 6),  # more outputs than columns
        ((50, 200, 3), 5),  # sizes that halving does not divide
        ((64, 256, 3), 4),
        ((160, 90, 3), 1),  # rows need more poolings than there are places
    ],
)
def test_shapes(image_shape: tuple[int, int, int], num_outputs: int) -> None:
    outputs = digits(num_outputs)
    model = build_model(image_shape, outputs, seed=0)
    logits = model(images(image_shape))
    assert model.input.dtype == "uint8"
    assert list(model.output) == list(logits) == list(outputs)
    assert {tuple(value.shape) for value in logits.values()} == {(2, 10)}
    assert all(np.isfinite(value).all() for value in logits.values())


@pytest.mark.parametrize("image_shape", [STRIP, (64, 256, 3), (128, 512, 3), (256, 256, 3)])
def test_large_images_are_pooled_to_a_few_rows(image_shape: tuple[int, int, int]) -> None:
    model = build_model(image_shape, digits(4), seed=0)
    _, rows, columns, _ = model.get_layer("columns_conv").input.shape
    assert rows <= 4
    assert 12 <= columns <= 32  # three for each output, or up to twice that


def test_equal_seeds_build_equal_models() -> None:
    first, second = (build_model(STRIP, digits(4), seed=3) for _ in range(2))
    assert [v.path for v in first.weights] == [v.path for v in second.weights]
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    x = images(STRIP)
    one, other = first(x, training=True), second(x, training=True)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])  # dropout drew the same numbers


def test_the_seed_reaches_every_kernel_and_the_dropout() -> None:
    first, second = (build_model(STRIP, digits(4), seed=seed) for seed in (3, 4))
    for one, other in zip(first.variables, second.variables, strict=True):
        if one.name in ("kernel", "seed_generator_state"):
            assert not np.array_equal(one, other), one.path


def test_no_two_kernels_begin_alike() -> None:
    model = build_model((16, 16, 3), digits(2), name="resnet18", width=0.25, seed=0)
    kernels = [v.numpy() for v in model.variables if v.name == "kernel"]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


@pytest.mark.usefixtures("mixed_precision")
@pytest.mark.parametrize("head", ["shared", "separate"])
def test_logits_are_float32_in_mixed_precision(head: str) -> None:
    model = build_model((16, 32, 3), digits(2), head=head, seed=0)
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.output.values()} == {"float32"}
    logits = model(images((16, 32, 3)))
    assert {keras.backend.standardize_dtype(v.dtype) for v in logits.values()} == {"float32"}


def test_a_separate_head_has_its_own_classes() -> None:
    model = build_model((16, 32, 3), {"suit": 4, "rank": 13}, head="separate", seed=0)
    logits = model(images((16, 32, 3)))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "suit": (2, 4),
        "rank": (2, 13),
    }


def test_a_shared_head_is_one_classifier() -> None:
    four = build_model(STRIP, dict.fromkeys("abcd", 1000), seed=0).count_params()
    eight = build_model(STRIP, dict.fromkeys("abcdefgh", 1000), seed=0).count_params()
    assert eight - four < 10_000  # where to look, but no classifier of 256 x 1,000


def test_outputs_look_at_their_own_places_first() -> None:
    model = build_model(STRIP, digits(4), seed=0)
    look = keras.Model(model.input, model.get_layer("read_weights").output)
    weights = np.asarray(look(np.zeros((1, *STRIP), np.uint8)))[0]  # columns, 4 x 3 reads
    places = (np.arange(16) + 0.5) @ weights / 16
    np.testing.assert_allclose(places, (np.arange(12) + 0.5) / 12, atol=0.03)


def test_outputs_find_their_places_by_counting() -> None:
    """Where twice as much text passes in a column, the text ends at half the width."""
    model = build_model(STRIP, digits(4), seed=0)
    pace = model.get_layer("pace")
    pace.kernel.assign(np.zeros_like(pace.kernel))
    pace.bias.assign([np.log(np.e**2 - 1)])  # softplus makes it 2
    look = keras.Model(model.input, model.get_layer("read_weights").output)
    weights = np.asarray(look(np.zeros((1, *STRIP), np.uint8)))[0]
    places = (np.arange(16) + 0.5) @ weights / 16
    np.testing.assert_allclose(places, (np.arange(12) + 0.5) / 24, atol=0.03)
    end = keras.Model(model.input, model.get_layer("read_end").output)
    left = np.asarray(end(np.zeros((1, *STRIP), np.uint8)))[0, :, 0]
    np.testing.assert_allclose(left, np.tanh(8 - (np.arange(4) + 0.5)), rtol=1e-4)


def test_no_layer_has_a_name_that_an_output_can_have() -> None:
    outputs = {"y0": 5, "other": 5}
    for name, head in itertools.product(get_args(ModelName), ("shared", "separate")):
        model = build_model(STRIP, outputs, name=name, head=head, seed=0)
        layers = {layer.name for layer in model.layers} - set(outputs)
        assert {layer for layer in layers if name_problem(layer, outputs) is None} == set()


@pytest.mark.parametrize(
    ("outputs", "head", "message"),
    [
        ({}, "shared", "`outputs` must name at least one output."),
        (
            {"字": 10},  # TensorFlow refuses it as a scope, in the middle of the first step
            "shared",
            "The output '字' cannot be built: an output's name must be of ASCII letters, digits "
            "and _ . > -, and not begin with _ > or -.",
        ),
        ({"y0": 10}, "both", "`head` must be 'shared' or 'separate', got 'both'."),
        (
            {"y0": 10, "y1": 11},
            "shared",
            "A shared head needs equally many classes in all outputs, "
            "got {'y0': 10, 'y1': 11}. Use head='separate'.",
        ),
    ],
)
def test_what_cannot_be_built(outputs: dict[str, int], head: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        build_model(STRIP, outputs, head=head, seed=0)
    assert str(caught.value) == message


LOAD = """
import sys
import keras, numpy as np
for file in sys.argv[2:]:
    model = keras.models.load_model(file, safe_mode=True)
    np.savez(file + ".npz", **model.predict(np.load(sys.argv[1]), verbose=0))
assert "train" not in sys.modules
"""


@pytest.mark.long  # test_train_run does it with what a training has saved
# TensorFlow's variables do not know NumPy 2's `copy`; every `save` of Keras 3.15 runs into it.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
def test_saved_models_load_without_this_package(tmp_path: Path) -> None:
    x = images((16, 64, 3))
    np.save(tmp_path / "x.npy", x)
    expected = {}
    for head in ("shared", "separate"):
        model = build_model((16, 64, 3), digits(11), head=head, seed=0, width=0.25)
        recogniser = Recogniser(model.input, model.output)
        plain(recogniser).save(tmp_path / f"{head}.keras")
        expected[head] = recogniser(x, training=False)
    files = [str(tmp_path / f"{head}.keras") for head in expected]
    # -I: neither the working directory nor PYTHONPATH offers `train`.
    command = [sys.executable, "-I", "-c", LOAD, str(tmp_path / "x.npy"), *files]
    subprocess.run(command, check=True, timeout=300)
    for head, outputs in expected.items():
        with np.load(tmp_path / f"{head}.keras.npz") as logits:
            assert list(logits) == list(outputs) == list(digits(11))
            for name, value in outputs.items():
                np.testing.assert_allclose(logits[name], value, rtol=1e-4, atol=1e-5)


def bars(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of two places, each with a bar at one of four heights, and the heights."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (num_images, 2), dtype=np.int32)
    x = rng.integers(0, 60, (num_images, 16, 32, 1), dtype=np.uint8)
    for image, heights in zip(x, labels, strict=True):
        for place, height in enumerate(heights):
            image[4 * height : 4 * height + 3, 16 * place + 3 : 16 * place + 13] += 120
    return x, labels


@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet10", marks=pytest.mark.long)])
def test_it_learns(name: str) -> None:
    x, labels = bars(256, seed=0)
    outputs = {"left": 4, "right": 4}
    model = build_model((16, 32, 1), outputs, name=name, seed=0, width=0.25, bottleneck=32)
    recogniser = Recogniser(model.input, model.output)
    recogniser.compile(keras.optimizers.AdamW(3e-3), loss=SparseCrossentropy(0.1))
    recogniser.fit(x, dict(zip(outputs, labels.T, strict=True)), epochs=8, verbose=0)
    x, labels = bars(100, seed=1)
    logits = recogniser(x, training=False)
    predictions = np.stack([np.argmax(logits[name], axis=1) for name in outputs], axis=1)
    assert exact_match(labels, predictions) > 0.95
