"""Trains on a set, measures on its held-out images, and prints a row of Markdown.

    python -m benchmarks.results captcha|digits|captcha_v2|cheques [--data DIR] [--cache DIR]
        [--seeds N] [--limit N] [--validation SHARE] [--size W H] [--drawn W H] [-- FLAGS OF TRAIN]

`make peers` installs the package that draws `captcha` and `digits`; the real sets lie in --data.
Images, datasets and runs are kept in --cache: the same line goes on where it was killed, and what
is finished is not done again unless the code of `convert` or `train` has changed. The targets are
printed, never judged.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.process import CommandError
from benchmarks.results import captchas, real, table
from benchmarks.results.command_line import make_parser, parse
from benchmarks.results.source import Options, Task
from benchmarks.results.trial import Trial, convert, runs_folder, train

TASKS = {task.name: task for task in (*captchas.TASKS, *real.TASKS)}


def measure(task: Task, options: Options) -> str:
    """Trains on a set with each seed.

    Returns:
        A row of the table.
    """
    flags = (*task.flags, *options.flags)
    print(table.introduction(task, flags), flush=True)
    source = task.make(options)
    print(f"convert: {' '.join(source.arguments()[1:])}", flush=True)
    dataset = convert(source, options.cache)
    trials: list[Trial] = []
    with runs_folder(options.cache) as runs:
        for seed in range(options.seeds or task.seeds):
            trials.append(train(dataset, flags, seed, source.split, runs))
            print(f"  seed {seed}: exact {trials[-1].exact:.2%}", flush=True)
    return table.result(task.name, dataset, trials)


def main() -> None:
    parser = make_parser("benchmarks.results", __doc__)
    parser.add_argument("set", choices=TASKS, metavar="SET", help=", ".join(TASKS))
    add = parser.add_argument
    add("--data", type=Path, help="folder of the real sets")
    add("--limit", type=int, help="take so many images only: to try things out")
    add("--seeds", type=int, help="runs, with the seeds 0, 1, ... (default: the set's own)")
    add("--validation", type=float, default=0.0, help="share of a real set's training images")
    add("--size", type=int, nargs=2, metavar=("W", "H"), help="size to train on")
    add("--drawn", type=int, nargs=2, metavar=("W", "H"), help="size to draw images at")
    arguments, flags = parse(parser)
    options = Options(
        cache=arguments.cache,
        data=arguments.data,
        limit=arguments.limit,
        validation=arguments.validation,
        drawn=tuple(arguments.drawn) if arguments.drawn else None,
        size=tuple(arguments.size) if arguments.size else None,
        seeds=arguments.seeds,
        flags=flags,
    )
    print(f"{table.opening()}\n{table.METHOD}", flush=True)
    try:
        line = measure(TASKS[arguments.set], options)
    except CommandError as error:
        sys.exit(f"results: error: {error}")
    print(f"{table.header()}\n{line}")


if __name__ == "__main__":
    main()
