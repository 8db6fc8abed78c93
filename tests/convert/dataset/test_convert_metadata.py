"""`dataset.json`: what is read back is consistent, or refused with one error."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.dataset.info import DatasetInfo, Shard, shard_file
from convert.dataset.parser import parse_dataset
from convert.dataset.read import read_dataset
from convert.errors import FormatError
from convert.images.options import ImageOptions

STRIDE = 369
SHA = "0123456789abcdef" * 4


def info(**more: Any) -> DatasetInfo:
    splits = {
        split: tuple(
            Shard(
                file=shard_file("strips", split, index, len(counts)),
                records=records,
                bytes=records * STRIDE,
                sha256=SHA,
            )
            for index, records in enumerate(counts)
        )
        for split, counts in {"train": [8, 0, 3], "validation": [2]}.items()
    }
    image = {
        "height": 8,
        "width": 12,
        "channels": 3,
        "encoding": "raw",
        "quality": None,
        "crop": [0, 0, 12, 8],
        "resample": "bicubic",
        "alpha": "drop",
        "pad_crop": False,
        "exif": False,
        "fast_decode": False,
        "row_boxes": False,
        "max_pixels": 100,
    }
    values: dict[str, Any] = {
        "name": "strips",
        "image": ImageOptions.from_json(image),
        "outputs": {"y0": "y0", "y1": "y1"},
        "vocabularies": {"y0": ("长", "\u2028", "c"), "y1": ("a", "")},
        "splits": splits,
        "plan_id": SHA,
        "manifest_sha256": SHA,
        "options": {"seed": 0, "split": [["train", 0.9]]},
    }
    return DatasetInfo(**values | more)


IMAGE_WITHOUT_CROP = {key: value for key, value in info().image.to_json().items() if key != "crop"}


def error(text: str) -> str:
    with pytest.raises(FormatError) as caught:
        parse_dataset(text, "out/dataset.json")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip() -> None:
    text = info().to_json()
    parsed = parse_dataset(text, "out/dataset.json")
    assert parsed == info()
    assert parsed.to_json() == text
    assert parsed.image_shape == (8, 12, 3)
    assert parsed.layout.stride == STRIDE
    assert parsed.classes == {"y0": ("长", "\u2028", "c"), "y1": ("a", "")}
    assert (parsed.num_records("train"), parsed.num_records("validation")) == (11, 2)


def test_the_id_is_the_sha256_of_the_file(tmp_path: Path) -> None:
    from convert.storage.places import sha256_file

    (tmp_path / "dataset.json").write_text(info().to_json(), encoding="utf-8")
    read = read_dataset(str(tmp_path))
    assert read.dataset_id == sha256_file(str(tmp_path / "dataset.json"))


def test_shard_names_are_those_of_tfds() -> None:
    assert shard_file("images", "train", 7, 12) == "images-train.tfrecord-00007-of-00012"


REPAIR = "Convert again, or restore the file."
NO_CLASSES = f"`vocabularies.y0` is no list of distinct classes. {REPAIR}"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("format_version", 2, "format version 2; this shardfeed reads 1."),
        ("format_version", True, f"`format_version` is missing or no int. {REPAIR}"),
        ("name", "../../etc", f"`name` '../../etc' is no shard name. {REPAIR}"),
        ("image", [], f"`image` is missing or no dict. {REPAIR}"),
        ("image.height", 0, f"`image` cannot be 0x12x3. {REPAIR}"),
        ("image.height", -8, f"`image` cannot be -8x12x3. {REPAIR}"),
        ("image.width", 10**9, f"`image` cannot be 8x{10**9}x3. {REPAIR}"),
        ("image.channels", 2, f"`image` cannot be 8x12x2. {REPAIR}"),
        ("image.encoding", "gif", f"`image.encoding` 'gif' is not known. {REPAIR}"),
        ("image.quality", 90, f"`image.quality` cannot be 90. {REPAIR}"),
        ("image.resample", "cubist", f"`image.resample` 'cubist' is not known. {REPAIR}"),
        ("image.alpha", "pink", f"`image.alpha` 'pink' is not known. {REPAIR}"),
        ("image.crop", [0, 0, 12], f"`image.crop` is no box. {REPAIR}"),
        ("image.crop", [4, 0, 4, 8], f"`image.crop` is no box. {REPAIR}"),
        ("image", IMAGE_WITHOUT_CROP, f"`image.crop` is no box. {REPAIR}"),
        ("image.max_pixels", 0, f"`image.max_pixels` is below 1. {REPAIR}"),
        ("image.pad_crop", 1, f"`pad_crop` is missing or no bool. {REPAIR}"),
        ("outputs", [], f"`outputs` are not distinct. {REPAIR}"),
        ("outputs.1.name", "y0", f"`outputs` are not distinct. {REPAIR}"),
        ("outputs.1.vocabulary", "y9", f"`outputs` lack a vocabulary. {REPAIR}"),
        ("vocabularies.y0", [], NO_CLASSES),
        (
            "vocabularies.y0",
            ["a", "a"],
            NO_CLASSES,
        ),
        (
            "vocabularies.y0",
            ["a", 1],
            NO_CLASSES,
        ),
        ("vocabularies.y0", [[]], NO_CLASSES),
        ("splits.dev", {}, f"`splits` has 'dev'. {REPAIR}"),
        ("splits.train.records", 12, f"`splits.train.records` is wrong. {REPAIR}"),
        (
            "splits.train.shards.0.file",
            "/etc/passwd",
            f"shard '/etc/passwd' should be 'strips-train.tfrecord-00000-of-00003'. {REPAIR}",
        ),
        (
            "splits.train.shards.0.records",
            -8,
            f"strips-train.tfrecord-00000-of-00003: -8 records do not take {8 * STRIDE}. {REPAIR}",
        ),
        (
            "splits.train.shards.2.bytes",
            1,
            f"strips-train.tfrecord-00002-of-00003: 3 records do not take 1. {REPAIR}",
        ),
        ("splits.train.shards.0.sha256", SHA.upper(), f"`sha256` is no sha256. {REPAIR}"),
        ("plan_id", SHA + "\n", f"`plan_id` is no sha256. {REPAIR}"),
        (
            "layout.row_offset",
            52,
            f"`layout` is not the one that its image and outputs give. {REPAIR}",
        ),
        ("options", None, f"`options` is missing or no dict. {REPAIR}"),
    ],
)
def test_each_value_is_checked(place: str, value: Any, message: str) -> None:
    content = json.loads(info().to_json())
    holder: Any = content
    *path, last = place.split(".")
    for key in path:
        holder = holder[int(key) if isinstance(holder, list) else key]
    holder[last] = value
    assert error(json.dumps(content)) == f"out/dataset.json: {message}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_what_is_no_json(text: str, problem: str) -> None:
    assert error(text) == f"out/dataset.json: not valid JSON: {problem}. Convert again."


def test_endless_nesting_is_refused() -> None:
    nested = info().to_json().replace('"seed": 0', '"seed": ' + "[" * 990 + "]" * 990)
    for text in ("[" * 100_000, nested):
        assert error(text).startswith("out/dataset.json: not valid JSON: maximum recursion depth")


def test_half_a_character_is_refused() -> None:
    text = info().to_json().replace("长", "\\ud800")
    assert error(text).startswith(
        "out/dataset.json: not valid JSON: 'utf-8' codec can't encode character '\\ud800'"
    )


STRANGE = [None, True, 0, -1, 1, 2**70, 1.5, float("nan"), "", "x", "\ud800", [], [[]], {}, {"": 0}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the path of every value inside a JSON value."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    return [path] * bool(path) + [p for key in keys for p in places(value[key], (*path, key))]


def mutate(content: Any, path: tuple[Any, ...], random: np.random.Generator) -> None:
    """Replaces, removes or doubles the value at a path."""
    *parents, last = path
    for key in parents:
        content = content[key]
    action = random.integers(4)
    if action == 0:
        del content[last]
    elif action == 1 and isinstance(content, list):
        content.insert(last, copy.deepcopy(content[last]))
    elif action == 2 and isinstance(content[last], int):
        content[last] += int(random.integers(-2, 3))
    else:
        content[last] = STRANGE[random.integers(len(STRANGE))]


def test_any_changed_value_is_refused_or_consistent() -> None:
    original = json.loads(info().to_json())
    paths, random = places(original), np.random.default_rng(0)
    accepted = 0
    for number in range(20 * len(paths)):
        content = copy.deepcopy(original)
        mutate(content, paths[number % len(paths)], random)
        try:
            parsed = parse_dataset(json.dumps(content), "d")
        except FormatError as refusal:
            assert "\n" not in str(refusal)
            continue
        accepted += 1
        check_consistent(parsed)
    assert 0 < accepted < 10 * len(paths)


def check_consistent(parsed: DatasetInfo) -> None:
    assert parse_dataset(parsed.to_json(), "d").dataset_id == parsed.dataset_id
    height, width, channels = parsed.image_shape
    assert parsed.layout.image_bytes == height * width * channels > 0
    assert all(len(classes) > 0 for classes in parsed.classes.values())
    for split, shards in parsed.splits.items():
        for index, shard in enumerate(shards):
            assert shard.file == shard_file(parsed.name, split, index, len(shards))
            assert shard.bytes == shard.records * parsed.layout.stride >= 0


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nothing", "{d}: no such dataset folder. Make it with `convert MANIFEST DATASET`."),
        ("a file", "{d}: no such dataset folder. Make it with `convert MANIFEST DATASET`."),
        (
            "an empty folder",
            "{d}: no dataset.json in it, so it is no finished dataset. "
            "Make it with `convert MANIFEST DATASET`.",
        ),
        ("a folder for a file", "{d}: cannot read its dataset.json: Is a directory."),
        ("not UTF-8", "{d}/dataset.json: not UTF-8 text. Convert again."),
    ],
)
def test_folders_without_a_dataset(tmp_path: Path, kind: str, message: str) -> None:
    folder = tmp_path / "d"
    if kind == "a file":
        folder.touch()
    elif kind != "nothing":
        folder.mkdir()
    if kind == "a folder for a file":
        (folder / "dataset.json").mkdir()
    elif kind == "not UTF-8":
        (folder / "dataset.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(FormatError) as caught:
        read_dataset(str(folder))
    assert str(caught.value) == message.format(d=folder)
