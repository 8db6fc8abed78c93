"""How fast files become records: shardfeed against the usual ways, over the same files.

    python benchmarks/convert.py [--rows 20000] [--rounds 3] [--same-pillow] [--dir DIR]

`make peers` installs the others first; those that it could not install are named. The files are
copies of data/sample's strips, so the page cache is warm. Every competitor opens each file with
Pillow, crops it, resizes it to 128x32 RGB and writes it with its 4 labels to the local disk, as a
command in a fresh process. In every round each runs once, in an order that moves on from round to
round; ratios are taken within rounds. The targets are printed, never judged.

Loading TensorFlow or PyTorch takes seconds. So each command also runs over one eighth of the
files: the difference of the two is the cost of the rows alone, without start-up.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

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
from benchmarks.process import CommandError, Run, run

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (
    "at least as fast as the fastest other; one worker at least 1.5 times the Example loop, "
    "which is one process"
)
METHOD = """\
method: a fresh process each; in turn, in another order each round; medians of rounds, of ratios
  too; page cache warm; dirty pages are written out between runs
  whole command: from start to exit; rows alone: what the rows after the first eighth took, so
  without start-up; start-up: what a command over no rows would take
  memory: peak of all its processes, shared pages counted once; largest: of a single process"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a row took.

    Attributes:
        wall: Microseconds of wall time.
        cpu: Microseconds of CPU time, of all processes.
    """

    wall: float
    cpu: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A competitor's part of a round.

    Attributes:
        large: The command over all rows.
        small: The command over the small part.
        rows: Rows of `large`.
        small_rows: Rows of `small`.
    """

    large: Run
    small: Run
    rows: int
    small_rows: int

    @property
    def whole(self) -> Cost:
        """The cost of a row, start-up included."""
        return Cost(
            wall=self.large.wall / self.rows * 1e6,
            cpu=self.large.cpu / self.rows * 1e6,
        )

    @property
    def alone(self) -> Cost:
        """The cost of a further row."""
        more = self.rows - self.small_rows
        return Cost(
            wall=(self.large.wall - self.small.wall) / more * 1e6,
            cpu=(self.large.cpu - self.small.cpu) / more * 1e6,
        )

    @property
    def start_up(self) -> float:
        """Seconds that do not depend on the rows."""
        return self.large.wall - self.alone.wall * self.rows / 1e6


def convert(
    competitor: Competitor, source: Source, place: Path, environment: dict[str, str]
) -> Run:
    """Lets a competitor convert files into a new folder, which is removed again.

    Raises:
        CommandError: It failed, or wrote less than the images.
    """
    output = place / "output"
    command = [str(competitor.python), *competitor.arguments(source, output)]
    try:
        result = run(command, ROOT, environment, place / "log.txt")
        written = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    finally:
        shutil.rmtree(output, ignore_errors=True)
        os.sync()  # what one has left to write must not slow down the next
    if written < source.rows * IMAGE_BYTES:
        raise CommandError(f"it wrote {written:,} bytes for {source.rows:,} images")
    return result


def try_out(
    names: dict[str, Competitor], source: Source, place: Path, environment: dict[str, str]
) -> dict[str, Competitor]:
    """Runs each once, unmeasured, so that its libraries are in the page cache.

    Returns:
        Those that did not fail; why the others did is printed.
    """
    working = {}
    for name, competitor in names.items():
        try:
            convert(competitor, source, place, environment)
        except CommandError as error:
            print(f"  {name}: left out, it failed: {error}", flush=True)
            continue
        working[name] = competitor
        print(f"  {name}: {competitor.about} ({competitor.versions(environment)})", flush=True)
    return working


def measure(
    names: dict[str, Competitor],
    sources: tuple[Source, Source],
    rounds: int,
    place: Path,
    environment: dict[str, str],
) -> dict[str, list[Result]]:
    """Returns each competitor's results, one a round."""
    results: dict[str, list[Result]] = {name: [] for name in names}
    for number in range(rounds):
        first = number * len(names) // rounds  # spread, so that none is always early or late
        for name in [*names][first:] + [*names][:first]:
            large, small = (convert(names[name], one, place, environment) for one in sources)
            result = Result(
                large=large, small=small, rows=sources[0].rows, small_rows=sources[1].rows
            )
            results[name].append(result)
            print(f"round {number + 1}: {name} {large.wall:.1f} s, {small.wall:.1f} s", flush=True)
    return results


