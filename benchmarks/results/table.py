"""What is printed: the method, and results as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median

from benchmarks.results.source import Task
from benchmarks.results.trial import Dataset, Trial

METHOD = """\
method: `convert` and `train` run as a user would run them, in processes of their own; `train
  evaluate` measures the run's best weights on the images that are held out, which neither training
  nor the choice of the epoch has seen
  exact: images without an error; characters: positions that are right
  minutes: of a run, from its start to its end, validation and checkpoints included; images/s: of
  the steps; both medians of the seeds
  flags that are not printed have the command's own defaults"""
COLUMNS = (
    "set", "images to train / validate / test", "exact", "characters", "seeds", "epochs",
    "minutes", "images/s", "memory", "CPU", "load at start",
)  # fmt: skip


def cpu() -> str:
    """Returns the CPU's model and the cores that this process may use."""
    return f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def opening() -> str:
    """Returns the line about where this runs."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("keras", "tensorflow", "numpy"))
    return (
        f"machine: {cpu()}; Python {platform.python_version()}, {libraries}; "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def introduction(task: Task, flags: Sequence[str]) -> str:
    """Returns the lines before a result: the set, published results, the target, the flags."""
    lines = [f"set: {task.name}", *(f"  {line}" for line in task.about.splitlines())]
    if task.published:
        lines += ["published:", *(f"  {line}" for line in task.published.splitlines())]
    lines += [f"target: {task.target}", f"flags of train: {' '.join(flags) or 'none'}"]
    return "\n".join(lines)


def header(columns: Sequence[str] = COLUMNS) -> str:
    """Returns the head of a Markdown table."""
    return row(columns) + "\n" + row(["---"] * len(columns))


def row(cells: Sequence[str]) -> str:
    """Returns a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def result(name: str, dataset: Dataset, trials: Sequence[Trial]) -> str:
    """Returns a set's row of the table."""
    return row(
        [
            name,
            dataset.counts(),
            spread([trial.exact for trial in trials]),
            spread([trial.characters for trial in trials]),
            str(len(trials)),
            "/".join(sorted({str(trial.epochs) for trial in trials})),
            f"{median(trial.seconds for trial in trials) / 60:.1f}",
            f"{median(trial.images_per_second for trial in trials):,.0f}",
            f"{max(trial.memory for trial in trials) / 1e9:.2f} GB",
            cpu(),
            "/".join(f"{trial.load:.1f}" for trial in trials),
        ]
    )


def spread(shares: Sequence[float]) -> str:
    """Returns the mean of some shares in per cent, and each of them if there are several."""
    text = f"{fmean(shares):.2%}"
    if len(shares) > 1:
        text += f" ({', '.join(f'{share:.2%}' for share in shares)})"
    return text
