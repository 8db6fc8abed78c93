"""How fast batches arrive: shardfeed against the usual ways, as tensors of a framework.

    python benchmarks/read.py [--records 100000] [--batch-size 128] [--rounds 3] [--only A,B]

`make peers` installs the others first; those that it could not install are named. Every competitor
makes a dataset of the same random 32x128x3 images with 4 labels once (1.3 GB for 100,000), raw and
uncompressed, and keeps it. It lives in a process of its own, where it chooses the fastest of its
settings. Then one after the other goes through its data once, round after round, while the others
sleep: so all meet the same load of the machine, and ratios are taken within rounds. The targets
are printed, never judged.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.read_competitors import (
    COMPETITORS,
    OURS,
    OURS_ARRAYS,
    OURS_DEVICE,
    OURS_FIRST,
    Competitor,
)
from benchmarks.reader import Reader, ReaderError
from benchmarks.readers.images import Sums, Task, sums
from benchmarks.readers.serve import CHECK, PASS
from benchmarks.readers.session import Memory

TARGETS = (
    "ours at least 3 times tf.data and LitData, 10 times webdataset, MDS and Grain, 30 times the "
    "Sequence; as near to FFCV as can be, better past it; at most 8 us of CPU per image; with "
    "the changes for an accelerator that augments at most 2.5 us more"
)
METHOD = """\
method: a process each; settings chosen by the best of two trials each; passes in turn, in another
  order each round, after one unmeasured pass; medians of rounds, of ratios too; page cache warm
  images/s: a whole pass, from asking for the first batch to the end, start of the epoch included;
  all copy every pixel into the batch, so only the labels of the first output are touched
  CPU: of all processes of the competitor, workers included
  memory: peak of all its processes in a pass of a new process, alone and not timed; pages that
  they share are counted once; mapped: part of it that is page cache of the dataset, which the
  kernel takes back when it needs it
  in every pass the number of images and the sum of the first output's labels must be right, in
  the last one also the sum of all pixels, and of each image's first byte times its first label
  the number of records is rounded up to whole batches, so that nobody drops any"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """One pass through a competitor's data.

    Attributes:
        images: Images delivered.
        seconds: Wall time.
        cpu_seconds: CPU time of all its processes.
    """

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time per image, in microseconds."""
        return self.cpu_seconds / self.images * 1e6


@dataclass(kw_only=True, slots=True)
class Result:
    """What was measured of a competitor.

    Attributes:
        rounds: The passes after an unmeasured one.
        memory: The most that it took in a pass of its own.
    """

    rounds: list[Pass] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)