def show(results: dict[str, list[Result]]) -> None:
    """Prints medians over rounds."""
    print(
        f"{'':16}{'whole command':>20}{'rows alone':>20}{'start-up':>10}{'memory':>9}{'largest':>9}"
    )
    print(f"{'':16}{'rows/s':>9}{'CPU us/row':>11}" + f"{'rows/s':>9}{'CPU us/row':>11}", end="")
    print(f"{'s':>10}{'MB':>9}{'MB':>9}")
    for name, rounds in results.items():
        numbers = (
            (f"{1e6 / median([one.whole.wall for one in rounds]):,.0f}", 9),
            (f"{median([one.whole.cpu for one in rounds]):.0f}", 11),
            (f"{1e6 / median([one.alone.wall for one in rounds]):,.0f}", 9),
            (f"{median([one.alone.cpu for one in rounds]):.0f}", 11),
            (f"{median([one.start_up for one in rounds]):.1f}", 10),
            (f"{median([one.large.memory for one in rounds]) / 1e6:,.0f}", 9),
            (f"{median([one.large.largest for one in rounds]) / 1e6:,.0f}", 9),
        )
        print(f"{name:16}" + "".join(f"{text:>{width}}" for text, width in numbers))


def compare(results: dict[str, list[Result]]) -> None:
    """Prints how many times as fast ours is, from ratios within rounds."""
    for name in results:
        if name not in (OURS, OURS_ALONE):
            mine = OURS_ALONE if name == LOOP else OURS  # one process against one process
            whole = ratios([(b.whole, a.whole) for a, b in pairs(results, mine, name)])
            alone = ratios([(b.alone, a.alone) for a, b in pairs(results, mine, name)])
            print(f"{mine} against {name}: whole command {whole}; rows alone {alone}")


def pairs(results: dict[str, list[Result]], mine: str, other: str) -> list[tuple[Result, Result]]:
    """Returns the results of two competitors, round by round."""
    return list(zip(results[mine], results[other], strict=True))


def ratios(costs: list[tuple[Cost, Cost]]) -> str:
    """Describes how many times as much one cost is as another."""
    wall = median([other.wall / mine.wall for other, mine in costs])
    cpu = median([other.cpu / mine.cpu for other, mine in costs])
    return f"{wall:.2f} times as fast, 1/{cpu:.2f} of the CPU"


def median(values: list[float]) -> float:
    """Returns the middle one."""
    return statistics.median(values)


def environment_of(place: Path, same_pillow: bool) -> dict[str, str]:
    """Returns the commands' environment variables."""
    (place / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(place / "temporary")}
    environment.pop("PYTHONPATH", None)
    if same_pillow:  # a folder before the peers' own packages that holds nothing but our Pillow
        (place / "pillow").mkdir()
        (place / "pillow" / "PIL").symlink_to(Path(PIL.__file__).parent)
        environment["PYTHONPATH"] = str(place / "pillow")
    return environment


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--rows", type=int, default=20_000)
    add("--rounds", type=int, default=3)
    add("--same-pillow", action="store_true", help="let the peers use our Pillow, not their own")
    add("--dir", type=Path, help="where a folder for files and outputs is made, and removed again")
    arguments = parser.parse_args()
    print(f"machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}")
    print(f"{METHOD}\ntargets: {TARGETS}\ncompetitors:", flush=True)
    for peer in PEERS:
        if peer.missing():
            print(f"  {peer.name}: not installed: {peer.missing()}")
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        place = Path(folder)
        environment = environment_of(place, arguments.same_pillow)
        sources = make_sources(place / "files", arguments.rows)
        names = try_out(competitors(), sources[1], place, environment)
        results = measure(names, sources, arguments.rounds, place, environment)
    show(results)
    compare(results)


if __name__ == "__main__":
    main()
