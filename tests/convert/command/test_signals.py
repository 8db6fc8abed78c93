"""SIGTERM and Ctrl-C end both commands at any moment, whatever code is at work then."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
from convert_cases import PATIENCE, draw_sources

from train.cli import main

ROOT = Path(__file__).parents[3]
NUM_MOMENTS = 8

# A garbage collector's callback (JAX has one), a `__del__` and a bare `except` drop exceptions.
SWALLOWING = {
    "a callback of the garbage collector": """
def once(phase, info):
    gc.callbacks.remove(once)
    os.kill(os.getpid(), {number})
def there():
    gc.callbacks.append(once)
    gc.collect()
""",
    "__del__": """
class Doomed:
    def __del__(self):
        os.kill(os.getpid(), {number})
def there():
    Doomed()
""",
    "a bare except": """
def there():
    try:
        os.kill(os.getpid(), {number})
    except BaseException:
        pass
""",
}

CODE = """
import gc, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
{there}
from {module} import {name} as real
import {module}
def patched(*arguments, **options):
    there()
    print("went on")
    return real(*arguments, **options)
{module}.{name} = patched
from {package}.cli import main
main({words!r})
"""


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
@pytest.mark.parametrize("where", SWALLOWING)
def test_no_signal_is_swallowed(tmp_path: Path, where: str, number: int, code: int) -> None:
    draw_sources(tmp_path, 4)
    done = python(
        CODE.format(
            there=SWALLOWING[where].format(number=int(number)),
            package="convert",
            module="convert.plan.shard_specs",
            name="make_plan",
            words=["m.csv", "out", "--size", "12", "8", "--split", "train=1", "--workers", "1"],
        ),
        tmp_path,
    )
    told = "convert: stopped; the same command goes on.\n" if number == signal.SIGINT else ""
    assert (done.returncode, done.stdout, done.stderr) == (code, "", told)
    assert sorted(os.listdir(tmp_path)) == ["i", "m.csv"]


def test_train_ends_while_it_opens_the_dataset(small_dataset: Path, tmp_path: Path) -> None:
    done = python(
        CODE.format(
            there=SWALLOWING["a bare except"].format(number=int(signal.SIGTERM)),
            package="train",
            module="train.model.build",
            name="build_compiled",
            words=[str(small_dataset), "--model", "cnn"],
        ),
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "train: stopped.\n")
    assert os.listdir(tmp_path) == []


def test_what_was_begun_is_undone(tmp_path: Path) -> None:
    """The lock, a temporary folder, an output: each at the moment when it is there."""
    code = """
import os, signal, sys
from convert.storage.local import locked
from convert.command.signals import ended_by_signals, removed_by_signals
from train.predict.output_file import open_output
os.mkdir("folder")
open("folder/file", "w").close()
with (
    ended_by_signals("train: stopped.", [signal.SIGTERM]),
    locked("lock", print),
    removed_by_signals("folder"),
    open_output("table.csv") as file,
):
    file.write("half")
    file.flush()
    print(sorted(name.partition(".part")[0] for name in os.listdir()), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = python(code, tmp_path)
    assert done.stdout == "['folder', 'lock', 'table.csv']\n"
    assert (done.returncode, done.stderr) == (143, "train: stopped.\n")
    assert os.listdir(tmp_path) == []


def test_what_fails_to_be_undone_holds_nothing_up(tmp_path: Path) -> None:
    code = """
import os, signal
from convert.command.signals import ended_by_signals, undone_by_signals
with ended_by_signals("", []), undone_by_signals(lambda: print("first", flush=True)):
    with undone_by_signals(lambda: 1 / 0):
        os.kill(os.getpid(), signal.SIGTERM)
"""
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (143, "first\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_while_python_ends_leaves_the_exit_code(tmp_path: Path, number: int) -> None:
    """Python has no handlers any more while it frees its modules."""
    code = f"""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
class FreedLast:
    def __del__(self, kill=os.kill, process=os.getpid(), write=os.write):
        kill(process, {int(number)})
        write(1, b"went on")
freed_last = FreedLast()
from convert.cli import main
main(["--version"])
"""
    done = python(code, tmp_path)
    assert done.stdout.startswith("shardfeed ")
    assert done.stdout.endswith("\nwent on")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_ignored_interrupt_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in jobs in the background."""
    handlers = []
    monkeypatch.setattr(
        "train.runs.open.require_run",
        lambda path: handlers.append(signal.getsignal(signal.SIGINT)) or 1 / 0,
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(ZeroDivisionError):
            main(["resume", "run"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.SIG_IGN]


def test_a_signal_after_the_last_step_is_not_lost() -> None:
    from train.training.stop_signals import StopSignals

    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
    try:
        with StopSignals():
            signal.raise_signal(signal.SIGTERM)
            assert caught == []
        assert caught == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def checkpoints(run: Path) -> list[str]:
    folder = run / "checkpoints"
    return [name for name in os.listdir(folder) if name[0] != "."] if folder.exists() else []


def check_end(run: Path, code: int | None, err: str) -> None:
    """A run is done, or it was stopped with a checkpoint if there were steps."""
    # Before Python has started, the system's own SIGTERM ends the process; 143 to a shell.
    assert code in (0, 143, -signal.SIGTERM), err
    assert "Traceback" not in err
    if code == -signal.SIGTERM:
        assert "train: " not in err
    if code == 0:
        assert "the run's files are in" in err
    if "stopped by SIGTERM" in err:
        assert "a checkpoint is written" in err
        assert checkpoints(run)


@pytest.fixture
def training(small_dataset: Path) -> list[str]:
    """The words of a short training."""
    words = [str(small_dataset), "--model", "cnn", "--epochs", "2"]
    return [*words, "--batch-size", "30", "--width", "0.125"]


@pytest.mark.long
def test_sigterm_at_any_moment(training: list[str], tmp_path: Path) -> None:
    """From exec to the end."""
    words = [sys.executable, "-m", "train", *training]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    subprocess.run([*words, "--run", str(tmp_path / "whole")], env=environment, check=True,
                   capture_output=True)  # fmt: skip
    whole, chance = time.monotonic() - started, random.Random(14)
    for number in range(NUM_MOMENTS):
        run = tmp_path / str(number)
        process = subprocess.Popen(
            [*words, "--run", str(run)], env=environment, stderr=subprocess.PIPE, text=True
        )
        time.sleep((number + chance.random()) * whole / NUM_MOMENTS)
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)  # a lost signal is a hang
        check_end(run, process.returncode, err)


@pytest.mark.parametrize("num_moments", [4, pytest.param(36, marks=pytest.mark.long)])
def test_sigterm_at_any_moment_after_the_imports(
    training: list[str], tmp_path: Path, num_moments: int
) -> None:
    """Many more moments of what differs from run to run, each in a second."""
    started = time.monotonic()
    assert forked.run(forked.TRAIN, *training, "--run", tmp_path / "whole").returncode == 0
    whole, chance = time.monotonic() - started, random.Random(14)
    for number in range(num_moments):
        run, err = tmp_path / str(number), tmp_path / f"{number}.err"
        with open(os.devnull, "r+b") as null, err.open("wb") as stderr:
            streams = [null.fileno(), null.fileno(), stderr.fileno()]
            process = forked.Fork(forked.TRAIN, [*training, "--run", run], streams)
        time.sleep((number + chance.random()) * whole / num_moments)
        with contextlib.suppress(ProcessLookupError):  # it was done
            os.kill(process.pid, signal.SIGTERM)
        check_end(run, process.wait(), err.read_text("utf-8"))
