"""How fast files become records: shardfeed against the usual ways, over the same files.

    python benchmarks/convert.py [--rows 20000] [--rounds 3] [--same-pillow] [--dir DIR]

`make peers` installs the others first; those that it could not install are named. The files are
copies of data/sample's strips, so the page cache is warm. Every competitor opens each file with
Pillow, crops it, resizes it to 128x32 RGB and writes it with its 4 labels to the local disk, as a
command in a fresh process. In every round each runs once, in an order that moves on from round to
round; ratios are taken within rounds. The targets are printed, never judged.

Loading TensorFlow or PyTorch takes seconds. So there are two numbers: those of the whole command,
and those of its work alone, which every command takes itself, from when its libraries are loaded
and before it has looked at its arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import PIL

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.competitors import (
    IMAGE_BYTES,
    LOOP,
    OURS,
    OURS_ALONE,
    Competitor,
    Source,
    competitors,
    make_sources,
)
from benchmarks.peers import PEERS
from benchmarks.process import CommandError, run

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (
    "at least as fast as the fastest other; one worker at least 1.5 times the Example loop, "
    "which is one process"
)
METHOD = """\
method: a fresh process each; in turn, in another order each round; medians of rounds, of ratios
  too; page cache warm; dirty pages are written out between runs
  whole command: from start to exit, measured from outside
  work alone: by its own clock, from when its libraries are loaded to when its output is complete;
  ours then starts workers that load their libraries again, those of the others are forked
  memory: peak of all its processes, shared pages counted once; largest: of a single process"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a competitor took in one round.

    Attributes:
        wall: Seconds.
        cpu: Seconds of CPU time, of all processes.
    """

    wall: float
    cpu: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A competitor's part of a round.

    Attributes:
        whole: The whole command.
        work: Its work alone.
        memory: Most bytes of all its processes.
        largest: Most bytes of a single process.
    """

    whole: Cost
    work: Cost
    memory: int
    largest: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What all competitors meet.

    Attributes:
        folder: Where they write, on the local disk.
        environment: Their environment variables.
    """

    folder: Path
    environment: dict[str, str]

    def result(self, competitor: Competitor, source: Source) -> Result:
        """Lets a competitor convert files into a new folder, which is removed again.

        Raises:
            CommandError: It failed, or wrote less than the images.
        """
        output = self.folder / "output"
        command = [str(competitor.python), *competitor.arguments(source, output)]
        try:
            done = run(command, ROOT, self.environment, self.folder)
            written = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
        finally:
            shutil.rmtree(output, ignore_errors=True)
            os.sync()  # what one has left to write must not slow down the next
        if written < source.rows * IMAGE_BYTES:
            raise CommandError(f"it wrote {written:,} bytes for {source.rows:,} images")
        return Result(
            whole=Cost(wall=done.wall, cpu=done.cpu),
            work=Cost(**json.loads(done.last_line)),
            memory=done.memory,
            largest=done.largest,
        )


def try_out(
    candidates: dict[str, Competitor], course: Course, source: Source
) -> dict[str, Competitor]:
    """Runs each once, unmeasured, so that its libraries are in the page cache.

    Returns:
        Those that did not fail; why the others did is printed.
    """
    working = {}
    for name, competitor in candidates.items():
        try:
            course.result(competitor, source)
        except CommandError as error:
            print(f"  {name}: left out, it failed: {error}", flush=True)
            continue
        working[name] = competitor
        versions = competitor.versions(course.environment)
        print(f"  {name}: {competitor.about} ({versions})", flush=True)
    return working


def measure(
    field: dict[str, Competitor], course: Course, source: Source, rounds: int
) -> dict[str, list[Result]]:
    """Returns each competitor's results, one a round."""
    results: dict[str, list[Result]] = {name: [] for name in field}
    for number in range(rounds):
        first = number * len(field) // rounds  # spread, so that none is always early or late
        for name in [*field][first:] + [*field][:first]:
            result = course.result(field[name], source)
            results[name].append(result)
            whole, work = result.whole.wall, result.work.wall
            print(f"round {number + 1}: {name}: {whole:.2f} s, {work:.2f} s of work", flush=True)
    return results


def show(results: dict[str, list[Result]], rows: int) -> None:
    """Prints medians over rounds."""
    print(f"{'':16}{'whole command':>20}{'work alone':>20}{'start-up':>10}{'memory':>9}", end="")
    print(f"{'largest':>9}\n{'':16}" + f"{'rows/s':>9}{'CPU us/row':>11}" * 2, end="")
    print(f"{'s':>10}{'MB':>9}{'MB':>9}")
    for name, rounds in results.items():
        print(f"{name:16}", end="")
        for costs in ([one.whole for one in rounds], [one.work for one in rounds]):
            print(f"{rows / median(cost.wall for cost in costs):>9,.0f}", end="")
            print(f"{median(cost.cpu for cost in costs) / rows * 1e6:>11.0f}", end="")
        print(f"{median(one.whole.wall - one.work.wall for one in rounds):>10.1f}", end="")
        print(f"{median(one.memory for one in rounds) / 1e6:>9,.0f}", end="")
        print(f"{median(one.largest for one in rounds) / 1e6:>9,.0f}")


def compare(results: dict[str, list[Result]]) -> None:
    """Prints how many times as fast ours is, from ratios within rounds."""
    for name in results:
        if name in (OURS, OURS_ALONE):
            continue
        mine = OURS_ALONE if name == LOOP else OURS  # one process against one process
        pairs = list(zip(results[mine], results[name], strict=True))
        whole = ratios([(one.whole, two.whole) for one, two in pairs])
        work = ratios([(one.work, two.work) for one, two in pairs])
        print(f"{mine} against {name}: whole command {whole}; work alone {work}")


def ratios(costs: list[tuple[Cost, Cost]]) -> str:
    """Returns how far the first cost of each pair is below the second."""
    wall = median(theirs.wall / mine.wall for mine, theirs in costs)
    cpu = median(theirs.cpu / mine.cpu for mine, theirs in costs)
    return f"{wall:.2f} times as fast, 1/{cpu:.2f} of the CPU"


@contextlib.contextmanager
def course_in(place: Path | None, same_pillow: bool) -> Iterator[Course]:
    """Makes the folder, and removes it in the end."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        (folder / "temporary").mkdir()  # some leave files in the folder for such
        environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
        environment.pop("PYTHONPATH", None)
        if same_pillow:  # found before the peers' own, and holds nothing else of our packages
            (folder / "pillow").mkdir()
            (folder / "pillow" / "PIL").symlink_to(Path(PIL.__file__).parent)
            environment["PYTHONPATH"] = str(folder / "pillow")
        yield Course(folder=folder, environment=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--rows", type=int, default=20_000)
    add("--rounds", type=int, default=3)
    add("--same-pillow", action="store_true", help="let the peers use our Pillow, not their own")
    add("--dir", type=Path, help="where the folder for files and outputs is made; removed again")
    arguments = parser.parse_args()
    print(f"machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}")
    print(f"{METHOD}\ntargets: {TARGETS}\ncompetitors:", flush=True)
    for peer in PEERS:
        if peer.missing():
            print(f"  {peer.name}: not installed: {peer.missing()}")
    with course_in(arguments.dir, arguments.same_pillow) as course:
        source, warm_up = make_sources(course.folder / "files", arguments.rows)
        field = try_out(competitors(), course, warm_up)
        results = measure(field, course, source, arguments.rounds)
    show(results, arguments.rows)
    compare(results)


if __name__ == "__main__":
    main()
