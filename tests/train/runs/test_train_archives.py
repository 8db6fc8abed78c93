"""Arrays and models that claim more than they hold: no memory is taken for what is not there."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from convert.dataset.read import read_dataset
from train.errors import CheckpointError, FormatError
from train.evaluation.seen_images import seen_digests
from train.model.variables import require_state
from train.runs.files.archives import (
    read_array,
    read_arrays,
    read_headers,
    require_real_model,
)
from train.runs.folder import BEST, RunFolder

LITTLE = 16 << 20  # bytes


def npy(shape: object, dtype: str = "'<f4'", content: bytes = bytes(16)) -> bytes:
    """Returns a .npy file whose header claims a shape, whatever follows."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(-(len(text) + 11) % 64 + len(text)) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + content


def packed(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


NONE, HEADER = "it is no archive of arrays", "an array has no header that can be read"
CLAIMS = {
    "4 TB": (npy((10**12,)), "an array claims 4,000,000,000,000 bytes, of 16"),
    "a number beyond all": (npy((10**30, 4)), "an array claims "),
    "an element more": (npy((5,)), "an array claims 20 bytes, of 16"),
    "an element less": (npy((3,)), "an array claims 12 bytes, of 16"),
    "vast elements": (npy((1,), "'|V1000000000'"), "an array claims 1,000,000,000 bytes, of 16"),
    "less than nothing": (npy((-2, -2)), "an array claims 16 bytes, of 16"),
    "objects": (npy((2,), "'|O'"), "an array of Python objects, which are never loaded"),
    "no numbers": (npy("('a',)"), HEADER),
    "brackets": (npy("(" * 9_000), HEADER),
    "no header": (b"abc", HEADER),
    "a later version": (b"\x93NUMPY\3\0" + npy((4,))[8:], HEADER),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_what_an_array_claims_is_compared_with_its_size(name, tmp_path):
    content, problem = CLAIMS[name]
    path = packed(tmp_path / "x.npz", {"a.npy": npy((4,)), "b.npy": content})
    single = tmp_path / "x.npy"
    single.write_bytes(content)
    tracemalloc.start()
    for read, place in ((read_headers, path), (read_arrays, path), (read_array, single)):
        with place.open("rb") as file, pytest.raises(ValueError) as caught:
            read(file)
        assert str(caught.value).startswith(problem)
    assert tracemalloc.get_traced_memory()[1] < LITTLE
    tracemalloc.stop()


def test_honest_arrays_are_read(tmp_path):
    arrays = {
        "a/0": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b/0": np.zeros((0, 4), np.int64),
        "c/0": np.asfortranarray(np.eye(3)),
        "d/0": np.array(7, np.uint32),
    }
    np.savez(tmp_path / "x.npz", **arrays)
    with (tmp_path / "x.npz").open("rb") as file:
        found = read_arrays(file)
    assert [*found] == [*arrays]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        np.save(tmp_path / "y.npy", array)
        with (tmp_path / "y.npy").open("rb") as file:
            np.testing.assert_array_equal(read_array(file), array)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: packed(path, {"a.npy": npy((4,)) + bytes(1 << 22)}, zipfile.ZIP_DEFLATED),
         "its arrays are larger than the file"),
        (lambda path: path.write_bytes(b"PK no archive"), NONE),
        (lambda path: path.write_bytes(b""), NONE),
        (lambda path: path.write_bytes(
            packed(path, {"a.npy": npy((4,))}).read_bytes().replace(b"\x93NUMPY", b"\x93NUMPX")),
         HEADER),
    ],
)  # fmt: skip
def test_damaged_archives_are_told(spoil, problem, tmp_path):
    spoil(tmp_path / "x.npz")
    with (tmp_path / "x.npz").open("rb") as file, pytest.raises(ValueError, match=problem):
        read_arrays(file)


def test_a_damaged_member_is_told(tmp_path):
    content = npy((4_000,), content=bytes(15_984) + b"0123456789abcdef")
    path = packed(tmp_path / "x.npz", {"a.npy": content})
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))  # another CRC
    with path.open("rb") as file, pytest.raises(ValueError, match=NONE):
        read_arrays(file)


class _Model:
    """Has one variable of each group, as a Keras model has."""

    def __init__(self) -> None:
        self.trainable_variables = [np.zeros((2, 3), np.float32)]
        self.non_trainable_variables: list[object] = []
        self.optimizer = self
        self.variables: list[object] = []
        self.metrics_variables: list[object] = []


