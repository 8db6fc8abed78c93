"""Stops a conversion before each single change that it makes on the disk, and runs it again.

`python every_step.py FOLDER KIND FAULT EXCHANGES` prints the number of changes, then a line for
each at which something is wrong. So many processes would take minutes to start: all are forks of
this one, and write their shards themselves. A kill then also ends a worker amid its writing.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy.ma
import numpy.random
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import tqdm
from fault_cases import Scene, make_scene
from fault_injection import CREATIONS, Steps, die, run_out_of_space, stop
from PIL import features

from convert.cli import main
from convert.engines.local import LocalEngine
from convert.plan.shard_specs import ShardSpec
from convert.write.shard_summary import Progress, ShardSummary
from convert.write.write_shard import ShardJob, write_shard

# What the command would load at its first row; loaded here, its forks have it.
LOADED = (
    *(numpy.ma, numpy.random, pyarrow.compute, pyarrow.csv, pyarrow.parquet),
    *(tqdm, features.pilinfo),
)

FAULTS = {"kill": die, "kill twice": die, "stop": stop, "full": run_out_of_space}
CODES = {"kill": (-9,), "kill twice": (-9,), "stop": (143,), "full": (75, 0)}
FULL = (
    "No space left on device. "
    "Free space or repair the disk, then run the same command again: it goes on."
)


def write_here(
    engine: LocalEngine,
    shard_job: ShardJob,
    specs: Iterator[ShardSpec],
    on_progress: Callable[[Progress], None],
) -> Iterator[ShardSummary]:
    """Stands for `LocalEngine.write`."""
    for spec in specs:
        yield write_shard(shard_job, spec, on_progress)


def forked(task: Callable[[], int]) -> int:
    """Runs a task in a process of its own; returns its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        code = task()
    finally:
        os._exit(code)


def run(
    folder: Path, words: list[str], steps: Callable[[], None] = lambda: None
) -> tuple[int, str]:
    """Runs the command in a folder; returns its exit code and what it printed.

    Args:
        folder: The current folder.
        words: The command line.
        steps: Called in its process before.
    """
    log = folder.with_suffix(".log")

    def task() -> int:
        printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.chdir(folder)
        LocalEngine.write = write_here
        steps()
        try:
            main(words)
        except SystemExit as ended:
            return int(ended.code or 0)

    return forked(task), log.read_text("utf-8")


def succeed(folder: Path, words: list[str]) -> None:
    code, printed = run(folder, words)
    assert code == 0, printed


def count_steps(scene: Scene, folder: Path, exchanges: bool) -> int:
    """Returns how many changes a conversion makes."""
    told = folder.with_suffix(".steps")

    def on_step(number: int, kind: str) -> None:
        told.write_text(str(number))

    steps = Steps(str(folder), on_step, exchanges)
    code, printed = run(scene.set_up(folder), scene.words, steps.install)
    assert code == 0 and scene.is_done(folder), printed
    return int(told.read_text())


def trial(scene: Scene, folder: Path, step: int, fault: str, exchanges: bool) -> str:
    """Stops a conversion once or twice and runs it again; tells what is wrong, if anything."""
    scene.set_up(folder)
    at = [step, random.Random(step).randint(1, step)][: 2 if fault == "kill twice" else 1]
    for number, stopped_at in enumerate(at):
        code, printed = stopped(scene, folder, stopped_at, fault, exchanges)
        state = sorted(os.listdir(folder))
        # What a second run has to do may be done before it comes to that step.
        if code not in (CODES[fault] if number == 0 else (*CODES[fault], 0)):
            return f"ended with {code}: {printed}"
        if code == 75 and (printed.count("error") != 1 or not printed.endswith(f": {FULL}\n")):
            return f"said {printed}"
        if not scene.is_whole(folder, may_vanish=not exchanges):
            return f"left what is not whole: {state}"
    code, printed = run(folder, scene.words)
    if code:
        return f"run again, ended with {code}: {printed}; it had left {state}"
    if not scene.is_done(folder):
        return f"ended with {sorted(os.listdir(folder))}, had left {state}"
    return ""


def stopped(scene: Scene, folder: Path, step: int, fault: str, exchanges: bool) -> tuple[int, str]:
    """Runs a conversion into a fault; returns its exit code and what it printed."""

    def on_step(number: int, kind: str) -> None:
        # A disk that is full stays so.
        if number == step or (fault == "full" and number > step and kind in CREATIONS):
            FAULTS[fault]()

    return run(folder, scene.words, Steps(str(folder), on_step, exchanges).install)


def lane(scene: Scene, base: Path, steps: range, fault: str, exchanges: bool) -> int:
    """Makes some of the trials; writes down the problems."""
    folder = base / f"lane-{steps.start}"
    found = [(step, trial(scene, folder, step, fault, exchanges)) for step in steps]
    lines = [f"step {step} {problem}\n" for step, problem in found if problem]
    folder.with_suffix(".problems").write_text("".join(lines), encoding="utf-8")
    return 0


def check(base: Path, kind: str, fault: str, exchanges: bool) -> None:
    """Prints how many steps a conversion has, and those after which it does not recover."""
    scene = make_scene(base, kind, succeed)
    num_steps = count_steps(scene, base / "count", exchanges)
    print(num_steps, flush=True)
    num_lanes = len(os.sched_getaffinity(0))
    lanes = [range(first, num_steps + 1, num_lanes) for first in range(1, num_lanes + 1)]
    children = []
    for steps in lanes:
        children.append(os.fork())
        if not children[-1]:
            os._exit(lane(scene, base, steps, fault, exchanges))
    for child, steps in zip(children, lanes, strict=True):
        assert os.waitpid(child, 0)[1] == 0
        print((base / f"lane-{steps.start}.problems").read_text("utf-8"), end="")


if __name__ == "__main__":
    check(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] == "exchanges")
