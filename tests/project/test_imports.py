"""What loads what: the linter does not see what a package's `__init__` brings along."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "pyarrow", "tensorboardX")


def loaded_by(statement: str) -> set[str]:
    """Returns the top-level modules in a fresh process after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import convert", HEAVY),
        ("import convert.cli", (*HEAVY, "numpy", "PIL")),  # `convert --help` answers at once
        ("import convert.engines.local", HEAVY),  # what a worker loads
        (
            "import convert.engines.spark, convert.engines.spark_task",
            (*HEAVY, "pyspark"),
        ),  # it may be missing
        ("import train", HEAVY),
        ("import train.cli.command", (*HEAVY, "jax", "pyspark")),  # nor has a team's parent them
        ("import train.records.reading.reader, train.records.order, train.records.augment", HEAVY),
        ("import train.input.tf_dataset", ("tensorflow", "keras")),  # until a dataset is asked for
    ],
)
def test_heavy_modules_are_not_loaded(statement, absent):
    assert loaded_by(statement).isdisjoint(absent)


def test_convert_never_loads_train():
    assert "train" not in loaded_by(
        "import convert.cli, convert.job.start_to_end, convert.engines.local"
    )
