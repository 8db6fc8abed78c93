"""Runs that signals stopped: what they leave, what they say, and what they come to."""

from __future__ import annotations

import json
import shutil
import signal
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from resume_cases import assert_same, at_step, config, content, newest, resumed, send, weights

from train.errors import StoppedError
from train.evaluation import evaluate
from train.training.callbacks import progress
from train.training.resuming.resume import resume_training
from train.training.start import train_model

pytestmark = pytest.mark.usefixtures("cached_model", "counting_clock")


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_signal_stops_after_a_step(
    number, code, name, tiny_dataset, whole_run, tmp_path, monkeypatch
):
    handler = signal.getsignal(number)
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        at_step(patched, 17, send(number))
        with pytest.raises(StoppedError) as stopped:
            train_model(config(tiny_dataset, tmp_path))
    assert str(stopped.value) == (
        f"stopped by {name} in epoch 2 after step 6; a checkpoint is written. "
        f"Go on with `train resume {run}`."
    )
    assert stopped.value.exit_code == code
    assert (run / "log.txt").read_text().splitlines()[-1][len("12:31:05 ") :] == str(stopped.value)
    assert signal.getsignal(number) is handler
    assert Path(newest(run).path).name == "epoch-0001-step-00000006"
    assert resumed(run)[0] == f"{run}: goes on in epoch 2/3 after step 6/11"
    assert_same(content(whole_run), content(run))


def test_a_signal_stops_amid_validation(tiny_dataset, whole_run, tmp_path, monkeypatch):
    run, real, calls = tmp_path / "run", evaluate._evaluate_batch, count(1)

    def evaluate_batch(*arguments):
        if next(calls) == 3:  # in the second epoch: the raw weights are validated, too
            send(signal.SIGTERM)()
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "_evaluate_batch", evaluate_batch)
        with pytest.raises(StoppedError, match="in epoch 2 after step 11; a checkpoint"):
            train_model(config(tiny_dataset, tmp_path))
    assert Path(newest(run).path).name == "epoch-0001-step-00000011"
    assert resumed(run)[0] == f"{run}: goes on in epoch 2/3, after its last step"
    assert_same(content(whole_run), content(run))


def test_a_second_interrupt_stops_at_once(tiny_dataset, whole_run, tmp_path, monkeypatch, capfd):
    def twice():
        send(signal.SIGINT)()
        send(signal.SIGINT)()

    with monkeypatch.context() as patched:
        at_step(patched, 17, twice)
        with pytest.raises(KeyboardInterrupt):
            train_model(config(tiny_dataset, tmp_path))
    told = "train: stopping after this step; Ctrl-C again stops at once"
    assert told in capfd.readouterr().err.splitlines()
    assert newest(tmp_path / "run").position.step < 6
    resumed(tmp_path / "run")
    assert_same(content(whole_run), content(tmp_path / "run"))


def test_a_second_sigterm_is_no_hurry(tiny_dataset, tmp_path, monkeypatch):
    """`timeout` sends it to the process and then to its group."""

    def twice():
        send(signal.SIGTERM)()
        send(signal.SIGTERM)()

    at_step(monkeypatch, 3, twice)
    with pytest.raises(StoppedError):
        train_model(config(tiny_dataset, tmp_path))
    assert newest(tmp_path / "run").position.step == 3


