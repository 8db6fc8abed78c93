"""Each sentence of SECURITY.md has a test that quotes it; here those about files of strangers."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest
from checkpoint_cases import rewritten
from convert_cases import ALL, command, convert, draw_sources, encoded, write_manifest
from image_cases import bomb, require_codec
from irregular import KINDS
from PIL import Image
from train_cases import learn

from convert.dataset.path_table import write_source_paths
from convert.dataset.read import read_dataset
from convert.errors import FormatError, ImageError, UsageError
from convert.images import ImageOptions, render
from convert.images.sources.reader import SourceReader
from convert.storage.regular_files import open_regular
from train.cache.folder import CacheFolder
from train.errors import CheckpointError, RecordError, ShardfeedError
from train.input.open_source import open_source
from train.runs.folder import BEST, FILES, RunFolder
from train.runs.trained import open_trained

ROOT = Path(__file__).parents[3]
TESTS = ("test_security.py", "test_security_limits.py")


def sentences(text: str) -> set[str]:
    """Returns the sentences of the parts that are promises."""
    promises = text.partition("\n## ")[2].partition("\n## How to report")[0]
    paragraphs = [p for p in promises.split("\n\n") if not p.startswith(("What ", "## "))]
    plain = [" ".join(re.sub(r"^\*\*.*?\*\* ", "", p.strip()).split()) for p in paragraphs]
    return {found for p in plain for found in re.split(r"(?<=\.) (?=[A-Z`])", p) if found}


def test_each_sentence_has_a_test() -> None:
    promised = sentences((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(promised) > 20
    tests = [
        node
        for name in TESTS
        for node in ast.parse(Path(__file__).with_name(name).read_bytes()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    quoted = {" ".join((ast.get_docstring(test) or "").split()) for test in tests} - {""}
    assert promised - quoted == set()
    assert quoted - promised == set()


def reason(data: bytes, **options) -> str:
    with pytest.raises(ImageError) as caught:
        render(data, ImageOptions(crop=None, size=(12, 8), **options))
    return caught.value.reason


def test_formats() -> None:
    """An image is decoded as PNG, JPEG, BMP, GIF, TIFF or WebP, whichever its content is, and
    never by what its name says."""
    image = Image.new("RGB", (12, 8))
    for kind in ("EPS", "PDF", "PPM", "ICO", "TGA"):  # of which some start programs
        assert reason(encoded(image, kind)) == "unknown_format"
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        if kind == "WEBP":
            require_codec("webp")
        assert (
            render(encoded(image, kind), ImageOptions(crop=None, size=(12, 8))).source_format
            == kind
        )


def test_vast_images(tmp_path: Path) -> None:
    """A file of too many bytes is refused unread, and one of too many pixels is refused before any
    pixel is made."""
    (tmp_path / "x.png").write_bytes(b"")
    os.truncate(tmp_path / "x.png", 1 << 40)  # to read it would end the memory
    with pytest.raises(ImageError, match="too_large"):
        SourceReader(str(tmp_path), ImageOptions(crop=None, size=(12, 8)).max_bytes).read("x.png")
    assert reason(bomb(20_000, 20_000)) == "too_large"  # its rows are missing: to decode it fails
    assert reason(bomb(2_000, 2_000)) != "too_large"


def test_values_of_label_files(tmp_path: Path) -> None:
    """They are text: none of their values is run or imported."""
    draw_sources(tmp_path, 2)
    evil = [f"__import__('os').system('touch {tmp_path}/ran')", "os:system", "=cmd()", "!!x"]
    rows = [["i/0.png", evil[0]], ["i/1.png", evil[1]], ["i/0.png", evil[2]], ["i/1.png", evil[3]]]
    convert(write_manifest(tmp_path / "m.csv", ["path", "y0"], rows), tmp_path / "ds", split=ALL)
    assert set(read_dataset(str(tmp_path / "ds")).classes["y0"]) == set(evil)
    assert not (tmp_path / "ran").exists()


def test_the_fence(tmp_path: Path) -> None:
    """No path in them, and no link, leads out of `--root` and the folders of `--allow`."""
    for name in ("root", "allowed", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(name.encode())
    for name in ("allowed", "secret"):
        (tmp_path / "root" / f"{name}.png").symlink_to(tmp_path / name / "x.png")
        (tmp_path / "root" / name).symlink_to(tmp_path / name)
    reader = SourceReader(str(tmp_path / "root"), allow=(str(tmp_path / "allowed"),))
    inside = ("x.png", "allowed.png", "allowed/x.png", "../allowed/x.png", "secret/../root/x.png")
    assert [reader.read(path) for path in inside] == [b"root", *[b"allowed"] * 3, b"root"]
    for path in ("secret.png", "secret/x.png", "../secret/x.png", f"{tmp_path}/secret/x.png"):
        with pytest.raises(ImageError, match="outside_root"):
            reader.read(path)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("security")
    convert(draw_sources(folder, 20), folder / "ds", split=ALL, encoding="png")
    return folder / "ds"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"images-train', '"../images-train'),
        ('"images-train', '"/etc/images-train'),
        ('"height": 8', '"height": 100000000'),
        ('"records": 20', '"records": -1'),
        ('"bytes": ', '"bytes": -'),
        ('"channels": 3', '"channels": "3"'),
    ],
)
def test_dataset_json(old: str, new: str, dataset: Path, tmp_path: Path) -> None:
    """Each value of `dataset.json` is checked before it is used, and no name in it leads out of
    the folder."""
    text = (dataset / "dataset.json").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "dataset.json").write_text(text.replace(old, new))
    with pytest.raises(FormatError, match=r"dataset\.json: "):
        read_dataset(str(tmp_path))


def test_records_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose image is of another size than the dataset's is refused before any pixel is
    made."""
    from train.records.reading import encoded as reading

    reader = object.__new__(reading.EncodedReader)
    monkeypatch.setattr(reading, "plain_pixels", lambda _: pytest.fail("decoded"))
    with pytest.raises(reading.UnreadableError) as caught:
        reader._decode_into(np.zeros((8, 12, 3), np.uint8), 0, bomb(20_000, 20_000))
    assert "expected (12, 8)" in str(caught.value.__cause__)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a file under each name."""
    for name in FILES:
        path = tmp_path / "run" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"dataset": "d", "dataset_id": "i"}))
    return tmp_path / "run"


def test_paths_in_sources_parquet(dataset: Path, tmp_path: Path) -> None:
    """The paths in `sources.parquet` are names to print: no file is opened by them."""
    folder = shutil.copytree(dataset, tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    paths = pa.array([str(tmp_path / "pipe"), "\x1b[2J/etc/passwd"] * 10, pa.large_string())
    with (folder / "sources.parquet").open("wb") as file:
        write_source_paths(file, paths, read_dataset(str(folder)).plan_id)
    shard = next(folder.glob("*train*-of-?????"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    reader = open_source(str(folder), "train", 1).reader
    with pytest.raises(RecordError) as caught:
        reader.gather(np.arange(reader.num_records))
    assert "\x1b" not in str(caught.value)
    assert str(tmp_path / "pipe") in str(caught.value) or r"\x1b[2J/etc" in str(caught.value)


def test_values_of_a_run(run: Path, tmp_path: Path) -> None:
    """Each value of `config.json`, `environment.json`, `history.csv` and `checkpoint.json` is
    checked before it is used."""
    folder = RunFolder.open(str(run))
    (run / "config.json").write_text('{"dataset": "d", "dataset_id": "i", "epochs": "3"}')
    (run / "environment.json").write_text('{"backend": ["x"]}')
    (run / "history.csv").write_text("epoch,step,loss\n1,1,=cmd\n")
    for read in (folder.config, folder.environment, folder.history):
        with pytest.raises(FormatError, match="damaged"):
            read()
    damage: list[str] = []
    newest = rewritten(tmp_path / "c", step=-1).newest(lambda name, problem: damage.append(problem))
    assert (newest, damage) == (None, ["its checkpoint.json has step -1"])


class Runs:
    """Unpickling it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_no_pickle_and_no_code(run: Path, tmp_path: Path) -> None:
    """Arrays are read without pickle, and models without the code that may be in them."""
    marker = str(tmp_path / "ran")
    pickle.loads(pickle.dumps(Runs(marker)))
    os.rmdir(marker)  # it would have run
    checkpoint = rewritten(tmp_path / "c").newest(lambda *_: None)
    np.savez(os.path.join(checkpoint.path, "state.npz"), a=np.array([Runs(marker)], object))
    with pytest.raises(CheckpointError, match="never loaded"):
        checkpoint.require_arrays()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)])
    (run / BEST).unlink()
    model.save(run / BEST)
    with pytest.raises(FormatError, match="cannot be loaded as a model"):
        RunFolder.open(str(run)).load_model()
    assert not os.path.exists(marker)


