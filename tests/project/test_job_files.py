"""The files for Slurm and Kubernetes in docs/ start processes that find each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_parsers import parser_of
from conftest import ROOT

from train.hosts.place import place_of

SLURM = ROOT / "docs" / "slurm.sh"
JOB = (ROOT / "docs" / "indexed-job.yaml").read_text(encoding="utf-8")

# What `srun` gives each task, one after the other; its own exit code is the highest.
SRUN = """\
#!/bin/sh
export SLURM_STEP_ID=0 SLURM_STEP_NODELIST='node[07-08]' SLURM_STEP_NUM_TASKS=2
for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; code=$?; done
exit $code
"""
TRAIN = f"""\
#!{sys.executable}
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
sys.exit(int(os.environ["CODE"]))
"""
SCONTROL = '#!/bin/sh\necho "$@" > scontrol\n'


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    """An environment with a `train` that prints how it was called, an `srun` and an `scontrol`."""
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("train", TRAIN), ("scontrol", SCONTROL)):
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return {**clean, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def called(words: list[str | Path], folder: Path, environment: dict[str, str]):
    """Runs a file; returns its code, and the words and environment of each `train`."""
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def assert_accepted(words: list[str]) -> None:
    parser, rest = parser_of("train", words)
    parser.parse_args(rest)


@pytest.mark.parametrize(
    ("code", "again"), [(0, False), (1, False), (2, False), (75, True), (143, True)]
)
def test_slurm(on_path: dict[str, str], tmp_path: Path, code: int, again: bool) -> None:
    environment = {**on_path, "SLURM_JOB_ID": "4095", "CODE": str(code)}
    run = tmp_path / "run"
    ended, (first, second) = called(["sh", SLURM, "strips", run], tmp_path, environment)
    assert ended == code
    assert first[0][:4] == ["fit", "strips", "--run", str(run)]
    assert_accepted(first[0])
    assert first[1]["KERAS_BACKEND"] == "jax"
    places = [place_of(environ) for _, environ in (first, second)]
    assert {(one.coordinator, one.size, one.launcher) for one in places} == {
        ("node07:65535", 2, "Slurm")
    }
    assert [one.rank for one in places] == [0, 1]
    assert (tmp_path / "scontrol").exists() is again
    run.mkdir()
    (run / "config.json").touch()
    _, (first, _) = called(["sh", SLURM, "strips", run], tmp_path, environment)
    assert first[0][:2] == ["resume", str(run)]
    assert_accepted(first[0])


def value(name: str) -> str:
    """Returns the one value of a field of the file for Kubernetes."""
    (found,) = set(re.findall(rf"^ *{re.escape(name)}: (.+)$", JOB, re.MULTILINE))
    return found.strip('"')


def test_kubernetes(on_path: dict[str, str], tmp_path: Path) -> None:
    """`kubectl` has read it; here its values are to fit to each other."""
    assert "\t" not in JOB
    assert all(len(re.match(" *", line)[0]) % 2 == 0 for line in JOB.splitlines())
    variables = dict(re.findall(r"- name: ([A-Z_]+)\n +value: (.+)\n", JOB))
    variables = {name: text.strip('"') for name, text in variables.items()}
    assert variables["JAX_NUM_PROCESSES"] == value("completions") == value("parallelism")
    place = place_of({**variables, "JOB_COMPLETION_INDEX": "1"})
    assert (place.rank, place.launcher, place.size) == (1, "Kubernetes", 2)
    names = re.findall(r"^  name: (.+)$", JOB, re.MULTILINE)
    service, job = names  # a pod's name is that of the job and its index
    assert place.coordinator.startswith(f"{job}-0.{service}:")
    assert service == value("subdomain")
    assert value("job-name") == job
    script = re.search(r"            - \|\n((?: {14}.+\n)+)", JOB)[1]
    words = re.findall(r"^            - (/.+)$", JOB, re.MULTILINE)
    run = tmp_path / "run"
    for is_begun in (False, True):
        if is_begun:
            run.mkdir()
            (run / "config.json").touch()
        command = ["sh", "-c", script, words[0], run]
        _, ((given, _),) = called(command, tmp_path, {**on_path, "CODE": "0"})
        begins = ["resume", str(run)] if is_begun else ["fit", words[0], "--run", str(run)]
        assert given == [*begins, "--hosts", "auto", "--json"]
        assert_accepted(given)
