"""`--allow`: paths and links may lead out of the root into folders that the user names."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
from convert_cases import ALL, command, convert, digests, png, write_manifest
from fence_cases import NUM_ROWS, draw_cache, outside, refused
from hdfs_cases import put
from verify_cases import problems, verify

from convert.config import ConvertConfig
from convert.errors import ImageError, UsageError
from convert.images.sources.hdfs_reader import HdfsSourceReader, allowed_folders
from convert.images.sources.reader import SourceReader
from convert.job import convert_dataset
from convert.plan.dialects.roles import ManifestOptions
from convert.storage.places import filesystem_of
from convert.verify import VerifyConfig
from train.errors import UsageError as TrainUsageError
from train.predict.config import PredictConfig
from train.predict.sources.image_files import ManifestInputs


def test_the_cache_of_huggingface(tmp_path: Path) -> None:
    draw_cache(tmp_path)
    words = ["hub/snapshots/0a1b/m.csv", "out", "--size", 12, 8, "--split", "train=1"]
    done = command(*words, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert (
        "for outside_root, --allow hub/blobs lets in files below that folder (again for more "
        "folders).\n" in done.stderr
    )
    told = json.loads(
        command(*words, "--allow", "hub/blobs", "--json", cwd=tmp_path).stdout.splitlines()[-1]
    )
    assert (told["records"], told["quarantined"]) == (NUM_ROWS, 0)
    names = ["hub/snapshots/0a1b/train", "names", "--from-names", r"(\d+)\.png", "--pad-label"]
    command(*names, *words[2:], "--allow", "hub", cwd=tmp_path)
    info = json.loads((tmp_path / "out/dataset.json").read_text("utf-8"))
    assert "allow" not in json.dumps(info)


def test_what_is_allowed_does_not_change_a_byte(tmp_path: Path) -> None:
    manifest = draw_cache(tmp_path)
    for number, allow in enumerate([("hub/blobs",), ("hub",), ("/",), ("hub/blobs", "hub")]):
        folders = tuple(str(tmp_path / folder) for folder in allow)
        convert(manifest, tmp_path / f"out{number}", allow=folders, split=ALL)
    first, *others = (digests(tmp_path / f"out{number}") for number in range(4))
    assert others == [first] * 3


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A root beside two folders, with ways out of it of every kind."""
    for name in ("root/in", "beside/deep", "beside-2"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("root/a.png", "beside/b.png", "beside/deep/c.png", "beside-2/d.png"):
        (tmp_path / name).write_bytes(png())
    (tmp_path / "root/link.png").symlink_to("../beside/b.png")
    (tmp_path / "root/folder").symlink_to("../beside")
    (tmp_path / "root/in/twice.png").symlink_to("../link.png")
    (tmp_path / "beside/on.png").symlink_to("../beside-2/d.png")
    (tmp_path / "root/none.png").symlink_to("../beside/none.png")
    return tmp_path


# Path -> where it leads to from the root.
WAYS = {
    "../beside/b.png": "../beside/b.png",
    "in/../../beside/b.png": "../beside/b.png",
    "link.png": "../beside/b.png",
    "in/twice.png": "../beside/b.png",
    "folder/b.png": "../beside/b.png",
    "folder/deep/c.png": "../beside/deep/c.png",
    "folder/deep/../deep/c.png": "../beside/deep/c.png",
}
# What the folder beside the root does not let in.
FURTHER = {
    "../beside-2/d.png": "../beside-2/d.png",  # its name only begins alike
    "folder/on.png": "../beside-2/d.png",  # a link leads on
}


@pytest.mark.parametrize(("path", "place"), WAYS.items())
def test_nothing_leads_out_unless_allowed(places: Path, path: str, place: str) -> None:
    for reader in (
        SourceReader(str(places / "root")),
        SourceReader(str(places / "root"), allow=(str(places / "beside/deep/none"),)),
    ):
        assert refused(reader.read, path) == outside(place)


@pytest.mark.parametrize("path", [*WAYS, "a.png"])
def test_what_is_allowed_is_read(places: Path, path: str) -> None:
    for allow in ("beside", "beside/", "root/folder", "/"):
        reader = SourceReader(str(places / "root"), allow=(str(places / allow),))
        assert reader.read(path) == png()
        assert reader.is_there(path)


@pytest.mark.parametrize(("path", "place"), FURTHER.items())
def test_what_is_allowed_is_a_fence_again(places: Path, path: str, place: str) -> None:
    reader = SourceReader(str(places / "root"), allow=(str(places / "beside"),))
    for look in (reader.read, reader.is_there):
        assert refused(look, path) == outside(place)
    both = (str(places / "beside"), str(places / "beside-2"))
    assert SourceReader(str(places / "root"), allow=both).read(path) == png()


def test_what_is_allowed_must_be_files_all_the_same(places: Path) -> None:
    (places / "root/zero.png").symlink_to("/dev/zero")
    os.mkfifo(places / "beside/pipe.png")
    reader = SourceReader(str(places / "root"), allow=("/",))
    for path in ("zero.png", "/dev/zero", "folder/pipe.png"):
        assert refused(reader.read, path)[0] == "not_a_file"
    assert refused(reader.read, "none.png")[0] == "missing"


def test_a_link_that_is_put_in_place_of_a_file_is_not_followed(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def swapped(path: str, *more: int) -> int:
        os.unlink(path)
        os.symlink(places / "beside-2/d.png", path)
        return real(path, *more)

    monkeypatch.setattr(os, "open", swapped)
    reader = SourceReader(str(places / "root"), allow=(str(places / "beside"),))
    assert refused(reader.read, "link.png")[0] == "not_a_file"


# Options


@pytest.mark.parametrize("folder", ["none", "m.csv", ""])
def test_a_folder_that_is_not_there(tmp_path: Path, folder: str) -> None:
    write_manifest(tmp_path / "m.csv", ["path", "y0"], [["a.png", "1"]])
    done = command("m.csv", "out", "--size", 1, 1, "--allow", folder, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        f"convert: error: --allow {folder}: no such folder. Name a folder that paths and links "
        "may lead into.\n",
    )


def test_addresses_and_folders_are_not_mixed() -> None:
    with pytest.raises(UsageError, match="--root is a folder of this machine"):
        allowed_folders("/data", ("hdfs://a:1/b",))
    with pytest.raises(UsageError, match="no address, but --root is on HDFS"):
        allowed_folders("hdfs://a:1/b", ("beside",))
    assert allowed_folders("hdfs://a:1/b", ("/",)) == ("hdfs://",)


def test_options_that_need_others() -> None:
    with pytest.raises(UsageError) as caught:
        VerifyConfig(dataset="d", manifest="m.csv", allow=("x",))
    assert str(caught.value) == "--allow needs --deep: nothing else reads the sources."
    for more in ({"images": ("a.png",)}, {"manifest": "m.csv", "split": "test"}):
        with pytest.raises(TrainUsageError) as caught:
            PredictConfig(allow=("x",), **more)
        assert str(caught.value) == "--allow needs --manifest: image files may lie anywhere."


# Other commands


def test_verify_reads_what_is_allowed(tmp_path: Path) -> None:
    manifest = draw_cache(tmp_path)
    allow = (str(tmp_path / "hub/blobs"),)
    convert(manifest, tmp_path / "out", allow=allow, split=ALL)
    options = {"manifest": str(manifest), "deep": True}
    assert problems(tmp_path / "out", **options, allow=allow) == []
    assert verify(tmp_path / "out", **options).num_problems == NUM_ROWS
    with pytest.raises(UsageError, match="--allow none: no such folder"):
        verify(tmp_path / "out", **options, allow=("none",))
    words = ["verify", tmp_path / "out", "--manifest", manifest, "--deep", "--allow", allow[0]]
    assert "pixels the sources" in command(*words).stderr


def test_prediction_reads_what_is_allowed(tmp_path: Path) -> None:
    manifest = draw_cache(tmp_path)
    allow = (str(tmp_path / "hub"),)
    info = convert(manifest, tmp_path / "out", allow=allow, split=ALL).info
    for folders, num_good in ((allow, NUM_ROWS), ((), 0)):
        inputs = ManifestInputs(str(manifest), None, folders, info, ManifestOptions())
        samples = [s for batch in inputs.batches(5) for piece in batch for s in piece()]
        bad = [sample for sample in samples if isinstance(sample.image, ImageError)]
        assert (len(samples), len(samples) - len(bad)) == (NUM_ROWS, num_good)
        assert {sample.image.reason for sample in bad} <= {"outside_root"}


# HDFS


def test_addresses_that_are_allowed(hdfs) -> None:
    files = filesystem_of(hdfs)
    for folder in ("root", "beside", "beside-2"):
        files.make_folder(f"{hdfs}/{folder}")
    names = ("root/a.png", "beside/b.png", "beside-2/c.png")
    files.together(*(partial(put, files, f"{hdfs}/{name}", png()) for name in names))
    inside = hdfs[hdfs.index("/tests") :]
    root = f"{hdfs}/root"
    for allow in (f"{hdfs}/beside", f"{hdfs}/beside/", f"{inside}/beside", "/"):
        reader = HdfsSourceReader(root, None, allowed_folders(root, (allow,)))
        for path in ("a.png", "../beside/b.png", f"{inside}/beside/b.png", f"{hdfs}/beside/b.png"):
            assert reader.read(path) == png()
            assert reader.is_there(path)
        assert not reader.is_there("../beside/none.png")
        if allow != "/":
            for look in (reader.read, reader.is_there):
                assert refused(look, "../beside-2/c.png") == outside("../beside-2/c.png")
    for folder in (f"{hdfs}/none", f"{inside}/root/a.png"):
        with pytest.raises(UsageError, match="no such folder"):
            allowed_folders(root, (folder,))


def test_a_conversion_of_hdfs_with_a_sibling_folder(hdfs, tmp_path: Path) -> None:
    files = filesystem_of(hdfs)
    for folder in ("labels", "images"):
        files.make_folder(f"{hdfs}/{folder}")
    rows = [[f"../images/{row}.png", str(row)] for row in range(3)]
    table = write_manifest(tmp_path / "m.csv", ["path", "y0"], rows).read_bytes()
    contents = {f"images/{row}.png": png(seed=row) for row in range(3)} | {"labels/m.csv": table}
    files.together(*(partial(put, files, f"{hdfs}/{n}", c) for n, c in contents.items()))
    config = ConvertConfig(
        manifest=f"{hdfs}/labels/m.csv",
        dataset=str(tmp_path / "out"),
        size=(12, 8),
        split=ALL,
        workers=1,
        allow=(f"{hdfs}/images",),
    )
    assert convert_dataset(config).records == 3