def test_a_file_of_weights(tmp_path: Path) -> None:
    """A `.keras` file that `--weights` names is read in the same way."""
    path = str(tmp_path / "w.keras")
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    with pytest.raises(FormatError, match="cannot be loaded as a model"), open_trained(path):
        pass


def test_a_module_that_a_run_names(tiny_dataset: Path, tmp_path: Path, monkeypatch) -> None:
    """A `module:function` that a run's `config.json` names is imported only if you repeat it."""
    from train.training.resuming.resume import resume_training

    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("import os\nos.mkdir('ran')\n")
    learn(tiny_dataset, tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    (tmp_path / "run/config.json").write_text(json.dumps({**config, "model": "evil:build"}))
    with pytest.raises(UsageError, match="imported only if it is named"):
        resume_training(str(tmp_path / "run"), {"epochs": 2})
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_no_cache(tmp_path: Path) -> None:
    """A folder that is not empty is used as a cache only if it is one."""
    (tmp_path / "shards").mkdir()
    with pytest.raises(UsageError, match="no cache of shardfeed"):
        CacheFolder(str(tmp_path), 1000)
    assert os.listdir(tmp_path) == ["shards"]


def test_what_is_fetched_into_a_cache(dataset: Path, tmp_path: Path) -> None:
    """A shard that is fetched into a cache is compared with its digest in `dataset.json`."""
    import shutil

    from train import load_numpy

    shutil.copytree(dataset, tmp_path / "ds")
    (shard,) = (p for p in (tmp_path / "ds").glob("*.tfrecord-*") if p.suffix != ".idx")
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises((RecordError, ShardfeedError), match="sha256 is not that"):
        cache = {"cache": str(tmp_path / "cache"), "cache_bytes": 1 << 20}
        list(load_numpy(str(tmp_path / "ds"), "train", 4, **cache))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "link"])
def test_only_regular_files(kind: str, dataset: Path, tmp_path: Path) -> None:
    """Only regular files are opened: a pipe, a socket or a device in the place of one is an error,
    and is not waited for."""
    (tmp_path / "dataset.json").write_text("")
    KINDS[kind](tmp_path / "dataset.json")
    done = command("verify", tmp_path, check=False)
    assert done.returncode == 1
    assert f"{tmp_path}: cannot read its dataset.json" in done.stderr
    assert done.stderr.count("\n") == 1


def test_links(tmp_path: Path) -> None:
    """No link in the place of a file is followed."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "log.txt").symlink_to(tmp_path / "victim")
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        with pytest.raises(OSError, match="a link, expected a regular file"):
            open_regular(str(tmp_path / "log.txt"), flags)
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("name", [*FILES, "events", "checkpoints"])
def test_links_in_a_run(name: str, run: Path, tmp_path: Path) -> None:
    """A run in which a link stands for one of its files or folders is refused."""
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(tmp_path)
    with pytest.raises(FormatError, match="a link, expected a"):
        RunFolder.open(str(run))
