"""`convert --engine spark` as a process: what it prints, how it stops, what it leaves running."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from convert_cases import command, convert, digests, draw_sources, png
from fault_cases import MARK, end_all, processes, start, wait_for, words_of
from fault_injection import HELD
from spark_cases import CLUSTER, require_java, spark_environment

from convert.engines.spark import SparkEngine
from convert.errors import UsageError

WORDS = ["m.csv", "out", "--size", "12", "8", "--shard-bytes", str(369 * 6), "--json"]
WORDS += ["--engine", "spark"]
NUM_ROWS = 40
SECONDS = 300  # an executor's start takes long where much else runs


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A folder of sources; nothing that was started there outlives the test."""
    draw_sources(tmp_path, NUM_ROWS)
    yield tmp_path
    end_all(tmp_path)


def expected(base: Path, **more: Any) -> dict[str, str]:
    """Returns the digests of what the local engine makes of a folder of sources."""
    convert(base / "m.csv", base / "local", shard_bytes=369 * 6, **more)
    return digests(base / "local")


def summary_of(stdout: str) -> dict[str, Any]:
    """Returns the summary, which must be all that was printed."""
    lines = stdout.splitlines()
    assert len(lines) == 1, stdout
    return json.loads(lines[0])


# What is missing


def test_without_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(UsageError) as caught:
        SparkEngine("local")
    assert str(caught.value) == "--engine spark needs pyspark: pip install 'shardfeed[spark]'."


