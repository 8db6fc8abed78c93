"""The pool that converting and verifying share: what becomes of tasks whose worker dies."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.engines.process_pool import ProcessPool
from convert.errors import TryAgainError, UsageError

Task = tuple[str, str]  # what to do, and a file that tells how often it was done


def work(task: Task, report: Callable[[int], None], on_item: Callable[[int], None]) -> str:
    what, told = task
    with open(told, "a") as file:
        file.write(".")
    report(1)
    if what == "warns":
        warnings.warn("odd", stacklevel=1)
    if what == "refuses":
        raise UsageError("no")
    if what == "is out of memory":
        raise MemoryError
    if what == "kills at 7":
        on_item(7)
    if what.startswith("kills") and (what != "kills once" or os.path.getsize(told) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{what}, done"


def spare(task: Task, item: int) -> Task | None:
    return (f"without {item}", task[1])


def run(folder: Path, *whats: str, num_workers: int = 2) -> tuple[list[str], int]:
    """Returns the results of tasks, and what was reported of them in sum."""
    reports: list[int] = []
    pool = ProcessPool(work, num_workers, reports.append, lambda task: f"{task[0]}: it", spare)
    tasks = ((what, str(folder / what)) for what in whats)
    return sorted(pool.run(tasks)), sum(reports)


def test_each_task_is_done_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whats = [f"task {number}" for number in range(5)]
    found = run(tmp_path, *whats, "warns")
    assert found == ([f"{what}, done" for what in (*whats, "warns")], 6)
    assert capfd.readouterr().err == ""  # decoders warn of harmless things


@pytest.mark.parametrize(
    ("what", "result"),
    [("kills once", "kills once, done"), ("kills at 7", "without 7, done")],
)
def test_a_task_whose_worker_died_is_done_again(tmp_path: Path, what: str, result: str) -> None:
    """And what it had reported before is taken back."""
    assert run(tmp_path, what, "other") == (sorted([result, "other, done"]), 2)


@pytest.mark.parametrize(("what", "exit_code"), [("kills always", -9), ("is out of memory", 71)])
def test_a_task_that_always_ends_its_worker(tmp_path: Path, what: str, exit_code: int) -> None:
    with pytest.raises(TryAgainError) as caught:
        run(tmp_path, what, num_workers=1)
    assert (tmp_path / what).read_text() == "..."
    assert str(caught.value) == (
        f"{what}: it died 3 times, last with exit code {exit_code} (-9 is often a lack of "
        "memory). Run the same command again, with fewer --workers."
    )


def test_a_script_that_its_workers_cannot_import(tmp_path: Path) -> None:
    """Without `if __name__ == "__main__":` each of them would begin it again."""
    script = tmp_path / "mine.py"
    script.write_text(
        f"""
from pathlib import Path
from test_process_pool import run

try:
    run(Path({str(tmp_path)!r}), "task", num_workers=1)
except ValueError as error:
    print(error)
"""
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "task: it ended 3 times before it began, with the error above. Each worker imports the "
        'script that starts it: call this under `if __name__ == "__main__":`.\n'
    )
    assert "RuntimeError" in done.stderr  # Python's own words, in each worker


def test_what_a_worker_raises_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no$"):
        run(tmp_path, "refuses")
