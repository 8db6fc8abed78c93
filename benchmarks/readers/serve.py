"""The life of a reader: makes its dataset once, then goes through it whenever it is told.

    python -m benchmarks.readers.NAME FOLDER NUM_RECORDS BATCH_SIZE [SETTINGS]

Without settings it tries all that it has and takes the fastest. Each line on stdin asks for a pass:
`pass`, or `check` for one that adds up all pixels too. Each answer is a line of JSON on stdout;
other lines there are chatter of the libraries. It runs in the peers' environments too, so it needs
nothing but NumPy.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.readers.images import IMAGE_SHAPE, Sums, Task
from benchmarks.readers.session import cpu_seconds

# Each iteration goes through all data once, and yields images and the labels of the first output.
Loader: TypeAlias = Iterable[tuple[Any, Any]]
# From a name of some settings to what opens a loader with these.
Candidates: TypeAlias = dict[str, Callable[[], Loader]]

CHECK, PASS = "check", "pass"
WARM_UP_SECONDS = 0.5  # of a trial, from its first batch on: the queues fill
TRIAL_SECONDS = 2.0
TRIALS = 2  # of each settings: other work on the machine rarely meets both


def serve(make: Callable[[Task], None], candidates: Callable[[Task], Candidates]) -> None:
    """Runs a reader until stdin closes.

    Args:
        make: Writes a dataset into the task's folder, which is empty.
        candidates: Returns the settings to choose from.
    """
    folder, num_records, batch_size, *settings = sys.argv[1:]
    task = Task(folder=Path(folder), num_records=int(num_records), batch_size=int(batch_size))
    _make_once(make, task)
    choice = candidates(task)
    trials = {} if settings or len(choice) == 1 else _try(choice)
    best = max(trials, key=trials.__getitem__) if trials else [*settings, *choice][0]
    loader = choice[best]()
    _answer({"settings": best, "trials": trials})
    for line in sys.stdin:
        _answer(check(loader) if line.strip() == CHECK else one_pass(loader))


def one_pass(loader: Loader) -> dict[str, Any]:
    """Goes through the data once, and touches the labels only."""
    images = labels = 0
    cpu, wall = cpu_seconds(), time.perf_counter()
    for batch, first_labels in loader:
        images += int(batch.shape[0])
        labels += int(np.asarray(first_labels).sum())
    seconds = time.perf_counter() - wall
    return {
        "images": images,
        "first_labels": labels,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - cpu,
    }


def check(loader: Loader) -> dict[str, Any]:
    """Goes through the data once, and adds up everything."""
    images, sums = 0, Sums()
    for batch, first_labels in loader:
        pixels = np.asarray(batch)
        if pixels.shape[1:] != IMAGE_SHAPE or pixels.dtype != np.uint8:
            raise SystemExit(f"a batch is {pixels.dtype} of shape {pixels.shape}")
        images += len(pixels)
        sums = sums.add(pixels, np.asarray(first_labels))
    return {"images": images, **asdict(sums)}


def _make_once(make: Callable[[Task], None], task: Task) -> None:
    """Makes the dataset unless an earlier run did, and brings it into the page cache."""
    if not task.folder.exists():
        part = task.folder.with_name(f"{task.folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(Task(folder=part, num_records=task.num_records, batch_size=task.batch_size))
        part.rename(task.folder)
        os.sync()  # what is left to write must not slow down the others
    for file in task.folder.rglob("*"):
        if file.is_file():
            with open(file, "rb", buffering=0) as stream:
                while stream.read(1 << 20):
                    pass


def _try(candidates: Candidates) -> dict[str, float]:
    """Returns the images per second with each settings: the best of trials in turn."""
    rates = dict.fromkeys(candidates, 0.0)
    for _ in range(TRIALS):
        for name, opens in candidates.items():
            rates[name] = max(rates[name], _trial(opens()))
            gc.collect()  # ends the workers of those that leave this to the collector
    return rates


def _trial(loader: Loader) -> float:
    """Returns a loader's images per second, once it is under way."""
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    next(batches)  # workers have started
    _rate(batches, WARM_UP_SECONDS)
    return _rate(batches, TRIAL_SECONDS)


def _rate(batches: Iterator[tuple[Any, Any]], seconds: float) -> float:
    """Takes batches for some time, and returns the images per second."""
    started, passed, images = time.perf_counter(), 0.0, 0
    while passed < seconds:
        images += int(next(batches)[0].shape[0])
        passed = time.perf_counter() - started
    return images / passed


def _answer(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