@pytest.mark.parametrize(
    ("master", "environment", "message"),
    [
        (
            [],
            {},
            "--engine spark needs a cluster: start it with spark-submit (python -m convert.pack "
            "prints how), or give --master, for example --master 'local[2]'.",
        ),
        (
            ["--master", "local"],
            {"PATH": "/nowhere"},
            "--engine spark needs Java, and there is none on PATH: install Java 17, for example "
            "apt-get install openjdk-17-jre-headless, or set JAVA_HOME.",
        ),
        (
            ["--master", "local"],
            {"JAVA_HOME": "/nowhere"},
            "--engine spark needs Java, and there is none in JAVA_HOME /nowhere: install Java 17, "
            "for example apt-get install openjdk-17-jre-headless, or set JAVA_HOME.",
        ),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    base: Path, master: list[str], environment: dict[str, str], message: str
) -> None:
    clean = {name: os.environ[name] for name in os.environ if name != "JAVA_HOME"}
    done = command(*WORDS, *master, cwd=base, check=False, env={**clean, **environment})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"convert: error: {message}\n"


# Whole runs


def run(base: Path, environment: dict[str, str], *more: str) -> tuple[int, str, str]:
    """Runs the command; returns its code and what it printed."""
    process = start(base, [*WORDS, *more], env=environment)
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


@pytest.mark.long
@pytest.mark.parametrize("master", ["local[2]", CLUSTER])
def test_the_command(base: Path, master: str) -> None:
    require_java()
    code, out, err = run(base, spark_environment(base / "spark"), "--master", master)
    assert code == 0, err
    assert summary_of(out)["records"] == NUM_ROWS
    assert "Traceback" not in err
    assert "[Stage" not in err  # Spark's progress bar
    assert digests(base / "out") == expected(base)
    wait_for(lambda: not processes(base))


def held(base: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Starts the command on a cluster, in an environment; returns when a shard is begun."""
    require_java()
    (base / "i/5.png").write_bytes(png(HELD))
    environment = spark_environment(base / "spark")
    process = start(base, [*WORDS, "--master", CLUSTER], env=environment)
    told = base / "spark/told/14"
    for _ in range(5):  # times the patience of one
        try:
            wait_for(lambda: process.poll() is not None or (told.exists() and told.read_text()))
            break
        except AssertionError:
            continue
    assert process.poll() is None, process.communicate()
    return process, environment


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, ""),
        (signal.SIGINT, 130, "convert: stopped; the same command goes on.\n"),
    ],
)
def test_a_signal_stops_everything(base: Path, number: int, code: int, line: str) -> None:
    process, environment = held(base)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert line in err
    wait_for(lambda: not processes(base))
    code, out, err = run(base, environment, "--master", CLUSTER)
    assert code == 0, err
    assert summary_of(out)["records"] == NUM_ROWS
    assert digests(base / "out") == expected(base)


@pytest.mark.long
@pytest.mark.parametrize("with_java", [False, True])
def test_the_driver_is_killed(base: Path, with_java: bool) -> None:
    process, environment = held(base)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    java = next(int(pid) for pid in children if words_of(int(pid))[0].endswith(b"java"))
    process.kill()
    if with_java:
        os.kill(java, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not processes(base))  # executors and their workers end by themselves
    assert not (base / "out").exists()
    code, out, err = run(base, environment, "--master", CLUSTER)
    assert code == 0, err
    assert summary_of(out)["records"] == NUM_ROWS
    assert digests(base / "out") == expected(base)
    assert not list(base.glob(".out*"))


# Clusters that are not of this process's making


def submit(base: Path, environment: dict[str, str], *words: str) -> tuple[int, list[str]]:
    """Runs spark-submit; returns its code and the lines on stdout, where it puts stderr as well."""
    program = Path(sys.executable).with_name("spark-submit")
    options = {"cwd": base, "env": environment, "stdout": subprocess.PIPE, "text": True}
    done = subprocess.run([program, *words], timeout=SECONDS, check=False, **options)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.long
def test_spark_submit_with_a_packed_environment(base: Path) -> None:
    """Executors have a bare Python and what the archive brings."""
    require_java()
    pack = [sys.executable, "-m", "convert.pack", "packed"]
    packed = subprocess.run(pack, cwd=base, capture_output=True, text=True, check=True)
    words = packed.stdout.split()
    assert words[:3] == ["spark-submit", "--master", "yarn"]
    assert words[-5:-2] == ["packed/convert_on_spark.py", "MANIFEST", "DATASET"]
    environment = spark_environment(base / "spark")
    del environment["PYTHONPATH"]
    flags = ["--master", CLUSTER, *words[3:-4]]
    code, lines = submit(base, environment, *flags, *WORDS)
    assert code == 0, lines
    assert json.loads(lines[-1])["records"] == NUM_ROWS
    assert digests(base / "out") == expected(base)
    code, lines = submit(base, environment, *flags, *WORDS, "--seed", "1")
    assert code == 2  # which spark-submit passes on
    assert lines[-1].startswith("convert: error: out: holds a dataset of another plan")


@pytest.mark.long
def test_an_executor_without_shardfeed(base: Path) -> None:
    require_java()
    environment = spark_environment(base / "spark")
    environment["PYSPARK_PYTHON"] = os.path.realpath(sys._base_executable)
    code, out, err = run(base, environment, "--master", "local[1]")
    assert (code, out) == (2, "")
    assert err.endswith(
        "convert: error: an executor lacks what it needs: ModuleNotFoundError: No module named "
        "'convert'. Pack the environment and submit with it: python -m convert.pack.\n"
    )


@pytest.fixture
def two_hosts(base: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a cluster with an executor on each of two hosts, and an environment for it."""
    require_java()
    environment = spark_environment(base / "spark")
    settings = Path(environment["SPARK_CONF_DIR"]) / "spark-defaults.conf"
    with settings.open("a") as file:
        file.write("spark.speculation.interval 200ms\n")
        file.write("spark.speculation.task.duration.threshold 5s\n")
        file.write("spark.executor.memory 512m\n")
    master = daemon(base, environment, 1, "master.Master", "--port", "0")
    log = base / "master.Master-1.log"
    url = wait_for(lambda: re.search(r"Starting Spark master at (\S+)", log.read_text()))[1]
    worker = ("worker.Worker", "--cores", "1", "--memory", "512m", url)
    workers = [daemon(base, environment, number, *worker) for number in (1, 2)]
    yield url, environment
    for process in (*workers, master):
        process.kill()
        process.wait()


def daemon(
    base: Path, environment: dict[str, str], number: int, name: str, *more: str
) -> subprocess.Popen[bytes]:
    """Starts a daemon of Spark on a loopback address of its own."""
    host = f"127.0.0.{number}"
    words = [f"{environment['SPARK_HOME']}/bin/spark-class", f"org.apache.spark.deploy.{name}"]
    words += ["--host", host, "--webui-port", "0", *more]
    marked = {**environment, "SPARK_LOCAL_IP": host, MARK: str(base)}
    marked["SPARK_WORKER_DIR"] = str(base / f"work-{number}")
    with (base / f"{name}-{number}.log").open("w") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=marked)


@pytest.mark.long
def test_a_slow_task_is_run_twice(base: Path, two_hosts: tuple[str, dict[str, str]]) -> None:
    """On two hosts, for Spark starts no second attempt beside the first."""
    url, environment = two_hosts
    (base / "i/5.png").write_bytes(png(HELD))
    code, out, err = run(base, environment, "--master", url)
    assert code == 0, err
    assert summary_of(out)["records"] == NUM_ROWS
    slow = int((base / "spark/told/14").read_text())
    wait_for(lambda: slow not in processes(base))  # it is stopped
    assert digests(base / "out") == expected(base)
