"""Memory stays bounded: that of the plan by the rows, that of a worker by an image and a shard."""

import subprocess
import sys
from pathlib import Path

from convert_cases import COMMAND, PATIENCE, ROOT, SAMPLE, sample_rows, write_manifest

HEADER = ["path", "y0", "y1", "y2", "y3"]
LIMIT_KILOBYTES = 300_000

PLAN_AND_TELL_MEMORY = """
import re, sys
from convert.config import ConvertConfig
from convert.plan.dialects import read_manifest
from convert.plan.shard_specs import make_plan

config = ConvertConfig(manifest=sys.argv[1], dataset="out", size=(128, 32))
plan = make_plan(read_manifest(config.manifest), config, {})
rows = sum(len(plan.shard(*place).paths) for place in plan.files().values())
# Not `ru_maxrss`: that starts at the size of the process that started this one.
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]
print(rows, peak)
"""


def test_200_000_rows_are_planned_in_300_megabytes(tmp_path: Path) -> None:
    rows = [list(row.values()) for row in sample_rows()]
    repeated = [[f"{i}/{row[0]}", *row[1:]] for i in range(134) for row in rows][:200_000]
    manifest = write_manifest(tmp_path / "m.csv", HEADER, repeated)
    done = subprocess.run(
        [sys.executable, "-c", PLAN_AND_TELL_MEMORY, str(manifest)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    num_rows, kilobytes = map(int, done.stdout.split())
    assert num_rows == 200_000
    assert kilobytes < LIMIT_KILOBYTES


CONVERT_AND_TELL_MEMORY = """
import resource, subprocess, sys

subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_conversion_and_its_workers_take_300_megabytes(tmp_path: Path) -> None:
    """The larger of the command and its worker, which writes 12 MB of records."""
    rows = [list(row.values()) for row in sample_rows()]
    manifest = write_manifest(tmp_path / "m.csv", HEADER, rows[:1000])
    words = [*COMMAND, manifest, tmp_path / "out", "--root", SAMPLE, "--workers", "1"]
    words += ["--crop", "186", "0", "300", "30", "--size", "128", "32"]
    done = subprocess.run(
        [sys.executable, "-c", CONVERT_AND_TELL_MEMORY, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    assert int(done.stdout) < LIMIT_KILOBYTES
