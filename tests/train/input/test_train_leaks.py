"""Datasets that nobody holds any more leave nothing: a search over options opens thousands."""

import itertools
import json
from pathlib import Path

import forked
import pytest
from convert_cases import ALL, convert, draw_sources

LOADERS = ("load_numpy", "load_pydataset", "load_dataset")
TIMES = 30
NUM_RECORDS = 64  # each a shard of its own

CODE = """
import gc, json, os, sys, threading, time
import train

loader, path, options, times = json.loads(sys.argv[1])
load = getattr(train, loader)
def fail(images, draws):
    raise ValueError("the user's function fails")
if options.get("augment") == "fail":
    options["augment"] = fail

def begin():
    dataset = load(path, "train", 16, **options)
    try:
        if loader == "load_pydataset":
            dataset[0]
        else:
            next(iter(dataset))
    except Exception as error:
        assert "the user's function fails" in str(error), error

def counted():
    gc.collect()
    with open("/proc/self/maps") as maps:
        shards = sum("tfrecord" in line or "/cache/" in line for line in maps)
    return len(os.listdir("/proc/self/fd")), shards

def python_threads():
    return sum(t.name.startswith(("read ahead", "batches", "decode", "fetch"))
               for t in threading.enumerate())

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def settled(before):
    # Threads end a moment after what they worked for has gone.
    for _ in range(200):
        now = (*counted(), python_threads())
        if all(new <= old for new, old in zip(now, before)):
            break
        time.sleep(0.05)
    return now

for _ in range(3):
    begin()
before = settled((10**9, 10**9, 0))
memory = resident()
for _ in range(times):
    begin()
print(json.dumps([before, settled(before), resident() - memory]))
"""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaks")
    manifest = draw_sources(folder, NUM_RECORDS)
    convert(manifest, folder / "raw", split=ALL, shard_bytes=1)
    convert(manifest, folder / "png", split=ALL, shard_bytes=1, encoding="png")
    return folder


CASES = {
    "raw": ("raw", {}),
    "window": ("raw", {"window": 16}),  # is read ahead
    "failing function": ("raw", {"augment": "fail"}),
    "cache": ("raw", {"cache": "cache", "cache_bytes": 1 << 24}),
    "png": ("png", {}),
    "png, cache": ("png", {"cache": "cache", "cache_bytes": 1 << 24}),
}
QUICK = {  # each case once, and each loader
    ("load_dataset", "cache"), ("load_numpy", "png, cache"), ("load_numpy", "window"),
    ("load_pydataset", "failing function"), ("load_pydataset", "raw"), ("load_numpy", "png"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("loader", "case"),
    [
        pytest.param(*both, marks=[] if both in QUICK else [pytest.mark.long])
        for both in itertools.product(LOADERS, CASES)
    ],
)
def test_nothing_is_kept(datasets: Path, tmp_path: Path, loader: str, case: str) -> None:
    name, options = CASES[case]
    words = json.dumps([loader, str(datasets / name), options, TIMES])
    done = forked.run(CODE, words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after, memory = json.loads(done.stdout)
    # Descriptors, mapped shards, threads of ours: one dataset may be on its way out.
    descriptors, shards, threads = (new - old for old, new in zip(before, after, strict=True))
    assert descriptors <= 2
    assert shards <= NUM_RECORDS
    assert threads <= 8
    assert memory < (64 << 20) + TIMES * (64 << 10)  # what TensorFlow keeps of a graph


def test_a_derived_dataset_keeps_what_it_reads(datasets: Path) -> None:
    import gc

    from train import load_dataset

    def derived():
        dataset = load_dataset(str(datasets / "raw"), "train", 16)
        return dataset.map(lambda images, labels: images).prefetch(2)

    batches = iter(derived().repeat(2))
    gc.collect()
    assert len(list(batches)) == 2 * NUM_RECORDS // 16
