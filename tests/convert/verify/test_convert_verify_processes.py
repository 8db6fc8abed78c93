"""`convert verify` in several processes: they find the same, and leave when they should."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from convert_cases import COMMAND, PATIENCE, ROOT
from fault_cases import wait_for
from verify_cases import (
    STRIDE,
    TRAIN,
    draw,
    encode,
    flip,
    problems,
    rewrite,
    verify,
    write_description,
)

import convert.verify.verification
from convert.dataset.record import layout_of_image

PIXEL = layout_of_image(2, 12 * 8 * 3).image_offset + 100
LARGE = "images-train.tfrecord-00000-of-00001"
NUM_LARGE = 60_000  # just above what two processes are started for
LARGE_STRIDE = layout_of_image(2, 128 * 32 * 3).stride


@pytest.fixture
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    draw(folder)
    return folder / "out"


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a small dataset as much work as a large one."""
    monkeypatch.setattr(convert.verify.verification, "_SPAN_BYTES", 4 * STRIDE)
    monkeypatch.setattr(convert.verify.verification, "_DECODED_SPAN_BYTES", 4 * STRIDE)
    monkeypatch.setattr(convert.verify.verification, "_SPANS_OF_PROCESS", 1)


def damage(dataset: Path) -> None:
    flip(dataset / TRAIN[0], 4 * STRIDE + PIXEL, 9 * STRIDE + PIXEL)
    os.truncate(dataset / TRAIN[1], 7 * STRIDE + 5)
    rewrite(dataset, TRAIN[2], 5, encode([1, 0], 33, bytes(288)))
    (dataset.parent / "i/2.png").unlink()


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.usefixtures("spread")
def test_processes_find_what_one_finds(dataset: Path, workers: int) -> None:
    manifest = {"manifest": str(dataset.parent / "m.csv"), "deep": True}
    assert problems(dataset, workers=workers, **manifest) == []
    damage(dataset)
    alone = verify(dataset, **manifest)
    assert len(alone.problems) == 7
    together = verify(dataset, workers=workers, **manifest)
    assert together.problems == alone.problems
    assert together.duplicates == alone.duplicates
    assert together.sound_records == alone.sound_records == 35


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.usefixtures("spread")
def test_one_large_shard_is_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    draw(tmp_path, encoding=encoding, shard_bytes=10**6)
    name = "images-train.tfrecord-00000-of-00001"
    spans: list[Any] = []
    whole = convert.verify.verification.divide

    def divide(*arguments: Any) -> Iterator[Any]:
        for span in whole(*arguments):
            spans.append((span.file, span.first, span.records, span.is_hashed))
            yield span

    monkeypatch.setattr(convert.verify.verification, "divide", divide)
    assert problems(tmp_path / "out", workers=2) == []
    mine = [span[1:] for span in spans if span[0] == name]
    assert mine[0] == (0, 0, True)  # its digest, beside its records
    assert len(mine) > 7
    assert sum(records for _, records, _ in mine) == 30
    assert not any(is_hashed for _, _, is_hashed in mine[1:])
    size = (tmp_path / "out" / name).stat().st_size
    flip(tmp_path / "out" / name, size // 2, size - 1)
    found = verify(tmp_path / "out", workers=2).problems
    assert [problem.kind for problem in found] == ["flipped_bytes"] * 2
    assert found == verify(tmp_path / "out").problems


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 0.7 GB, nearly all of it a hole in a file: work for two processes."""
    folder = tmp_path_factory.mktemp("large")
    draw(folder, size=(128, 32), shard_bytes=10**7)
    description = json.loads((folder / "out/dataset.json").read_text("utf-8"))
    split = description["splits"]["train"]
    (shard,) = split["shards"]
    split["records"] = shard["records"] = NUM_LARGE
    shard["bytes"] = NUM_LARGE * LARGE_STRIDE
    write_description(folder / "out", description)
    os.truncate(folder / "out" / LARGE, shard["bytes"])
    return folder


@pytest.fixture
def running(large: Path) -> Iterator[subprocess.Popen[str]]:
    """The command at work on it."""
    # Jobs in the background inherit an ignored Ctrl-C; the command is to be as on a terminal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [*COMMAND, "verify", "out", "--workers", "2", "--json"],
            cwd=large,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        yield process
        process.kill()


def workers_of(process: subprocess.Popen[str], count: int = 1) -> list[int]:
    """Returns the worker processes of a running command, once there are as many."""
    try:
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    found = [pid for pid in map(int, tasks) if b"spawn_main" in words_of(pid)]
    return found if len(found) >= count else []


def words_of(pid: int) -> bytes:
    """Returns the words of a process; none if it is dead."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_reading(pid: int) -> bool:
    """Returns whether a process has the large shard open."""
    with contextlib.suppress(FileNotFoundError):
        files = list(Path(f"/proc/{pid}/fd").iterdir())
        return any(os.readlink(file).endswith(LARGE) for file in files if file.is_symlink())
    return False


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "convert: stopped.\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_stopped(
    running: subprocess.Popen[str], number: signal.Signals, code: int, message: str
) -> None:
    workers = wait_for(lambda: workers_of(running, 2))
    if number == signal.SIGKILL:  # a process that gets only half of its orders cannot be quiet
        wait_for(lambda: all(map(is_reading, workers)))
    if number == signal.SIGINT:
        os.killpg(running.pid, number)  # as a terminal does
    else:
        running.send_signal(number)
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, err) == (code, "", message)
    wait_for(lambda: not any(map(words_of, workers)))


def test_a_killed_worker_is_replaced(running: subprocess.Popen[str]) -> None:
    workers = wait_for(lambda: workers_of(running, 2))
    os.kill(workers[0], signal.SIGKILL)
    out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert json.loads(out)["counts"] == {"zeros": NUM_LARGE - 30}
    assert json.loads(out)["sound_records"] == 40


def test_workers_that_die_again_and_again(running: subprocess.Popen[str]) -> None:
    while running.poll() is None:
        for pid in workers_of(running):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out) == (75, "")
    assert re.fullmatch(
        rf"convert: error: {LARGE}: the process that checked "
        r"(its sha256|records [0-9]+ to [0-9]+) died 3 times, last with exit code -9 "
        r"\(-9 is often a lack of memory\)\. "
        r"Run the same command again, with fewer --workers\.\n",
        err,
    ), err


def test_memory_stays_bounded(large: Path) -> None:
    """0.7 GB in one process: what it holds are small pieces, and some bytes a record."""
    script = (
        "import re\n"
        "from convert.verify import VerifyConfig, verify_dataset\n"
        "result = verify_dataset(VerifyConfig(dataset='out', workers=1))\n"
        "status = open('/proc/self/status').read()\n"
        "print(result.num_problems, re.search(r'VmHWM:\\s*(\\d+) kB', status)[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        cwd=large,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    num_problems, kilobytes = map(int, done.stdout.split())
    assert num_problems == NUM_LARGE - 30
    assert kilobytes < 120_000
