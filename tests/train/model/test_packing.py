"""Packed variables: an optimizer that updates them at once equals one that goes through them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from train.model import packing
from train.model.optimizer import MeasuredAdamW
from train.model.packing import Slice, pack, read_slices, write_slices

SHAPES = {"kernel": (3, 4), "bias": (4,), "other_kernel": (2, 2), "gamma": (), "large": (9, 9)}


@pytest.fixture
def variables(monkeypatch):
    monkeypatch.setattr(packing, "_LARGE", 80)
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=s).astype("f"), name=n) for n, s in SHAPES.items()]


def test_small_variables_of_a_kind_are_one_vector(variables):
    packs = pack(variables, lambda variable: "kernel" in variable.name)
    assert [one.indices for one in packs] == [(0, 2), (1, 3), (4,)]
    assert [one.shape for one in packs] == [(16,), (5,), (9, 9)]
    for one in packs:
        whole = one.join(variables)
        assert tuple(whole.shape) == one.shape
        for index, part in zip(one.indices, one.split(whole), strict=True):
            np.testing.assert_array_equal(part, variables[index])


def test_a_slice_is_read_and_written_alone():
    vector = keras.Variable(np.arange(6, dtype="f"))
    first, second = (Slice(variable=vector, start=start, shape=(2,)) for start in (0, 2))
    write_slices([(second, np.array([8, 9]))])
    np.testing.assert_array_equal(np.array(vector), [0, 1, 8, 9, 4, 5])
    read = read_slices([first, second])
    write_slices([(first, np.zeros(2))])
    np.testing.assert_array_equal(read, [[0, 1], [8, 9]])  # a copy


@pytest.mark.parametrize(
    "options",
    [
        {"global_clipnorm": 1.0, "weight_decay": 0.1},
        {"global_clipnorm": 1e6, "weight_decay": 0.0},  # clips nothing
        {"global_clipnorm": 1.0, "gradient_accumulation_steps": 2},
    ],
)
@pytest.mark.parametrize("missing", [None, "bias"])  # what the loss does not depend on
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_the_optimizer_is_keras_own_to_the_last_bit(variables, options, missing):
    optimizers = [kind(0.1, **options) for kind in (MeasuredAdamW, keras.optimizers.AdamW)]
    rng = np.random.default_rng(1)
    copies = [[keras.Variable(v, name=v.name) for v in variables] for _ in optimizers]
    for optimizer, copy in zip(optimizers, copies, strict=True):
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
        optimizer.build(copy)
    for _ in range(4):
        gradients = [rng.normal(size=shape).astype("f") for shape in SHAPES.values()]
        given = [
            None if name == missing else keras.ops.convert_to_tensor(gradient)
            for name, gradient in zip(SHAPES, gradients, strict=True)
        ]
        for optimizer, copy in zip(optimizers, copies, strict=True):
            optimizer.apply(given, copy)
    for one, other in zip(*copies, strict=True):
        np.testing.assert_array_equal(one, other)
    ours, theirs = optimizers[0].slices, optimizers[1].variables
    for array, variable in zip(read_slices(ours[:-1]), theirs, strict=True):
        np.testing.assert_array_equal(array, variable)  # the layout of checkpoints
    norms = [
        0.0 if name == missing else np.linalg.norm(g)
        for name, g in zip(SHAPES, gradients, strict=True)
    ]
    np.testing.assert_allclose(read_slices(ours[-1:])[0], norms, rtol=1e-5)