def test_a_finished_run_is_left_alone(whole_run, tmp_path):
    run = shutil.copytree(whole_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = []
    first = resume_training(str(run), {}, said.append)
    assert said == [f"{run} is complete: 3 epochs are done"]
    assert (first.epochs, first.steps, first.run) == (3, 33, str(run))
    assert first == resume_training(str(run), {"epochs": 2})
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_results_are_of_the_whole_run(tiny_dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        at_step(patched, 17, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(tiny_dataset, tmp_path))
    stopped = newest(tmp_path / "run").position
    result = resume_training(str(tmp_path / "run"), {})
    last = newest(tmp_path / "run").position
    assert (result.epochs, result.steps) == (3, 33)
    assert result.seconds >= last.seconds > stopped.seconds
    second = last.history[1]
    assert second["seconds"] > stopped.epoch_seconds > 0  # the part before the stop counts
    assert second["images_per_second"] == pytest.approx(88 / second["seconds"])


def test_progress_goes_on_from_the_step(tiny_dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        at_step(patched, 17, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(tiny_dataset, tmp_path))
    monkeypatch.setattr("convert.command.progress.LINE_SECONDS", 0.0)
    said = resumed(tmp_path / "run")
    assert said[1] == "compiling the first step"
    assert said[2].startswith("epoch 2/3 step 7/11 loss ")


class Ticks:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_the_time_left_counts_only_what_is_left(monkeypatch):
    from train.training.meter import EpochMeter

    class Clock:
        waited_seconds = 0.0

    ticks, meter = Ticks(), EpochMeter(Clock(), 8)
    monkeypatch.setattr(progress, "time", ticks)
    job = SimpleNamespace(config=SimpleNamespace(epochs=3), training=SimpleNamespace(num_steps=10))
    line = progress.ProgressLine(SimpleNamespace(job=job, meter=meter, say=print))
    meter.start(steps=4)
    line.on_epoch_begin(1)
    for seconds in (20, 2, 2):  # the first builds the graph
        ticks.now += seconds
        meter.steps += 1
        line.on_train_batch_end({})
    assert line._time_left() == "0:26"  # 3 steps of this epoch and 10 of the last one


def test_early_stopping_is_in_the_history(tiny_dataset, tmp_path, monkeypatch):
    """It needs no state of its own, so a resume cannot forget it."""
    from train.training import session, start
    from train.training.callbacks import recorder

    values = {"loss": 1.0, "character_accuracy": 0.5, "exact": 0.25}
    monkeypatch.setattr(recorder, "evaluate_shared", lambda *_: type("Evaluation", (), values)())
    monkeypatch.setattr(start, "write_report", lambda *_: None)
    monkeypatch.setattr(session.Board, "on_epoch_end", lambda *_: None)
    monkeypatch.setattr(session, "chance_line", lambda *_: None)
    with monkeypatch.context() as patched:
        at_step(patched, 17, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(tiny_dataset, tmp_path, patience=1))
    run = tmp_path / "run"
    resumed(run)
    position = newest(run).position
    assert [row["epoch"] for row in position.history] == [1, 2]  # the second was no better
    best, last = (weights(run / name) for name in ("best.keras", "last.keras"))
    assert any((best[name] != last[name]).any() for name in best)  # it is that of the first
    assert resumed(run)[-1] == f"{run} is complete: 2 epochs are done"  # with its report
    resumed(run, patience=2)
    assert len(newest(run).position.history) == 3
    assert json.loads((run / "config.json").read_text())["patience"] == 2


@pytest.mark.long
def test_bad_records_are_listed_once(tiny_dataset, tmp_path, monkeypatch):
    dataset = shutil.copytree(tiny_dataset, tmp_path / "strips")
    shard = dataset / "images-train.tfrecord-00000-of-00003"
    data = bytearray(shard.read_bytes())
    data[500] ^= 1
    shard.write_bytes(data)
    whole = train_model(config(dataset, tmp_path / "whole", on_bad_record="skip"))
    with monkeypatch.context() as patched:
        at_step(patched, 17, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(dataset, tmp_path, on_bad_record="skip"))
    said = []
    result = resume_training(str(tmp_path / "run"), {}, said.append)
    assert whole.bad_records == result.bad_records == 1
    one, other = tmp_path / "whole" / "run", tmp_path / "run"
    listed = (one / "bad_records.jsonl").read_text(encoding="utf-8")
    (row,) = map(json.loads, listed.splitlines())
    assert (row["shard"], row["record"]) == (shard.name, 0)
    assert (other / "bad_records.jsonl").read_text(encoding="utf-8") == listed
    assert_same(content(one), content(other))
