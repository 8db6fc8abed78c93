"""The reader's memory is bounded, whatever it reads."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import SAMPLE

from convert import ConvertConfig
from convert.job import convert_dataset

MEMORY = """
import gc, sys
from train import load_dataset

def anonymous_bytes():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

dataset = load_dataset(sys.argv[1], "train", 16)
for epoch in range(int(sys.argv[2])):
    for batch in dataset:
        pass
gc.collect()
print(anonymous_bytes())
"""


def anonymous_bytes(dataset, epochs):
    """Returns the memory, without mapped files, of a process that has read some epochs."""
    command = [sys.executable, "-c", MEMORY, str(dataset), str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc of Linux")
def test_the_readers_memory_grows_neither_with_epochs_nor_with_the_dataset(
    small_dataset, small_manifest, tmp_path
):
    header, *rows = small_manifest.read_text(encoding="utf-8").splitlines()
    (tmp_path / "many.csv").write_text("\n".join([header, *rows * 30]), encoding="utf-8")
    convert_dataset(
        ConvertConfig(
            manifest=str(tmp_path / "many.csv"), dataset=str(tmp_path / "many"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(128, 32),
        )
    )  # fmt: skip
    short = anonymous_bytes(small_dataset, 2)
    dataset_bytes = 2_700 * 12_379
    assert anonymous_bytes(small_dataset, 40) < short + dataset_bytes / 2
    assert anonymous_bytes(tmp_path / "many", 3) < short + dataset_bytes / 2


FAULTS = """
import resource, sys
from train.input.open_source import open_source

source = open_source(sys.argv[1], "train", 64, augment=True)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for epoch in range(30):
        source.batch(epoch, 0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults() / 30)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_augmentation_uses_its_memory_again(small_dataset):
    """A batch of 64 strips is 192 pages, and ten times as much is made on the way."""
    command = [sys.executable, "-c", FAULTS, str(small_dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 192
