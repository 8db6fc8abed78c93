"""`train --engine spark` as a process, on clusters of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cached_training import content
from fault_cases import MARK, end_all, processes, wait_for, words_of
from hdfs_cases import download, upload
from ranks import AS_USUAL, compiled, train_together
from resume_cases import FLAGS, assert_same
from resume_cases import words_of as flags_of
from spark_cases import CLUSTER, require_java, spark_environment

from convert.storage.places import filesystem_of

pytestmark = pytest.mark.long

SPARK = ["--engine", "spark", "--num-hosts", "2"]
SECONDS = 500  # many processes start, and compile


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A folder; nothing that was started there outlives the test."""
    require_java()
    pytest.importorskip("jax", reason="jax is not installed")
    yield tmp_path
    end_all(tmp_path)


def start(base: Path, master: str, *words: object, fault: str) -> subprocess.Popen[str]:
    """Starts the command, with a fault of `fault_injection`."""
    spark = spark_environment(base / "spark", fault)
    environment = {**spark, **compiled(base / "compiled"), MARK: str(base)}
    environment["XDG_CACHE_HOME"] = str(base / "home")
    environment.pop("KERAS_BACKEND", None)
    return subprocess.Popen(
        [sys.executable, "-m", "train", *map(str, words), *SPARK, "--master", master, "--json"],
        cwd=base,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Returns exit code, stdout, and what is ours of stderr, less the times."""
    out, err = process.communicate(timeout=SECONDS)
    lines = [line.partition("train: ")[2] for line in err.splitlines() if "train: " in line]
    assert lines, err
    return process.returncode, out, lines


def test_lines_reach_the_driver_and_the_result_comes_last(base: Path) -> None:
    process = start(base, "local[2]", "strips", "--run", "run", fault="stand_in_for_training")
    code, out, lines = ended(process)
    assert code == 0
    (line,) = out.splitlines()
    assert json.loads(line)["run"] == str(base / "run")
    assert lines == [
        f"{base}/run: fit of 2 \\x1b[31m",
        "1 epochs, 2 steps in 4 s, 3 images/s, input wait 0.0%",
        f"the run's files are in {base}/run",
    ]
    told = [json.loads(path.read_text()) for path in (base / "spark/told").iterdir()]
    assert {environment["JAX_PROCESS_ID"] for environment in told} == {"0", "1"}


def test_a_cluster_that_is_too_small(base: Path) -> None:
    process = start(base, "local[1]", "strips", "--run", "run", fault="stand_in_for_training")
    code, out, lines = ended(process)
    assert (code, out) == (2, "")
    (line,) = lines
    assert line.startswith("error: Spark has no room for 2 tasks at once, one for each of")


def test_a_signal_stops_all_hosts_with_a_checkpoint(base: Path) -> None:
    told = base / "spark/told"
    process = start(base, CLUSTER, "strips", "--run", "run", fault="hold_training")
    while process.poll() is None and not {"fit-0", "fit-1"} <= {*os.listdir(told)}:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, out, lines = ended(process)
    assert (code, out, lines[-1]) == (143, "", "stopped.")
    wait_for(lambda: not processes(base))
    assert {path.name for path in told.iterdir()} >= {"stopped-0", "stopped-1"}


def test_a_host_is_lost_and_the_run_goes_on(base: Path, tiny_dataset: Path, hdfs: str) -> None:
    """Dataset and run are on HDFS; the hosts share a cache, since they are one machine."""
    upload(tiny_dataset, f"{hdfs}/strips")
    options = flags_of({**FLAGS, "epochs": 2, "checkpoint_minutes": 0})
    words = [f"{hdfs}/strips", "--run", f"{hdfs}/run", *options]
    process = start(base, CLUSTER.replace("1024", "2048"), *words, fault="nothing")
    files, checkpoints = filesystem_of(hdfs), f"{hdfs}/run/checkpoints"
    while process.poll() is None and not (
        files.exists(checkpoints) and any(n[0] != "." for n in files.names(checkpoints))
    ):
        time.sleep(0.02)
    lose_a_host(base)
    code, out, lines = ended(process)
    assert code == 0, lines
    assert json.loads(out)["steps"] == 22
    assert any("goes on in epoch" in line for line in lines), lines
    wait_for(lambda: not processes(base))
    words = [tiny_dataset, "--run", base / "whole", *options]
    whole = train_together(base / "said", 2, words, AS_USUAL, **compiled(base / "compiled"))
    assert whole.codes == [0, 0], whole.said
    assert_same(content(base / "whole"), content(download(f"{hdfs}/run", base / "run")))


def lose_a_host(base: Path) -> None:
    """Kills an executor, with all that it has started."""
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
               for pid in processes(base)}  # fmt: skip
    lost = {max(pid for pid in parents if b"--executor-id" in words_of(pid))}
    while more := {pid for pid, parent in parents.items() if parent in lost} - lost:
        lost |= more
    for pid in sorted(lost, reverse=True):  # children first: nobody may be told
        os.kill(pid, signal.SIGKILL)
