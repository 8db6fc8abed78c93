"""A part of `gpu.py`, in a process of its own: prints a line of JSON for each result.

    python -m benchmarks.gpu_parts machine|speed|repeat|sample DATASET FOLDER OPTIONS

OPTIONS is a JSON object; see `gpu.py`.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import h5py
import jax
import keras

from benchmarks.gpu import WARM_STEPS
from benchmarks.results.table import cpu
from train.config import Precision, TrainConfig
from train.errors import StoppedError
from train.training.callbacks.recorder import RunRecorder
from train.training.resuming.resume import resume_training
from train.training.start import train_model

POLL_SECONDS = 0.5
EPOCHS = 10_000  # more than there is time for


class EnoughError(Exception):
    """The time of a measurement is over."""


class Watch:
    """Times the steps of a training from an epoch's first few on to its last.

    Args:
        seconds: How long to measure; then `EnoughError` ends the training.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._started = self._waited = 0.0
        self.steps = 0
        self.seconds = self.waited = 0.0  # of these steps

    def on_step(self, session: Any, logs: Any) -> None:
        """Called after each step."""
        meter, num_steps = session.meter, session.job.training.num_steps
        if meter.steps == WARM_STEPS:
            float(logs["loss"])  # waits for the device
            self._started, self._waited = time.perf_counter(), meter.waited_seconds
        elif meter.steps > WARM_STEPS:
            over = time.perf_counter() - self._started >= self._left
            if over or meter.steps == num_steps:
                float(logs["loss"])
                seconds = time.perf_counter() - self._started
                self.seconds += seconds
                self.waited += meter.waited_seconds - self._waited
                self.steps += meter.steps - WARM_STEPS
                self._left -= seconds
            if over:
                raise EnoughError


def at_steps(act: Callable[[Any, Any], None]) -> Callable[[], None]:
    """Has a function called with session and logs after each step; returns what ends that."""
    real = RunRecorder.on_train_batch_end

    def on_train_batch_end(self: RunRecorder, batch: int, logs: Any = None) -> None:
        real(self, batch, logs)
        act(self._session, logs)

    def restore() -> None:
        RunRecorder.on_train_batch_end = real  # type: ignore[method-assign]

    RunRecorder.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]
    return restore


class Utilisation:
    """Asks nvidia-smi how busy the first GPU is, as long as the block runs."""

    def __enter__(self) -> Utilisation:
        self._percents: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        if shutil.which("nvidia-smi"):
            self._thread.start()
        return self

    def _poll(self) -> None:
        command = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu"]
        while not self._ended.wait(POLL_SECONDS):
            asked = subprocess.run(
                [*command, "--format=csv,noheader,nounits"], capture_output=True, text=True
            )
            if asked.stdout.strip().isdecimal():
                self._percents.append(float(asked.stdout))

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def share(self) -> float | None:
        """Median of the answers, in [0, 1]. None: there were none."""
        return statistics.median(self._percents) / 100 if self._percents else None


def machine(dataset: str, folder: Path, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tells where this runs."""
    device = jax.devices()[0]
    yield {
        "device": f"{len(jax.devices())} x {device.device_kind}",
        "platform": device.platform,
        "cpu": cpu(),
        "keras": keras.__version__,
        "jax": jax.__version__,
    }


def speed(dataset: str, folder: Path, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Measures the steps of `train` with all its callbacks, at each batch size and precision."""
    known = {field.name for field in fields(TrainConfig)}
    places = ("device", "host") if "augment_on" in known else ("host",)
    precisions: tuple[Precision, ...] = ("bfloat16", "float32")
    kinds = itertools.product(options["batches"], precisions, places)
    for number, (batch_size, precision, place) in enumerate(kinds):
        watch = Watch(options["seconds"])
        asked: dict[str, Any] = {"augment_on": place} if "augment_on" in known else {}
        config = TrainConfig(
            dataset=dataset,
            run=str(folder / f"speed-{number}"),
            epochs=EPOCHS,
            batch_size=batch_size,
            precision=precision,
            model=options["model"],
            width=options["width"],
            **asked,
        )
        restore = at_steps(watch.on_step)
        began = time.perf_counter()
        with Utilisation() as utilisation:
            try:
                train_model(config)
            except EnoughError:
                pass
            finally:
                restore()
        yield {
            "batch": batch_size,
            "precision": precision,
            "augment_on": place,
            "steps": watch.steps,
            "step_ms": 1e3 * watch.seconds / watch.steps,
            "images_per_second": batch_size * watch.steps / watch.seconds,
            "input_wait": watch.waited / watch.seconds,
            "gpu_utilisation": utilisation.share,
            "seconds_with_compiling": time.perf_counter() - began,
        }


def repeat(dataset: str, folder: Path, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Trains twice with `--deterministic`, and once more with a stop and a resume in between."""

    def config(name: str) -> TrainConfig:
        model, width = options["model"], options["width"]
        return TrainConfig(
            dataset=dataset,
            run=str(folder / name),
            epochs=2,
            deterministic=True,
            model=model,
            width=width,
        )

    def stop(session: Any, logs: Any) -> None:
        if session.meter.total_steps == session.job.training.num_steps + 7:
            os.kill(os.getpid(), signal.SIGTERM)

    train_model(config("whole"))
    train_model(config("again"))
    restore = at_steps(stop)
    try:
        train_model(config("stopped"))
    except StoppedError:
        restore()
    resume_training(str(folder / "stopped"), {})
    whole = weights(folder / "whole")
    yield {
        "repeated": weights(folder / "again") == whole,
        "resumed": weights(folder / "stopped") == whole,
    }


def weights(run: Path) -> dict[str, bytes]:
    """Returns the bytes of a run's weights, by name."""
    found: dict[str, bytes] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with zipfile.ZipFile(run / "last.keras") as archive:
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))).visititems(add)
    return found


def sample(dataset: str, folder: Path, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Trains on the sample until every strip of its validation split is read without an error."""
    result = train_model(
        TrainConfig(
            dataset=dataset,
            run=str(folder / "sample"),
            target="exact=1",
            epochs=options["epochs"],
            model=options["model"],
            width=options["width"],
        )
    )
    yield {
        "validation_exact": result.best["validation_exact"],
        "epochs": result.epochs,
        "steps": result.steps,
        "seconds": result.seconds,
    }


PARTS = {part.__name__: part for part in (machine, speed, repeat, sample)}


def main() -> None:
    part, dataset, folder, options = sys.argv[1:]
    for result in PARTS[part](dataset, Path(folder), json.loads(options)):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
