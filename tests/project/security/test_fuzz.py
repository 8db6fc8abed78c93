"""Whatever stands in an image, a manifest, a dataset or a run: a result or a clean error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from convert_cases import PATIENCE
from fuzz_images import UNSTEADY, outcome
from fuzz_seeds import image_seeds
from PIL import features

from convert.images import ImageOptions

# Ten million pixels, several times; of folders TensorFlow and the networks of all cases.
KILOBYTES = {"images": 400_000, "manifests": 400_000, "datasets": 400_000, "folders": 3_000_000}

# What is long makes 12,000 images, 2,000 label files, 500 files `dataset.json` and 200 verbs on
# damaged folders of it.
RANGES = [
    ("folders", 0, 9),
    ("images", 0, 999),
    ("manifests", 0, 199),
    ("datasets", 0, 99),
    ("folders", 10, 199),
    ("images", 1_000, 11_999),
    ("manifests", 200, 1_999),
    ("datasets", 100, 499),
]
NUM_QUICK = 4


def fuzz(folder: Path, what: str, first: int, last: int) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    script = Path(__file__).parents[2].joinpath("support", "fuzz", "fuzz_run.py")
    return subprocess.run(
        [sys.executable, script, what, str(first), str(last), folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30 * PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("what", "first", "last"),
    [
        pytest.param(*words, marks=[pytest.mark.long] if number >= NUM_QUICK else [])
        for number, words in enumerate(RANGES)
    ],
)
def test_damaged_files(tmp_path: Path, what: str, first: int, last: int) -> None:
    folder = tmp_path / "fuzz"
    done = fuzz(folder, what, first, last)
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
