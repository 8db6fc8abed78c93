import doctest

import numpy as np
import pytest

from train.records import draws as module
from train.records.draws import Draws

PLACE = {"seed": 1, "epoch": 2, "step": 3, "first": 4, "count": 6}


def numbers(draws: Draws, **options: int) -> tuple[np.ndarray, np.ndarray]:
    return draws.uniform(5, **options).T, draws.noise(13, **options)


def test_the_example_runs() -> None:
    results = doctest.testmod(module, extraglobs={"np": np})
    assert (results.attempted, results.failed) == (4, 0)


@pytest.mark.parametrize("num_draws", [0, 1, 4, 5])
def test_uniform_numbers(num_draws: int) -> None:
    drawn = Draws(**PLACE).uniform(num_draws)
    assert (drawn.dtype, drawn.shape) == (np.float64, (num_draws, 6))


@pytest.mark.parametrize("num_bytes", [0, 1, 8, 32, 33])
def test_noise(num_bytes: int) -> None:
    drawn = Draws(**PLACE).noise(num_bytes)
    assert (drawn.dtype, drawn.shape) == (np.uint8, (6, num_bytes))


def test_uniform_numbers_fill_their_range() -> None:
    drawn = Draws(**PLACE | {"count": 10_000}).uniform(2)
    assert -1 <= drawn.min() < -0.999
    assert 0.999 < drawn.max() < 1
    assert abs(drawn.mean()) < 0.02


def test_noise_fills_its_range() -> None:
    counts = np.bincount(Draws(**PLACE | {"count": 100}).noise(2560).ravel(), minlength=256)
    assert 800 < counts.min() <= counts.max() < 1200  # 1000 of each


@pytest.mark.parametrize(("first", "stop"), [(0, 6), (0, 1), (1, 4), (5, 6), (3, 3)])
def test_a_part_of_the_batch_has_the_numbers_of_the_whole(first: int, stop: int) -> None:
    part = Draws(**PLACE | {"first": 4 + first, "count": stop - first})
    for whole_drawn, drawn in zip(numbers(Draws(**PLACE)), numbers(part), strict=True):
        np.testing.assert_array_equal(drawn, whole_drawn[first:stop])


def test_part_is_that_of_the_slice() -> None:
    assert Draws(**PLACE).part(2, 5) == Draws(**PLACE | {"first": 6, "count": 3})


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 7)])
def test_part_is_of_what_is_there(start: int, stop: int) -> None:
    with pytest.raises(ValueError) as caught:
        Draws(**PLACE).part(start, stop)
    assert str(caught.value) == f"images [{start}, {stop}) are not in [0, 6)."


@pytest.mark.parametrize("other", [{"seed": 2}, {"epoch": 3}, {"step": 4}, {"first": 10}])
def test_places_of_the_run_draw_apart(other: dict[str, int]) -> None:
    for drawn, others in zip(numbers(Draws(**PLACE)), numbers(Draws(**PLACE | other)), strict=True):
        assert not (drawn == others).all(axis=1).any()


def test_epoch_and_step_are_not_mixed_up() -> None:
    swapped = Draws(**PLACE | {"epoch": 3, "step": 2})
    assert not np.array_equal(Draws(**PLACE).uniform(5), swapped.uniform(5))


def test_images_and_streams_and_kinds_draw_apart() -> None:
    drawn = [Draws(**PLACE).uniform(4, stream=stream) for stream in (0, 1, 2**64 - 1)]
    raw = Draws(**PLACE).noise(32).view(np.uint64)  # the words that `uniform` would have drawn
    drawn.append((raw.T >> 11) * 2.0**-52 - 1)
    assert len(np.unique(drawn)) == 4 * 4 * 6


def test_golden_numbers() -> None:
    """From an own Philox. Runs that have started with these numbers must be able to resume."""
    draws = Draws(seed=2**64 - 1, epoch=2**32 - 1, step=2**32 - 1, first=2**32 - 1, count=2)
    assert draws.uniform(2, stream=2**64 - 1).tolist() == [
        [0.893468605208134, -0.021043830775656414],
        [-0.5799112536541295, -0.15813242460358912],
    ]
    assert draws.noise(5, stream=3).tolist() == [[151, 112, 148, 23, 207], [167, 238, 80, 5, 74]]


@pytest.mark.parametrize(
    ("name", "value", "num_bits"),
    [
        ("seed", -1, 64),
        ("seed", 2**64, 64),
        ("epoch", 2**32, 32),
        ("step", -5, 32),
        ("first", -1, 32),
        ("count", 2**32, 32),
    ],
)
def test_places_have_a_range(name: str, value: int, num_bits: int) -> None:
    with pytest.raises(ValueError) as caught:
        Draws(**PLACE | {name: value})
    assert str(caught.value) == f"`{name}` must be in [0, 2**{num_bits}), got {value}."


def test_questions_have_a_range() -> None:
    draws = Draws(**PLACE)
    with pytest.raises(ValueError, match=r"^`num_draws` must be in \[0, 2\*\*32\), got -1\.$"):
        draws.uniform(-1)
    with pytest.raises(ValueError, match=r"^`num_bytes` must be in \[0, 2\*\*32\), got -1\.$"):
        draws.noise(-1)
    with pytest.raises(ValueError, match=r"^`stream` must be in \[0, 2\*\*64\), got -1\.$"):
        draws.uniform(1, stream=-1)


def test_a_generator_follows_from_the_draws() -> None:
    def drawn(stream: int = 0, **place: int) -> list[int]:
        rng = Draws(**PLACE | place).generator(stream=stream)
        return rng.integers(0, 1 << 60, 3).tolist()

    assert drawn() == drawn()
    others = [drawn(**{name: PLACE[name] + 1}) for name in ("seed", "epoch", "step", "first")]
    assert len({tuple(numbers) for numbers in [drawn(), drawn(stream=1), *others]}) == 6
    words = Draws(**PLACE).generator().bit_generator.random_raw(4).tolist()
    others = [Draws(**PLACE)._words(4, 0, kind).ravel().tolist() for kind in (1, 2)]
    assert not {*words} & {word for other in others for word in other}
    with pytest.raises(ValueError, match=r"^`stream` must be in"):
        Draws(**PLACE).generator(stream=-1)
