"""The progress line goes away before anything else is said."""

from __future__ import annotations

import signal

import pytest
from resume_cases import at_step, config, send

from train.errors import StoppedError
from train.training.progress import ProgressLine
from train.training.start import train_model

pytestmark = pytest.mark.usefixtures("cached_model", "counting_clock")


def test_the_bar_is_closed_when_training_stops(tiny_dataset, tmp_path, monkeypatch):
    lines = []
    real = ProgressLine.close

    def close(line):
        real(line)
        lines.append(line)

    monkeypatch.setattr(ProgressLine, "close", close)
    at_step(monkeypatch, 3, send(signal.SIGTERM))
    with pytest.raises(StoppedError):
        train_model(config(tiny_dataset, tmp_path))
    assert len(lines) == 1
    assert lines[0]._bar._bar.disable  # as tqdm leaves a closed bar
