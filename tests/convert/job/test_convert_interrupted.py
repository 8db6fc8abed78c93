"""However a conversion is stopped, the same command ends it with the same bytes."""

import errno
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fault_cases
import pytest
from convert_cases import command, convert, digests, draw_sources, png
from fault_cases import end, end_all, processes, wait_for, workers
from fault_injection import faulty
from timed_lines import untimed

from convert.errors import TryAgainError
from convert.storage.local import locked

NUM_ROWS = 24
# A shard for each row: there is always a middle to be stopped in.
WORDS = ["m.csv", "out", "--size", "160", "160", "--shard-bytes", "1", "--workers", "2", "--json"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    draw_sources(folder, NUM_ROWS)
    return folder


@pytest.fixture(scope="module")
def whole(sources: Path) -> dict[str, str]:
    """The digests of the files of a conversion that nothing stopped."""
    command(*WORDS, cwd=sources)
    return digests(sources / "out")


@pytest.fixture
def folder(sources: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder with the sources, and nothing yet beside them."""
    (tmp_path / "i").mkdir()
    for path in [*(sources / "i").iterdir(), sources / "m.csv"]:
        os.link(path, tmp_path / path.relative_to(sources))
    yield tmp_path
    end_all(tmp_path)


def start(folder: Path, **options: Any) -> subprocess.Popen[str]:
    # Jobs in the background inherit an ignored Ctrl-C; the command is to be as on a terminal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return fault_cases.start(folder, WORDS, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def done_shards(folder: Path) -> list[Path]:
    return sorted(folder.glob(".out.staging-*/done/*.json"))


def nothing_left(folder: Path) -> bool:
    return sorted(os.listdir(folder)) == ["i", "m.csv", "out"]


def resume(folder: Path, whole: dict[str, str]) -> dict[str, Any]:
    """Runs the command again, to its end; returns its summary."""
    done = command(*WORDS, cwd=folder)
    assert digests(folder / "out") == whole
    assert nothing_left(folder)
    return json.loads(done.stdout)


def test_a_whole_run_leaves_nothing_beside_the_dataset(
    whole: dict[str, str], sources: Path
) -> None:
    assert len(whole) == NUM_ROWS + 6
    assert nothing_left(sources)


def test_killed_and_run_again(folder: Path, whole: dict[str, str]) -> None:
    process = start(folder)
    wait_for(lambda: len(done_shards(folder)) >= 5)
    wait_for(lambda: workers(process))
    process.kill()
    assert end(process)[0] == -signal.SIGKILL
    wait_for(lambda: not processes(folder))  # no worker outlives the command
    assert not (folder / "out").exists()
    shards = [path.parents[1] / "dataset" / path.stem for path in done_shards(folder)]
    shards[0].write_bytes(shards[0].read_bytes()[:-1] + b"?")  # damaged
    shards[1].write_bytes(shards[1].read_bytes()[:-1])  # cut short
    shards[2].unlink()  # lost
    done_shards(folder)[3].write_text("{")  # its note is damaged
    summary = resume(folder, whole)
    assert summary["resumed_rows"] == len(shards) - 4
    assert (summary["rows"], summary["records"]) == (NUM_ROWS, NUM_ROWS)


WHEN = pytest.mark.parametrize("when", ["while workers load", "while they write"])


def start_until(folder: Path, when: str) -> subprocess.Popen[str]:
    """Starts the command in a session of its own, and waits for a moment to stop it."""
    process = start(folder, start_new_session=True)
    if when == "while they write":
        wait_for(lambda: done_shards(folder))
    else:
        wait_for(lambda: workers(process))
        time.sleep(0.1)  # Python has started in them, and their imports take longer
    return process


@WHEN
def test_sigterm_stops_in_order(folder: Path, whole: dict[str, str], when: str) -> None:
    process = start_until(folder, when)
    process.terminate()
    assert end(process) == (143, "", "")
    wait_for(lambda: not processes(folder))
    resume(folder, whole)


SIZE = (13, 13)  # of an image that holds who decodes it
HOLD = "hold_on_size({size}, {told!r})"
HOLD_TRIAL = "fail_on_size({size}, 'SIGKILL', {once!r})\nfault_injection." + HOLD


@pytest.mark.parametrize(
    ("fault", "stopped_by"),
    [
        pytest.param(HOLD, signal.SIGTERM, id="of a worker-15"),
        pytest.param(HOLD, signal.SIGKILL, id="of a worker-9", marks=pytest.mark.long),
        pytest.param(HOLD_TRIAL, signal.SIGTERM, id="of a trial-15", marks=pytest.mark.long),
        pytest.param(HOLD_TRIAL, signal.SIGKILL, id="of a trial-9"),
    ],
)
def test_stopped_amid_an_endless_decoding(
    folder: Path,
    whole: dict[str, str],
    fault: str,
    stopped_by: signal.Signals,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Also in the process that tries alone what has killed a worker."""
    original = (folder / "i/7.png").read_bytes()
    (folder / "i/7.png").unlink()  # it is a link
    (folder / "i/7.png").write_bytes(png(SIZE))
    beside = tmp_path_factory.mktemp("beside")
    names = {"told": str(beside / "told"), "once": str(beside / "once")}
    process = start(folder, env=faulty(beside, fault.format(size=SIZE, **names)))
    wait_for((beside / "told").exists)
    process.send_signal(stopped_by)
    code, out, err = end(process)
    assert (code, out, err) == (143 if stopped_by == signal.SIGTERM else -stopped_by, "", "")
    wait_for(lambda: not processes(folder))
    assert not (folder / "out").exists()
    (folder / "i/7.png").write_bytes(original)
    resume(folder, whole)


@WHEN
def test_ctrl_c_stops_in_order(folder: Path, whole: dict[str, str], when: str) -> None:
    process = start_until(folder, when)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    assert end(process) == (130, "", "convert: stopped; the same command goes on.\n")
    resume(folder, whole)


def test_workers_that_always_die_end_the_job(
    folder: Path, whole: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They die before they have come to any row, so none is to blame."""
    process = start(folder, env=faulty(tmp_path_factory.mktemp("fault"), "end_every_worker()"))
    code, _, err = end(process)
    shard = err.removeprefix("convert: error: ").partition(":")[0]
    assert shard in whole
    assert (code, err) == (
        75,
        f"convert: error: {shard}: its worker died 3 times, last with exit code -9 "
        "(-9 is often a lack of memory). "
        "Run the same command again, with fewer --workers.\n",
    )
    resume(folder, whole)


def test_a_write_that_fails(folder: Path, whole: dict[str, str]) -> None:

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))  # a record takes more

    process = start(folder, preexec_fn=limit_file_size)
    code, out, err = end(process)
    shard = err.removeprefix("convert: error: ").partition(":")[0]
    assert shard in whole
    assert (code, out, err) == (
        75,
        "",
        f"convert: error: {shard}: cannot be written: File too large. "
        "Free space or repair the disk, then run the same command again: it goes on.\n",
    )
    assert not (folder / "out").exists()
    resume(folder, whole)


def test_a_full_disk_met_by_the_main_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr("convert.storage.local.write_bytes", full)
    with pytest.raises(TryAgainError) as caught:
        convert(folder / "m.csv", folder / "out", shard_bytes=1 << 20, split=(("train", 1.0),))
    (staging,) = folder.glob(".out.staging-*")
    assert str(caught.value) == (
        f"{staging}/dataset/quarantine.jsonl: No space left on device. "
        "Free space or repair the disk, then run the same command again: it goes on."
    )


def test_two_at_once_end_with_one_result(folder: Path, whole: dict[str, str]) -> None:
    both = [start(folder), start(folder)]
    ends = [end(process) for process in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    summaries = [json.loads(out) for _, out, _ in ends]
    assert sorted(summary["already_complete"] for summary in summaries) == [False, True]
    assert len({summary["dataset_id"] for summary in summaries}) == 1
    assert digests(folder / "out") == whole
    assert nothing_left(folder)


def test_a_second_one_says_that_it_waits(folder: Path, whole: dict[str, str]) -> None:
    with locked(str(folder / ".out.lock"), lambda: None):
        process = start(folder)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert untimed(line) == "convert: waiting for another convert that writes out\n"
        assert not list(folder.glob(".out.staging-*"))
    assert end(process)[0] == 0
    assert digests(folder / "out") == whole
