"""The average of the weights, the gradients' norms, and the balanced loss."""

from __future__ import annotations

import averaged_training
import keras
import numpy as np
import pytest

from train.model import packing
from train.model.loss import SparseCrossentropy, balancing_offsets
from train.model.optimizer import MeasuredAdamW
from train.model.recogniser import Recogniser, inference_network, plain
from train.model.variables import WEIGHTS, build_state, read_state, write_state


def test_the_average_is_that_of_numpy(capsys):
    averaged_training.main()
    assert capsys.readouterr().out == "tensorflow 8\n"  # BatchNorm's statistics among them


@pytest.mark.parametrize("large", [1, 1 << 16])  # each weight by itself, or all in one vector
def test_an_average_is_kept_by_variable(large, monkeypatch):
    """In the order that checkpoints always had: whatever is packed, older runs go on."""
    monkeypatch.setattr(packing, "_LARGE", large)

    def made():
        model, average = (averaged_training.network("float32") for _ in range(2))
        model = Recogniser(model.input, model.output, average=average, ema=0.5)
        model.compile(keras.optimizers.SGD(0.5), loss={"y0": SparseCrossentropy()})
        build_state(model)
        return model

    model = made()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=array.shape) for array in model.get_weights()])
    model.averaging.restart()
    model.averaging.move()
    averaged = [np.array(weight) for weight in inference_network(model).weights]
    own = [np.array(weight) for weight in plain(model).weights]
    is_trained = [weight.trainable for weight in plain(model).weights]
    expected = [one for one, trained in zip(averaged, is_trained, strict=True) if trained]
    for one, other, trained in zip(averaged, own, is_trained, strict=True):
        expected += [] if trained else [one, other]
    arrays = read_state(model)
    stored = [array for name, array in arrays.items() if name.startswith("non_trainable/")]
    for one, other in zip(stored, [*expected, 1], strict=True):
        np.testing.assert_array_equal(one, other)
    other = made()
    write_state(other, arrays, WEIGHTS)
    for one, weight in zip(averaged, inference_network(other).weights, strict=True):
        np.testing.assert_array_equal(one, weight)


def test_gradient_norms_are_kept_and_change_nothing():
    def step(optimizer):
        weights = [keras.Variable(np.array([3.0, 4.0])), keras.Variable(np.ones((2, 2)))]
        gradients = [np.array([0.6, 0.8], np.float32), np.full((2, 2), 3.0, np.float32)]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], weights)
        return [np.array(variable) for variable in weights]

    options = {"learning_rate": 0.1, "global_clipnorm": 1.0}
    ours, theirs = MeasuredAdamW(**options), keras.optimizers.AdamW(**options)
    for one, other in zip(step(ours), step(theirs), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(np.array(ours.gradient_norms), [1.0, 6.0])  # before clipping


def test_offsets_are_logarithms_of_shares():
    counts = np.array([70, 20, 10, 0])
    full = balancing_offsets(counts, 1.0)
    np.testing.assert_allclose(full, np.log(np.array([70, 20, 10, 0.5]) / 100.5))
    np.testing.assert_allclose(balancing_offsets(counts, 0.5), np.array(full) / 2)


def test_a_balanced_loss_is_that_of_shifted_logits():
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1])
    offsets = [0.5, -1.0, 2.0]
    shifted = SparseCrossentropy(0.1)(labels, logits + np.array(offsets, np.float32))
    assert float(SparseCrossentropy(0.1, offsets)(labels, logits)) == pytest.approx(float(shifted))
    config = SparseCrossentropy(0.1, offsets).get_config()
    assert SparseCrossentropy.from_config(config).offsets == offsets


def test_balancing_reads_a_rare_class_where_the_image_does_not_tell():
    """Nine in ten records are of class 0, and images show nothing: each class is as good."""
    labels = np.array([0] * 90 + [1] * 10)
    bias = np.zeros(2)
    offsets = np.array(balancing_offsets(np.bincount(labels), 1.0))
    for _ in range(2_000):
        shifted = np.exp(bias + offsets)
        bias -= 0.1 * (shifted / shifted.sum() - np.bincount(labels) / len(labels))
    assert abs(bias[0] - bias[1]) < 1e-3
