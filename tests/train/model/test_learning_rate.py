"""The learning rate that is told is the one that the optimizer uses."""

from __future__ import annotations

import numpy as np
import pytest

from train.config import TrainConfig
from train.model.learning_rate import learning_rates, schedule


@pytest.mark.parametrize(
    ("epochs", "steps", "warmup"), [(3, 40, 0.0), (2, 61, 0.1), (1, 1, 0.0), (1, 2, 0.9)]
)
def test_the_rate_that_is_told_is_that_of_the_optimizer(epochs, steps, warmup):
    """To the last bit, but where the cosine differs in its last."""
    config = TrainConfig(dataset="d", epochs=epochs, warmup=warmup, learning_rate=2.3e-3)
    used, told = schedule(config, steps), learning_rates(config, steps)
    pairs = [(float(used(step)), told(step)) for step in range(epochs * steps + 2)]
    last_bit = np.finfo(np.float32).eps / 2  # of numbers between 0.5 and 1
    assert max(abs(one - other) for one, other in pairs) <= config.learning_rate * last_bit
    assert sum(one == other for one, other in pairs) >= 0.9 * len(pairs)


def test_a_rate_is_a_number_of_python():
    """It goes to CSV, to TensorBoard and to a line."""
    config = TrainConfig(dataset="d", epochs=2, warmup=0.25)
    assert [type(learning_rates(config, 10)(step)) for step in (0, 5, 19, 20, 999)] == [float] * 5
