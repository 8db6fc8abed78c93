import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest

from train.records import augment as module
from train.records.augment import augment
from train.records.augmentation_draws import STRENGTHS, Strength
from train.records.draws import Draws


def batch(shape: tuple[int, ...] = (8, 32, 128, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def draws_of(images: np.ndarray, **place: int) -> Draws:
    return Draws(**{"seed": 0, "epoch": 0, "step": 0, "first": 0, "count": len(images)} | place)


STILL = Strength(
    shift_x=0, shift_y=0, scale=0, shear=0, erase_side=0, blur=0, contrast=0, brightness=0, noise=0
)


@pytest.mark.parametrize(
    "shape",
    [
        (8, 32, 128, 3),
        (1, 16, 16, 1),
        (3, 5, 7, 3),  # a number of bytes that 8 does not divide
        (2, 1, 1, 4),
        (2, 8, 1, 2),
        (9, 64, 2, 5),
        (2, 0, 8, 3),
        (0, 32, 128, 3),
    ],
)
def test_shape_and_dtype_stay(shape: tuple[int, ...]) -> None:
    images = batch(shape)
    changed = augment(images, draws_of(images))
    assert (changed.dtype, changed.shape) == (np.uint8, shape)


def test_the_bytes_are_the_same_on_every_machine() -> None:
    images = (np.arange(8 * 32 * 128 * 3) * 40503 >> 8 & 255).astype(np.uint8)
    images = images.reshape(8, 32, 128, 3)
    changed = augment(images, draws_of(images, seed=7, epoch=1, step=2))
    assert hashlib.sha256(changed).hexdigest()[:16] == "0bd3026d4ee73dd8"


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


def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch()
    whole = augment(images, draws_of(images))
    monkeypatch.setattr(module, "PART_BYTES", 3 * images[0].size)  # 3, 3 and 2 images
    np.testing.assert_array_equal(augment(images, draws_of(images)), whole)


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


def test_strengths_grow_with_their_names() -> None:
    light, default, strong = STRENGTHS.values()
    for field in fields(Strength):
        values = [getattr(strength, field.name) for strength in (light, default, strong)]
        assert values == sorted(values), field.name
        assert values[0] > 0, field.name
    images = np.repeat(np.linspace(0, 255, 128).astype(np.uint8)[None, None, :, None], 32, axis=1)
    images = np.repeat(images, 64, axis=0)
    change = [
        np.abs(augment(images, draws_of(images), strength).astype(int) - images).mean()
        for strength in (light, default, strong)
    ]
    assert change[0] < 0.7 * change[1] < change[1] < 0.7 * change[2]


@pytest.mark.parametrize("strength", STRENGTHS.values())
def test_black_and_white_do_not_change_sides(strength: Strength) -> None:
    """An int16 that overflowed would make black of white."""
    images = np.zeros((500, 8, 8, 1), np.uint8)
    images[:250] = 255
    changed = augment(images, draws_of(images), replace(strength, erase_side=0))
    assert changed[:250].min() > 128 > changed[250:].max()


def test_without_strength_nothing_changes() -> None:
    images = batch()
    np.testing.assert_array_equal(augment(images, draws_of(images), STILL), images)


@pytest.mark.parametrize(
    ("strength", "value", "farthest"),
    [
        ("shift_x", 0.03, (0, 4)),  # 3 % of 128 columns
        ("shift_y", 0.06, (2, 0)),  # 6 % of 32 rows
        ("scale", 0.06, (1, 4)),  # 6 % of half the size
        ("shear", 0.20, (0, 3)),  # a fifth of 15.5 rows
    ],
)
def test_pixels_move_a_little_and_never_flip(
    strength: str, value: float, farthest: tuple[int, int]
) -> None:
    changes = replace(STILL, **{strength: value})
    rows, columns = np.indices((32, 128)).astype(np.uint8)
    images = np.repeat(np.stack([rows, columns], axis=2)[None], 64, axis=0)
    moved = augment(images, draws_of(images), changes).astype(int)
    distance = np.abs(moved - images).max(axis=(0, 1, 2))
    assert tuple(distance) == farthest
    assert (np.diff(moved[..., 0], axis=1) >= 0).all()  # rows stay in order
    assert (np.diff(moved[..., 1], axis=2) >= 0).all()  # and so do columns


def test_no_more_than_a_sliver_leaves_the_image() -> None:
    strength = replace(STILL, shift_x=0.3, shift_y=0.3, scale=0.3, cut=0.1)  # 3.2 of 32 rows
    rows, columns = np.indices((32, 128)).astype(np.uint8)
    images = np.repeat(np.stack([rows, columns], axis=2)[None], 64, axis=0)
    moved = augment(images, draws_of(images), strength)
    assert (moved[:, 0, :, 0].max(), moved[:, -1, :, 0].min()) == (3, 31 - 3)
    assert (moved[:, :, 0, 1].max(), moved[:, :, -1, 1].min()) == (3, 127 - 3)


def test_a_long_strip_keeps_its_columns() -> None:
    strength = replace(STILL, shift_x=0.08)
    columns = np.arange(60_000)
    images = np.stack([columns >> 8, columns & 255], axis=1).astype(np.uint8)[None, None]
    moved = augment(images, draws_of(images), strength).astype(int)[0, 0]
    steps = np.diff(moved[:, 0] * 256 + moved[:, 1])
    assert (steps.min(), steps.max()) == (0, 2)  # squeezed a little; nothing wrapped around


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_is_dark_at_one_side_stays_there(side: str) -> None:
    images = np.full((64, 32, 128, 3), 220, np.uint8)
    dark, light = (slice(64), slice(64, None)) if side == "left" else (slice(64, None), slice(64))
    images[:, :, dark] = 60
    changed = augment(images, draws_of(images))
    assert (changed[:, :, dark].mean((1, 2, 3)) < changed[:, :, light].mean((1, 2, 3)) - 40).all()


def erased_spots(changed: np.ndarray, ground: int) -> list[tuple[int, int, int, int]]:
    """Returns image, top, height and width of each rectangle; fails if one has holes or shades."""
    spots = []
    for number in range(len(changed)):
        rows, columns = np.nonzero((changed[number] != ground).any(axis=2))
        if len(rows):
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            spot = changed[number, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert len(np.unique(spot)) == 1
            spots.append((number, int(rows.min()), int(height), int(width)))
    return spots


def test_some_images_lose_a_small_rectangle() -> None:
    strength = replace(STILL, erase_share=0.25, erase_side=0.3)
    images = np.full((2000, 20, 60, 3), 100, np.uint8)
    changed = augment(images, draws_of(images), strength)
    _, tops, heights, widths = np.array(erased_spots(changed, ground=100)).T
    assert 400 < len(tops) < 600
    assert (set(heights), set(widths)) == (set(range(1, 7)), set(range(1, 7)))  # 0.3 of 20 rows
    assert (tops.min(), (tops + heights).max()) == (0, 20)
    assert (changed.min(), changed.max()) == (0, 255)  # any grey


def test_a_rectangle_fits_into_a_narrow_image() -> None:
    strength = replace(STILL, erase_share=1.0, erase_side=0.5)
    images = np.full((500, 20, 2, 1), 100, np.uint8)
    _, _, heights, widths = np.array(
        erased_spots(augment(images, draws_of(images), strength), 100)
    ).T
    assert (heights.max(), widths.max()) == (10, 2)
    assert 200 < (widths == 1).sum() < 300


def test_some_images_are_blurred() -> None:
    strength = replace(STILL, blur=1.0, blur_share=0.4)
    images = np.repeat(batch((1, 8, 12, 3)), 2000, axis=0)
    changed = augment(images, draws_of(images), strength)
    num_blurred = (changed != images).any(axis=(1, 2, 3)).sum()
    assert 700 < num_blurred < 900


def test_blur_is_a_filter_of_three() -> None:
    strength = replace(STILL, blur=1.0, blur_share=1.0)
    images = np.zeros((1000, 5, 7, 1), np.uint8)
    images[:, 2, 3] = 255
    spread = augment(images, draws_of(images), strength).astype(int)[..., 0]
    assert (spread.sum(axis=(1, 2)) == 255).all()  # nothing is lost
    assert (spread[:, 1].sum(axis=1) == spread[:, 3].sum(axis=1)).all()  # and no side favoured
    strongest = spread[spread[:, 2, 3].argmin(), 1:4, 2:5]
    np.testing.assert_allclose(strongest, np.outer([1, 2, 1], [1, 2, 1]) * 255 / 16, atol=2)
    assert not spread[:, [0, -1]].any()
    assert not spread[:, :, [0, 1, -2, -1]].any()


@pytest.mark.parametrize("grey", [0, 99, 255])
def test_blur_leaves_an_even_ground(grey: int) -> None:
    strength = replace(STILL, blur=1.0)
    images = np.full((64, 8, 8, 3), grey, np.uint8)
    np.testing.assert_array_equal(augment(images, draws_of(images), strength), images)


@pytest.mark.parametrize(
    ("strength", "value", "largest"),
    [
        ("contrast", 0.30, 0.30 * 128),
        ("brightness", 30.0, 30.0),
        ("noise", 24.0, 24.0),
    ],
)
def test_tones_change_within_their_range(strength: str, value: float, largest: float) -> None:
    changes = replace(STILL, **{strength: value})
    images = batch((64, 32, 32, 3))
    change = augment(images, draws_of(images), changes).astype(int) - images
    assert 0.8 * largest < np.abs(change).max() <= largest + 1  # 1: rounding
    assert change.min() < 0 < change.max()


def test_some_images_are_noisier_than_others() -> None:
    strength = replace(STILL, noise=24.0)
    images = np.full((64, 16, 16, 3), 128, np.uint8)
    noise = augment(images, draws_of(images), strength).astype(int) - 128
    assert abs(noise.mean()) < 1
    assert set(np.ptp(noise, axis=(1, 2, 3)) // 12) == {0, 1, 2, 3}  # of 48, where it is strongest


def test_tones_stop_at_black_and_white() -> None:
    strength = replace(STILL, brightness=30.0)
    images = np.zeros((64, 8, 8, 1), np.uint8)
    images[:, 4:] = 255
    changed = augment(images, draws_of(images), strength)
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
