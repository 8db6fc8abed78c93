"""A device makes the bytes of the host: `train.records.augment` is the truth."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from jax_cases import on_jax

from train.model.device_augmentation.augment import augment_on_device, augmented
from train.model.device_augmentation.philox import _product
from train.records.augment import augment
from train.records.augmentation_draws import DEFAULT, STRENGTHS, Strength, draw_changes
from train.records.draws import Draws

in_graph = tf.function(augment_on_device)
compiled = tf.function(augment_on_device, jit_compile=True)

SHAPES = [
    (2, 8, 16, 1),
    (3, 5, 7, 3),  # a number of bytes that 8 does not divide
    (2, 1, 1, 4),  # nothing to mix with
    (2, 8, 1, 2),
    (3, 1, 9, 3),
    (2, 32, 128, 3),
]


def assert_equal(images: np.ndarray, draws: Draws, strength: Strength, change) -> None:
    expected = augment(images, draws, strength)
    changed = np.asarray(change(images, draw_changes([draws], images.shape[1:], strength)))
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, expected)
    assert images.size < 100 or not np.array_equal(expected, images)


def images_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape):
    strength = [*STRENGTHS.values()][SHAPES.index(shape) % len(STRENGTHS)]
    draws = Draws(seed=1, epoch=2, step=3, first=4, count=len(images_of(shape)))
    assert_equal(images_of(shape), draws, strength, augment_on_device)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    first=st.integers(0, 2**32 - 3),
    strength=st.sampled_from([*STRENGTHS.values(), Strength(blur_share=1.0, erase_share=1.0)]),
)
def test_every_place_in_a_run(seed, epoch, step, first, strength):
    draws = Draws(seed=seed, epoch=epoch, step=step, first=first, count=3)
    assert_equal(images_of((3, 9, 13, 3)), draws, strength, in_graph)


@pytest.mark.parametrize(
    ("number", "multiplier"),
    [
        (2**64 - 1, 2**64 - 1),
        (2**64 - 1, 2**64 - 2**32 - 1),
        (0xD809A062FFFFFFFF, 0x544965ABD9D2685F),  # four of five sums are carried
        (2**32 + 1, 2**64 - 2**32 + 1),  # the fifth is, as one in 2**31 is with random numbers
    ],
)
def test_a_product_carries(number, multiplier):
    halves = [tf.constant(half, tf.uint32) for half in (number & 0xFFFFFFFF, number >> 32)]
    limbs = [int(half) for pair in _product(tuple(halves), multiplier) for half in pair]
    assert sum(limb << 32 * at for at, limb in enumerate(limbs)) == number * multiplier


def test_compiled_by_xla():
    draws = Draws(seed=1, epoch=2, step=3, first=4, count=64)
    assert_equal(images_of((64, 8, 16, 1)), draws, DEFAULT, compiled)


def test_on_jax():
    """Also where four devices share the batch, and then none waits for another."""
    pytest.importorskip("jax", reason="jax is not installed")
    done = on_jax("-c", ON_JAX, env={"XLA_FLAGS": "--xla_force_host_platform_device_count=4"})
    assert done.stdout == "True 4 []\n", done.stderr


ON_JAX = """
import re
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from train.model.device_augmentation.augment import augment_on_device
from train.records.augment import augment
from train.records.augmentation_draws import STRENGTHS, draw_changes
from train.records.draws import Draws
images = np.random.default_rng(0).integers(0, 256, (8, 16, 24, 3), dtype=np.uint8)
draws = Draws(seed=1, epoch=2, step=3, first=4, count=8)
changes = draw_changes([draws], images.shape[1:], STRENGTHS["strong"])
split = NamedSharding(Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec("batch"))
batch = jax.device_put((images, changes), split)
step = jax.jit(augment_on_device).lower(*batch).compile()
changed = step(*batch)
collectives = re.findall("all-[a-z]+|collective-[a-z]+|reduce-scatter", step.as_text())
equal = np.array_equal(changed, augment(images, draws, STRENGTHS["strong"]))
print(equal, len(changed.sharding.device_set), collectives)
"""


def test_a_batch_that_says_nothing_stays_as_it_is():
    images, labels = images_of((2, 8, 16, 1)), {"y0": np.zeros(2, np.int32)}
    one, other = augmented((images, labels))
    assert one is images and other is labels
