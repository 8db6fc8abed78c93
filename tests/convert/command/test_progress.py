"""What a progress bar counts, and when it prints a plain line."""

import sys

import pytest

from convert.command import progress
from convert.command.progress import ProgressBar


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_elsewhere_than_on_a_terminal(clock: Clock) -> None:
    said: list[str] = []
    bar = ProgressBar(100, said.append, done=20)
    for seconds, count in ((29, 30), (1, 15), (29, -5), (1, 0)):  # a part is done again
        clock.now += seconds
        bar.add(count, lambda: f"{bar.done} of {bar.total}, {bar.rate:g}/s, {bar.seconds_left:g} s")
    assert said == ["65 of 100, 1.5/s, 23.3333 s", "60 of 100, 0.666667/s, 60 s"]


def test_what_is_not_known(clock: Clock) -> None:
    bar = ProgressBar(None, pytest.fail)
    assert (bar.rate, bar.seconds_left) == (0, float("inf"))
    bar.add(5, lambda: "")
    assert bar.seconds_left == float("inf")


def test_a_terminal_gets_a_bar_and_no_lines(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for hidden in (False, True):
        bar = ProgressBar(10, pytest.fail, done=4, hidden=hidden, desc="reading")
        clock.now += 60
        bar.add(1, lambda: "line", lambda: "3 bad")
        bar.close()
        shown = capsys.readouterr().err
        assert ("5/10" in shown and "3 bad" in shown and "reading" in shown) == (not hidden)
