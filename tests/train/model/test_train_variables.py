"""All variables of a training become arrays and come back; what does not fit is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from quick_network import build_model

from train.errors import CheckpointError
from train.model.loss import SparseCrossentropy
from train.model.recogniser import Recogniser
from train.model.variables import METRICS, WEIGHTS, build_state, read_state, write_state

EVERYTHING = (*WEIGHTS, *METRICS)


def compiled(classes=5, seed=0):
    network = build_model(
        (8, 16, 1), {"y0": classes, "y1": classes}, name="cnn", head="shared", width=0.25, seed=seed
    )
    model = Recogniser(network.input, network.output)
    model.compile(
        keras.optimizers.AdamW(1e-3), loss={n: SparseCrossentropy() for n in model.output}
    )
    build_state(model)
    return model


def train_a_step(model):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (4, 8, 16, 1), np.uint8)
    labels = {name: np.arange(4, dtype=np.int32) for name in ("y0", "y1")}
    model.train_on_batch(images, labels)


def test_a_step_makes_no_variable_that_was_not_there():
    model = compiled()
    before = read_state(model)
    train_a_step(model)
    after = read_state(model)
    assert list(before) == list(after)
    changed = {
        name.partition("/")[0] for name in after if before[name].tobytes() != after[name].tobytes()
    }
    assert changed == {"trainable", "non_trainable", "optimizer", "metrics"}


def test_nothing_of_keras_state_is_left_out():
    model = compiled()
    tree = model.get_state_tree("numpy_array")
    assert len(read_state(model)) == sum(map(leaves, tree.values()))


def leaves(tree):
    return sum(map(leaves, tree.values())) if isinstance(tree, dict) else 1


def test_another_model_of_the_same_process_takes_it():
    """Keras numbers its paths on, so that these are not the same in both."""
    model, other = compiled(), compiled(seed=1)
    train_a_step(model)
    arrays = read_state(model)
    write_state(other, arrays, EVERYTHING)
    train_a_step(model)
    train_a_step(other)  # with the same dropout
    one, two = read_state(model), read_state(other)
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in two.items()
    }


def test_what_is_read_is_a_copy():
    model = compiled()
    arrays = read_state(model)
    before = arrays["trainable/0"].copy()
    train_a_step(model)
    assert arrays["trainable/0"].tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("change", "group", "told"),
    [
        ("shape", "non-trainable", "is float32 [2], expected float32 "),
        ("dtype", "non-trainable", "is float64 ["),
        ("missing", "trainable", "is missing (there are "),
        ("more", "trainable", "expected missing (there are "),
    ],
)
def test_another_models_arrays_are_refused(change, group, told):
    model = compiled()
    arrays = read_state(model)
    if change == "shape":
        arrays["non_trainable/0"] = np.zeros(2, np.float32)
    elif change == "dtype":
        arrays["non_trainable/0"] = arrays["non_trainable/0"].astype(np.float64)
    elif change == "missing":
        del arrays[[name for name in arrays if name.startswith("trainable/")][-1]]
    else:
        arrays["trainable/99"] = np.zeros(2, np.float32)
    before = read_state(model)
    train_a_step(model)
    trained = read_state(model)
    with pytest.raises(CheckpointError) as raised:
        write_state(model, {**before, **arrays} if change != "missing" else arrays, EVERYTHING)
    assert f"the checkpoint's {group} variables are not those of this model" in str(raised.value)
    assert told in str(raised.value)
    assert read_state(model)["optimizer/0"] == trained["optimizer/0"]  # nothing was set