class WrongDataError(Exception):
    """A competitor did not deliver what it had to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Knows what a pass has to deliver.

    Attributes:
        num_records: Images.
        expected: What they add up to.
    """

    num_records: int
    expected: Sums

    def passed(self, competitor: Competitor, answer: dict[str, Any]) -> Pass:
        """Returns a pass that delivered everything.

        Raises:
            WrongDataError: It did not.
        """
        self.compare(competitor, answer)
        return Pass(**{name: answer[name] for name in ("images", "seconds", "cpu_seconds")})

    def compare(self, competitor: Competitor, answer: dict[str, Any]) -> None:
        """Compares what a pass delivered with what it should have.

        Raises:
            WrongDataError: They differ.
        """
        if not competitor.same_images:
            return
        for name, value in {"images": self.num_records, **asdict(self.expected)}.items():
            if answer.get(name, value) != value:
                raise WrongDataError(f"{competitor.module}: {name} {answer[name]}, not {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What all competitors meet.

    Attributes:
        place: Their task, but for the last part of the folder.
        logs: Folder for what they print.
        judge: Knows what they have to deliver.
    """

    place: Task
    logs: Path
    judge: Judge

    def start(self, names: list[str], stack: contextlib.ExitStack) -> dict[str, Reader]:
        """Starts competitors; those that cannot run are named."""
        readers = {}
        for name in names:
            competitor = COMPETITORS[name]
            try:
                if reason := competitor.missing():
                    raise ReaderError(reason)
                reader = Reader(competitor, self.place, self.logs)
            except ReaderError as error:
                print(f"  {name}: left out: {error}", flush=True)
                continue
            readers[name] = stack.enter_context(contextlib.closing(reader))
            print(f"  {name}: {competitor.about} ({competitor.version()})", flush=True)
            print(f"    settings: {reader.settings}", flush=True)
            trials = [f"{one} {rate:,.0f}" for one, rate in reader.trials.items()]
            if trials:
                print(f"    tried: {'; '.join(trials)}", flush=True)
        return readers

    def measure(self, readers: dict[str, Reader], rounds: int) -> dict[str, Result]:
        """Lets all go through their data in turn."""

        def passed(name: str) -> Pass:
            return self.judge.passed(COMPETITORS[name], readers[name].ask(PASS))

        for name in readers:
            passed(name)
        results = {name: Result() for name in readers}
        for number in range(rounds):
            shift = number * len(readers) // rounds  # spread, so that none is always early or late
            for name in [*readers][shift:] + [*readers][:shift]:
                results[name].rounds.append(passed(name))
            rates = (f"{name} {result.rounds[-1].rate:,.0f}" for name, result in results.items())
            load = os.getloadavg()[0]
            print(f"round {number + 1}, load {load:.1f}: {'; '.join(rates)}", flush=True)
        return results

    def memory(self, name: str, settings: str) -> Memory:
        """Returns the most memory that a competitor takes in a process that has tried nothing."""
        competitor = COMPETITORS[name]
        with contextlib.closing(Reader(competitor, self.place, self.logs, settings)) as reader:
            answer, peak = reader.watch(CHECK)
        self.judge.compare(competitor, answer)
        return peak


def show(results: dict[str, Result]) -> None:
    """Prints medians over rounds."""
    print(f"{'':12}{'images/s':>10}{'CPU us/image':>14}{'memory MB':>11}{'of it mapped':>14}")
    for name, result in results.items():
        rate = median(one.rate for one in result.rounds)
        cpu = median(one.cpu_microseconds for one in result.rounds)
        total, mapped = result.memory.total / 1e6, result.memory.mapped / 1e6
        print(f"{name:12}{rate:>10,.0f}{cpu:>14.1f}{total:>11,.0f}{mapped:>14,.0f}")


def compare(results: dict[str, Result]) -> None:
    """Prints how many times as fast ours is, from ratios within rounds."""
    ours = (OURS, OURS_ARRAYS, OURS_FIRST, OURS_DEVICE)
    for mine in ours:
        for name in results:
            if mine not in results or name in ours:
                continue
            pairs = list(zip(results[mine].rounds, results[name].rounds, strict=True))
            rate = median(a.rate / b.rate for a, b in pairs)
            cpu = median(b.cpu_microseconds / a.cpu_microseconds for a, b in pairs)
            print(f"{mine} against {name}: {rate:.2f} times the images/s ", end="")
            print(f"(target {COMPETITORS[name].target:g}), 1/{cpu:.2f} of the CPU")
    if OURS in results and OURS_DEVICE in results:
        pairs = list(zip(results[OURS_DEVICE].rounds, results[OURS].rounds, strict=True))
        more = median(a.cpu_microseconds - b.cpu_microseconds for a, b in pairs)
        print(f"changes for an accelerator that augments: {more:.2f} us more of CPU an image")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--records", type=int, default=100_000)
    add("--batch-size", type=int, default=128)
    add("--rounds", type=int, default=3)
    add("--only", help=f"competitors, separated by commas; of: {', '.join(COMPETITORS)}")
    add("--dir", type=Path, help="where the datasets are made and kept")
    arguments = parser.parse_args()
    num_records = -(-arguments.records // arguments.batch_size) * arguments.batch_size
    place = arguments.dir or Path(tempfile.gettempdir()) / "shardfeed-benchmark"
    task = Task(
        folder=place / f"random-{num_records}",
        num_records=num_records,
        batch_size=arguments.batch_size,
    )
    print(f"machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}\n{METHOD}\ntargets: {TARGETS}")
    print(f"datasets of {num_records:,} records: {task.folder} (delete it when done)")
    print("competitors:", flush=True)
    names = arguments.only.split(",") if arguments.only else list(COMPETITORS)
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        judge = Judge(num_records=num_records, expected=sums(num_records))
        course = Course(place=task, logs=logs, judge=judge)
        with contextlib.ExitStack() as processes:
            readers = course.start(names, processes)
            results = course.measure(readers, arguments.rounds)
        for name, reader in readers.items():
            results[name].memory = course.memory(name, reader.settings)
    show(results)
    compare(results)
    print(f"load average at the end: {os.getloadavg()[0]:.1f}, with ours in it")


if __name__ == "__main__":
    main()
