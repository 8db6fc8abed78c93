"""A step that takes far longer than any before is noticed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from train.errors import UsageError
from train.hosts import step_watch
from train.hosts.patience import Patience
from train.hosts.step_watch import StepWatch


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(step_watch, "_FIRST_STEPS", 4)
    monkeypatch.setattr(step_watch, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def watch(clock):
    """After steps that were compiled, and two usual ones."""
    found = StepWatch(60)
    found.begin()
    for seconds in (1_000, 1_000, 8, 1):
        clock.seconds += seconds
        found.step()
    return found


def test_ten_times_the_slowest_step(clock, watch):
    clock.seconds += 80
    assert watch.overdue(others_busy=False) is None
    clock.seconds += 1
    assert watch.overdue(others_busy=False) == 81


def test_a_minute_in_any_case(clock):
    watch = StepWatch(60)
    watch.begin()
    for _ in range(4):
        clock.seconds += 1
        watch.step()
    clock.seconds += 60
    assert watch.overdue(others_busy=False) is None
    clock.seconds += 1
    assert watch.overdue(others_busy=False) == 61


def test_the_first_step_is_compiled(clock):
    watch = StepWatch(60)
    clock.seconds += 10_000  # nothing has begun
    assert watch.overdue(others_busy=False) is None
    with watch.paused():
        clock.seconds += 10_000
        assert watch.overdue(others_busy=False) is None
    watch.begin()
    for _ in range(2):
        clock.seconds += 10 * 60
        assert watch.overdue(others_busy=False) is None
        clock.seconds += 1
        assert watch.overdue(others_busy=False)
        watch.step()
    for _ in range(2):  # until a loss was looked at, nobody knows what a step takes
        clock.seconds += 61
        assert watch.overdue(others_busy=False) is None
        watch.step()
    clock.seconds += 611
    assert watch.overdue(others_busy=False)


def test_what_rank_0_does_between_two_steps_is_none(clock, watch):
    clock.seconds += 1_000
    assert watch.overdue(others_busy=True) is None
    clock.seconds += 80
    assert watch.overdue(others_busy=False) is None
    watch.step()  # which was disturbed: it is not the slowest
    clock.seconds += 81
    assert watch.overdue(others_busy=False) == 81


def test_seconds_of_the_environment(monkeypatch):
    assert Patience() == Patience(join=300, heartbeat=100, step=180)
    monkeypatch.setenv("SHARDFEED_STEP_SECONDS", "2.5")
    assert Patience().step == 2.5
    for text in ("0", "-1", "soon", "inf", "nan"):
        monkeypatch.setenv("SHARDFEED_STEP_SECONDS", text)
        with pytest.raises(UsageError) as caught:
            Patience()
        assert str(caught.value) == (
            f"SHARDFEED_STEP_SECONDS must be a number of seconds, 1 or more, got {text!r}."
        )
