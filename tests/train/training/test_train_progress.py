"""What the progress line shows, and that it goes away before anything else is said."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
from types import SimpleNamespace

import pytest
from resume_cases import at_step, config, send

from train.errors import StoppedError
from train.training.callbacks import progress
from train.training.callbacks.progress import ProgressLine, epoch_line, fitted
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


NAMES = ("loss", "characters", "exact", "rate", "speed", "input wait", "memory", "time left")
TEXTS = (
    "loss 4.8441", "characters 12.1%", "exact 10.0%", "lr 1.0e-03", "1,165 images/s",
    "input wait 1.4%", "1.2 GB", "ETA 12:30",
)  # fmt: skip
PARTS = dict(zip(NAMES, TEXTS, strict=True))


def test_parts_fall_off_in_order():
    """Memory, then the learning rate, ...; speed and time left are the last."""
    seen = dict.fromkeys(fitted(PARTS, columns) for columns in range(200, -1, -1))
    gone = [
        next(name for name in NAMES if PARTS[name] in more and PARTS[name] not in less)
        for more, less in zip(seen, list(seen)[1:], strict=False)
    ]
    assert gone == [
        "memory", "rate", "input wait", "characters", "exact", "loss", "speed", "time left",
    ]  # fmt: skip
    assert fitted(PARTS) == " ".join(TEXTS)
    for columns in range(200):
        assert len(fitted(PARTS, columns)) <= columns


@pytest.fixture
def terminal(monkeypatch):
    """Returns a function that makes stderr a terminal of a width, and one that reads it."""
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))
    ours, theirs = os.openpty()
    with open(theirs, "w", encoding="utf-8") as stream:

        def resize(columns):
            monkeypatch.setattr(sys, "stderr", stream)
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

        def read():
            stream.flush()
            found = b""
            while select.select([ours], [], [], 0.2)[0]:  # the kernel hands it on piece by piece
                found += os.read(ours, 1 << 16)
            return found.decode()

        yield resize, read
    os.close(ours)


@pytest.mark.parametrize("columns", [30, 40, 60, 79, 80, 81, 100, 120, 200])
def test_nothing_is_cut_on_a_terminal(terminal, columns):
    resize, read = terminal
    resize(columns)
    logs = {"loss": 4.8441, "character_accuracy": 0.1, "exact": 0.1}
    with contextlib.closing(ProgressLine(session_of(9))) as line:
        METER.steps = 8
        line.on_epoch_begin(0)
        assert "8/420, compiling the first step"[: columns - 22] in read().split("\r")[-1]
        for METER.steps in (9, 10):  # the number becomes longer
            line.on_train_batch_end(logs)
        line._bar._bar.refresh()
        shown = read().split("\r")[-1].rstrip()
    assert len(shown) <= columns
    place, _, rest = shown.partition(", ")
    assert place.endswith(" 10/420")
    known = r"(loss 4\.8441|characters 10\.0%|exact 10\.0%|lr 1\.0e-03|1,165 images/s|"
    known += r"input wait 1\.4%|\d+\.\d GB|ETA 0:00)"
    assert re.fullmatch(rf"({known} ?)*", rest), rest
    if columns >= 80:
        assert "1,165 images/s" in rest and "ETA 0:00" in rest
    if columns == 80:
        assert "lr" not in rest and "GB" not in rest


METER = SimpleNamespace(steps=0, total_steps=0, images_per_second=1165.0, input_wait=0.014)


def session_of(epochs):
    job = SimpleNamespace(
        config=SimpleNamespace(epochs=epochs), training=SimpleNamespace(num_steps=420)
    )
    return SimpleNamespace(job=job, meter=METER, say=pytest.fail, learning_rate=lambda step: 1e-3)


@pytest.mark.parametrize("steps", [419, 420])
def test_only_a_session_with_steps_compiles(steps):
    """A run that stopped in validation goes on with that."""
    said = []
    session = session_of(3)
    session.say, METER.steps = said.append, steps
    ProgressLine(session).on_epoch_begin(0)
    assert said == ["compiling the first step"] * (420 - steps)


def test_an_epoch_fits_into_100_columns():
    shares = ("character_accuracy", "exact", "validation_character_accuracy", "validation_exact")
    row = {"epoch": 100, "loss": 0.87801, **dict.fromkeys(shares, 1.0)}
    line = epoch_line(row, 100)
    assert line == (
        "epoch 100/100 loss 0.878  characters 100.0% exact 100.0%  validation 100.0% exact 100.0%"
    )
    assert len(f"train: {line} best") <= 100
    del row["validation_exact"]
    assert epoch_line(row, 100) == "epoch 100/100 loss 0.878  characters 100.0% exact 100.0%"
