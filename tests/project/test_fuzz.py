"""Whatever stands in an image, a manifest, a dataset or a run: a result or a clean error."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from convert_cases import PATIENCE
from fuzz_images import UNSTEADY, outcome
from fuzz_seeds import image_seeds
from PIL import features

from convert.images import ImageOptions

# Ten million pixels, several times; of folders TensorFlow and the networks of all cases.
KILOBYTES = {"images": 400_000, "manifests": 400_000, "datasets": 400_000, "folders": 3_000_000}
Done = subprocess.CompletedProcess[str]

# 20,000 images, 10,000 label files, 1,500 files `dataset.json` and 2,000 verbs on damaged folders,
# in ranges that can run side by side.
QUICK_RANGES = [
    ("folders", 0, 17),
    ("images", 0, 1_999),
    ("manifests", 0, 499),
    ("datasets", 0, 249),
]
LONG_RANGES = [
    ("folders", 18, 1_024),
    ("folders", 1_025, 1_999),
    ("images", 2_000, 11_999),
    ("images", 12_000, 19_999),
    ("manifests", 500, 5_499),
    ("manifests", 5_500, 9_999),
    ("datasets", 250, 1_499),
]
EVERYTHING = os.environ.get("CI") == "true"
RANGES = [*QUICK_RANGES, *(LONG_RANGES if EVERYTHING else [])]


def fuzz(folder: Path, what: str, first: int, last: int) -> Done:
    folder.mkdir()
    script = Path(__file__).parents[1].joinpath("support", "fuzz", "fuzz_run.py")
    return subprocess.run(
        [sys.executable, script, what, str(first), str(last), folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30 * PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Path, Future[Done]]]]:
    """All ranges, two at a time."""
    base = tmp_path_factory.mktemp("fuzz")
    with ThreadPoolExecutor(2) as pool:
        started = []
        for number, words in enumerate(RANGES):
            folder = base / str(number)
            started.append((folder, pool.submit(fuzz, folder, *words)))
        yield started


@pytest.mark.parametrize("number", range(len(RANGES)), ids=[f"{w}-{a}" for w, a, _ in RANGES])
def test_damaged_files(runs: list[tuple[Path, Future[Done]]], number: int) -> None:
    what, first, last = RANGES[number]
    folder, future = runs[number]
    done = future.result()
    told = (folder / "told.json").read_text("utf-8")
    assert done.returncode == 0, f"{what} number {told.strip()} ended it: {done.stderr}"
    assert (done.stdout, done.stderr) == ("", "")  # decoders keep to themselves
    found = json.loads(told)
    assert found["problems"] == {}
    assert sum(found["counts"].values()) == last - first + 1
    assert found["kilobytes"] < KILOBYTES[what]
    assert min(found["counts"].values()) > 0 and len(found["counts"]) > 1


def test_what_is_damaged_is_whole_before() -> None:
    """Each kind of image is converted; so the damage is why one is not."""
    how = ImageOptions(crop=None, size=(12, 8))
    whole = image_seeds()
    assert {kind: outcome(data, how) for kind, data in whole.items()} == dict.fromkeys(
        whole, "converted"
    )
    assert {kind.split()[0] for kind in whole} >= {"PNG", "JPEG", "GIF", "BMP", "TIFF"}
    assert not features.check("libtiff") or set(UNSTEADY) <= set(whole)
