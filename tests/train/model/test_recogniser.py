"""The average of the weights, the gradients' norms, and the balanced loss."""

from __future__ import annotations

import averaged_training
import keras
import numpy as np
import pytest

from train.model.loss import SparseCrossentropy, balancing_offsets
from train.model.optimizer import MeasuredAdamW


def test_the_average_is_that_of_numpy(capsys):
    averaged_training.main()
    assert capsys.readouterr().out == "tensorflow 8\n"  # BatchNorm's statistics among them


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
