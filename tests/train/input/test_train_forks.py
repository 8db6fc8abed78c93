"""A process that was forked reads on, or is told in one sentence; it never hangs."""

import json
import os
import signal
import subprocess
from pathlib import Path

import forked
import numpy as np
import pytest
from convert_cases import ALL, PATIENCE, convert, draw_sources

# The child ends with 0 where it read the same as the parent; a sentence goes to stdout.
CODE = """
import json, multiprocessing, os, sys, threading
import numpy as np
import train

loader, path, options = json.loads(sys.argv[1])
dataset = getattr(train, loader)(path, "train", 16, seed=3, shuffle=False, **options)

def batches():
    if loader == "load_numpy":
        return [images.copy() for images, _ in dataset]
    if loader == "load_dataset":
        return [images for images, _ in dataset.as_numpy_iterator()]
    return [np.asarray(dataset[step][0]).copy() for step in range(len(dataset))]

whole = batches()  # threads have been started, and ask for the next window

def child():
    try:
        found = batches()
    except ValueError as error:
        print(error, flush=True)
        os._exit(3)
    except Exception as error:  # TensorFlow's own, which holds ours
        print(str(error).partition("UsageError: ")[2].partition("\\n")[0], flush=True)
        os._exit(3)
    assert len(found) == len(whole)
    assert all(map(np.array_equal, found, whole))
    os._exit(0)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(30)
if process.exitcode is None:
    process.kill()
    sys.exit("the child hangs")
assert all(map(np.array_equal, batches(), whole))  # the parent's are as they were
os._exit(process.exitcode)
"""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forks")
    manifest = draw_sources(folder, 64)
    for encoding in ("raw", "png"):
        convert(manifest, folder / encoding, split=ALL, shard_bytes=8 << 10, encoding=encoding)
    return folder


@pytest.mark.parametrize("loader", ["load_numpy", "load_pydataset", "load_dataset"])
@pytest.mark.parametrize("options", [{}, {"window": 16}], ids=["whole", "window"])
@pytest.mark.parametrize("name", ["raw", "png"])
def test_a_fork_reads_on(
    datasets: Path, tmp_path: Path, name: str, options: dict[str, int], loader: str
) -> None:
    words = json.dumps([loader, str(datasets / name), options])
    done = python(words, tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("loader", ["load_numpy", "load_dataset"])
@pytest.mark.parametrize("name", ["raw", "png"])
def test_a_fork_with_a_cache_is_told(
    datasets: Path, tmp_path: Path, name: str, loader: str
) -> None:
    options = {"cache": "cache", "cache_bytes": 1 << 24}
    done = python(json.dumps([loader, str(datasets / name), options]), tmp_path)
    assert (done.returncode, done.stdout) == (
        3,
        "this process was forked from one that had opened the dataset. Open it in the process "
        "that reads it, or start processes by `spawn`.\n",
    ), done.stderr


def python(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return forked.run(CODE, words, cwd=folder)


def test_locks_that_others_hold_are_free_in_the_child(datasets: Path) -> None:
    """Whatever another thread was at when the process was forked."""
    from train.input.open_source import open_source
    from train.records.reading.encoded import EncodedReader

    source = open_source(str(datasets / "png"), "train", 16, window=16)
    assert isinstance(source.reader, EncodedReader)
    whole = source.reader.gather(np.arange(4))[0]
    with source.reader._lock, source.read_ahead._lock, source.order._windows._lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                free = [
                    lock.acquire(blocking=False)
                    for lock in (
                        source.reader._lock, source.read_ahead._lock, source.order._windows._lock,
                    )
                ]  # fmt: skip
                same = all(free) and np.array_equal(source.reader.gather(np.arange(4))[0], whole)
                code = 0 if same else 2
            finally:
                os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_an_iteration_of_the_parent_is_refused(datasets: Path) -> None:
    from train import load_numpy
    from train.errors import UsageError

    batches = iter(load_numpy(str(datasets / "raw"), "train", 2, epochs=40))
    next(batches)
    child = os.fork()
    if not child:
        code = 1
        signal.alarm(PATIENCE)  # it would wait for the parent's threads
        try:
            for _ in batches:
                pass
        except UsageError as error:
            code = 0 if "before the process was forked" in str(error) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
