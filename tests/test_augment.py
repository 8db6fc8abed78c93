import numpy as np
import pytest

from train import augment as module
from train.augment import augment
from train.draws import Draws


def batch(shape: tuple[int, ...] = (8, 32, 128, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def draws_of(images: np.ndarray, **place: int) -> Draws:
    return Draws(**{"seed": 0, "epoch": 0, "step": 0, "first": 0, "count": len(images)} | place)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Turns every strength off; a test sets those that it looks at."""
    for name in ("SHIFT_X", "SHIFT_Y", "SCALE", "SHEAR", "CONTRAST", "BRIGHTNESS", "NOISE"):
        monkeypatch.setattr(module, name, 0.0)
    return monkeypatch


@pytest.mark.parametrize(
    "shape",
    [
        (8, 32, 128, 3),
        (1, 16, 16, 1),
        (3, 5, 7, 3),  # a number of bytes that 8 does not divide
        (2, 1, 1, 4),
        (0, 32, 128, 3),
    ],
)
def test_shape_and_dtype_stay(shape: tuple[int, ...]) -> None:
    images = batch(shape)
    changed = augment(images, draws_of(images))
    assert (changed.dtype, changed.shape) == (np.uint8, shape)


def test_the_input_is_left_alone() -> None:
    images = batch()
    images.flags.writeable = False
    before = images.copy()
    changed = augment(images, draws_of(images))
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(changed, images)


def test_equal_arguments_give_equal_bytes() -> None:
    images = batch()
    draws = draws_of(images, seed=1, epoch=2, step=3)
    first = augment(images, draws)
    np.testing.assert_array_equal(first, augment(images, draws))
    np.testing.assert_array_equal(first, augment(np.asfortranarray(images), draws))


def test_ranks_side_by_side_are_the_global_batch() -> None:
    images = batch()
    whole = augment(images, draws_of(images, step=3))
    for first, stop in ((0, 3), (3, 4), (4, 8)):
        part = images[first:stop]
        changed = augment(part, draws_of(part, step=3, first=first))
        np.testing.assert_array_equal(changed, whole[first:stop])


@pytest.mark.parametrize("other", [{"seed": 2}, {"epoch": 3}, {"step": 4}, {"first": 5}])
def test_it_depends_on_the_place_in_the_run(other: dict[str, int]) -> None:
    images = batch()
    place = {"seed": 1, "epoch": 2, "step": 3, "first": 4}
    assert not np.array_equal(
        augment(images, draws_of(images, **place)),
        augment(images, draws_of(images, **place | other)),
    )


def test_each_image_is_changed_in_its_own_way() -> None:
    same = np.repeat(batch((1, 32, 128, 3)), 4, axis=0)
    changed = augment(same, draws_of(same))
    assert len({image.tobytes() for image in changed}) == 4


def test_without_strength_nothing_changes(still: pytest.MonkeyPatch) -> None:
    images = batch()
    np.testing.assert_array_equal(augment(images, draws_of(images)), images)


@pytest.mark.parametrize(
    ("strength", "value", "farthest"),
    [
        ("SHIFT_X", 0.03, (0, 4)),  # 3 % of 128 columns
        ("SHIFT_Y", 0.06, (2, 0)),  # 6 % of 32 rows
        ("SCALE", 0.06, (1, 4)),  # 6 % of half the size
        ("SHEAR", 0.20, (0, 3)),  # a fifth of 15.5 rows
    ],
)
def test_pixels_move_a_little_and_never_flip(
    still: pytest.MonkeyPatch, strength: str, value: float, farthest: tuple[int, int]
) -> None:
    still.setattr(module, strength, value)
    rows, columns = np.indices((32, 128)).astype(np.uint8)
    images = np.repeat(np.stack([rows, columns], axis=2)[None], 64, axis=0)
    moved = augment(images, draws_of(images)).astype(int)
    distance = np.abs(moved - images).max(axis=(0, 1, 2))
    assert tuple(distance) == farthest
    assert (np.diff(moved[..., 0], axis=1) >= 0).all()  # rows stay in order
    assert (np.diff(moved[..., 1], axis=2) >= 0).all()  # and so do columns


@pytest.mark.parametrize(
    ("strength", "value", "largest"),
    [
        ("CONTRAST", 0.30, 0.30 * 128),
        ("BRIGHTNESS", 30.0, 30.0),
        ("NOISE", 24.0, 24.0),
    ],
)
def test_tones_change_within_their_range(
    still: pytest.MonkeyPatch, strength: str, value: float, largest: float
) -> None:
    still.setattr(module, strength, value)
    images = batch((64, 32, 32, 3))
    change = augment(images, draws_of(images)).astype(int) - images
    assert 0.8 * largest < np.abs(change).max() <= largest + 1  # 1: rounding
    assert change.min() < 0 < change.max()


def test_tones_stop_at_black_and_white(still: pytest.MonkeyPatch) -> None:
    still.setattr(module, "BRIGHTNESS", 30.0)
    images = np.zeros((64, 8, 8, 1), np.uint8)
    images[:, 4:] = 255
    changed = augment(images, draws_of(images))
    assert changed[:, :4].max() <= 30
    assert changed[:, 4:].min() >= 225


def test_draws_must_be_of_these_images() -> None:
    with pytest.raises(ValueError) as caught:
        augment(batch(), draws_of(batch(), count=9))
    assert str(caught.value) == "`draws` are for 9 images, got 8."


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "float32 with shape (2, 8, 8, 3)"),
        (np.zeros((8, 8, 3), np.uint8), "uint8 with shape (8, 8, 3)"),
    ],
)
def test_only_uint8_batches(images: np.ndarray, got: str) -> None:
    with pytest.raises(ValueError) as caught:
        augment(images, draws_of(images))
    assert str(caught.value) == (
        f"`images` must be uint8 with shape (batch, height, width, channels), got {got}."
    )