def test_a_checkpoint_is_compared_with_the_model_before_it_is_read(tmp_path):
    path = packed(tmp_path / "x.npz", {"trainable/0.npy": npy((4,))})
    with path.open("rb") as file:
        headers = read_headers(file)
    with pytest.raises(CheckpointError, match=r"number 0 is float32 \[4\], expected float32 \[2, "):
        require_state(_Model(), headers)
    good = {"trainable/0": np.zeros((2, 3), np.float32)}
    require_state(_Model(), good)
    with pytest.raises(CheckpointError, match="has an array 'more/0', which no model has"):
        require_state(_Model(), {**good, "more/0": np.zeros(1)})


@pytest.fixture
def saved(tmp_path) -> RunFolder:
    """A folder with a model of one layer."""
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / BEST)
    run = RunFolder(str(tmp_path))
    run.config = lambda: {"model": "cnn"}
    return run


def refused(run: RunFolder) -> str:
    with pytest.raises(FormatError) as caught:
        run.load_model()
    assert str(caught.value) == f"{run.file(BEST)}: cannot be loaded as a model. Train again."
    return str(caught.value.__cause__)


def members(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_model_is_read_from_the_file_that_was_checked(saved, tmp_path, monkeypatch):
    """Another file in its place between the check and the reading changes nothing."""
    path = saved.file(BEST)
    weights = saved.load_model().get_weights()

    def swap(file):
        require_real_model(file)
        (tmp_path / "other").write_bytes(b"no model")
        os.replace(tmp_path / "other", path)

    monkeypatch.setattr("train.runs.files.network.require_real_model", swap)
    found = saved.load_model().get_weights()
    assert Path(path).read_bytes() == b"no model"
    for ours, theirs in zip(found, weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_link_stands_for_a_model(saved, tmp_path):
    shutil.move(saved.file(BEST), tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", saved.file(BEST))
    assert "a link, expected a regular file" in refused(saved)


def test_a_packed_model_is_a_bomb(saved, tmp_path):
    content = {**members(saved.file(BEST)), "config.json": b" " * (1 << 24)}
    packed(tmp_path / BEST, content, zipfile.ZIP_DEFLATED)
    assert refused(saved) == "its arrays are larger than the file"


@pytest.mark.parametrize("options", [{}, {"chunks": (1 << 20,), "compression": "gzip"}])
def test_weights_that_are_not_there_take_no_memory(options, saved, tmp_path):
    content = members(saved.file(BEST))
    buffer = io.BytesIO(content["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        name = "layers/dense/vars/0"
        del file[name]
        file.create_dataset(name, (1 << 31,), "f4", **options)
    packed(tmp_path / BEST, {**content, "model.weights.h5": buffer.getvalue()})
    assert refused(saved) == "its weights are larger than the file"


def test_a_model_without_weights_is_told(saved, tmp_path):
    content = members(saved.file(BEST))
    del content["model.weights.h5"]
    packed(tmp_path / BEST, content)
    assert refused(saved) == NONE
    packed(tmp_path / BEST, {**content, "model.weights.h5": b"no HDF5"})
    refused(saved)


def test_vast_digests_are_not_known(tmp_path):
    """In a process of little memory, which would die of what NumPy reserves."""
    (tmp_path / "training_images.npy").write_bytes(npy((10**12,), "'<u8'"))
    run = RunFolder(str(tmp_path))
    run.config = lambda: {"dataset": "gone", "dataset_id": "0"}
    assert seen_digests(run) is None


def test_what_a_run_left_out_it_has_not_seen(tiny_dataset, tmp_path):
    """Where the list of its images is gone, the dataset cannot stand for it."""
    run = RunFolder(str(tmp_path))
    known = {"dataset": str(tiny_dataset), "dataset_id": read_dataset(str(tiny_dataset)).dataset_id}
    run.config = lambda: known
    assert len(seen_digests(run)) == 90
    run.config = lambda: {**known, "leave_out": "1/3"}
    assert seen_digests(run) is None


def test_the_process_of_a_vast_claim_stays_small(tmp_path):
    path = packed(tmp_path / "x.npz", {"a.npy": npy((1 << 32,))})
    program = (
        "import resource, sys; from train.runs.files.archives import read_arrays\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try: read_arrays(open(sys.argv[1], 'rb'))\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "an array claims 17,179,869,184 bytes, of 16\n"


def test_the_weights_are_read_once_from_start_to_end(saved, monkeypatch):
    """Each step back in an archive's member would read all before it again."""

    def refuse(*_):
        raise AssertionError("seeks")

    monkeypatch.setattr(zipfile.ZipExtFile, "seek", refuse)
    with open(saved.file(BEST), "rb") as file:
        require_real_model(file)
