"""Shards of PNG and JPEG: the index, the frames without it, and the images themselves."""

import random
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from convert_cases import encoded, png
from PIL import Image
from verify_cases import (
    copy_of,
    draw,
    encode,
    flip,
    list_again,
    problems,
    read,
    verify,
    write,
)

from convert.dataset.record import masked_crc

TRAIN = "images-train.tfrecord-00000-of-00001"
VALIDATION = "images-validation.tfrecord-00000-of-00001"
INDEX = f"{TRAIN}.idx"


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for encoding in ("png", "jpeg"):
        folders[encoding] = tmp_path_factory.mktemp(encoding)
        draw(folders[encoding], encoding=encoding, shard_bytes=10**6)
    return folders


@pytest.fixture
def dataset(wholes: dict[str, Path], tmp_path: Path) -> Path:
    return copy_of(wholes["png"], tmp_path)


def places(dataset: Path) -> list[tuple[int, int]]:
    """Returns where each record of the training shard starts, and its length."""
    lines = (dataset / INDEX).read_text().splitlines()
    return [(int(start), int(length)) for start, length in map(str.split, lines)]


def replace(dataset: Path, number: int, record: bytes) -> None:
    """Puts a record in the place of another, as if it had been written so."""
    content, parts = read(dataset / TRAIN), []
    for start, length in places(dataset):
        parts.append(content[start : start + length])
    parts[number] = record
    starts = np.cumsum([0, *map(len, parts)])
    index = "".join(f"{start} {len(part)}\n" for start, part in zip(starts, parts, strict=False))
    write(dataset / TRAIN, b"".join(parts))
    write(dataset / INDEX, index.encode())
    list_again(dataset, TRAIN)
    list_again(dataset, INDEX)


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_sound(wholes: dict[str, Path], encoding: str) -> None:
    manifest = str(wholes[encoding] / "m.csv")
    result = verify(wholes[encoding] / "out", manifest=manifest, deep=True)
    assert (result.problems, result.sound_records) == ([], 40)


DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no index": (
        lambda out: (out / INDEX).unlink(),
        [f"{INDEX}: missing index"],
    ),
    "a folder for an index": (
        lambda out: ((out / INDEX).unlink(), (out / INDEX).mkdir()),
        [f"{INDEX}: a folder, expected a file"],
    ),
    "a damaged index": (
        lambda out: flip(out / INDEX, 9),
        [f"{INDEX}: damaged index: its sha256 differs"],
    ),
    "an index of other records": (
        lambda out: (write(out / INDEX, b"0 1\n"), list_again(out, INDEX)),
        [f"{INDEX}: damaged index: it lists 1 records, expected 30"],
    ),
    "no index, and a damaged pixel": (
        lambda out: ((out / INDEX).unlink(), flip(out / TRAIN, -9)),
        [
            f"{INDEX}: missing index",
            f"{TRAIN}: flipped bytes in record 29 (it reads manifest row 29)",
        ],
    ),
    "no index, and a damaged length": (
        lambda out: (flip(out / TRAIN, places(out)[12][0]), (out / INDEX).unlink()),
        [
            f"{INDEX}: missing index",
            f"{TRAIN}: flipped bytes in record 12: its length is damaged, "
            "and without an index the 17 records after it are lost",
        ],
    ),
    "a damaged length": (
        lambda out: flip(out / TRAIN, places(out)[12][0]),
        [f"{TRAIN}: flipped bytes in record 12"],
    ),
    "noise as a record": (
        lambda out: replace(out, 3, b"noise"),
        [f"{TRAIN}: flipped bytes in record 3"],
    ),
    "no image": (
        lambda out: replace(out, 3, encode([0, 3], 3, b"GIF89a")),
        [
            f"{TRAIN}: no valid image in record 3 (manifest row 3): "
            "starts with b'GIF89a', expected one of PNG, JPEG, BMP, GIF, TIFF, WEBP"
        ],
    ),
    "an image of another format": (
        lambda out: replace(out, 3, encode([0, 3], 3, picture((12, 8), "BMP"))),
        [
            f"{TRAIN}: no valid image in record 3 (manifest row 3): "
            "BMP of 12x8 in mode RGB, expected PNG of 12x8 in mode RGB"
        ],
    ),
    "an image of another size": (
        lambda out: replace(out, 3, encode([0, 3], 3, png((8, 12)))),
        [
            f"{TRAIN}: no valid image in record 3 (manifest row 3): "
            "PNG of 8x12 in mode RGB, expected PNG of 12x8 in mode RGB"
        ],
    ),
    "a larger image": (
        lambda out: replace(out, 3, encode([0, 3], 3, png((12, 9)))),
        [f"{TRAIN}: no valid image in record 3 (manifest row 3): 12x9 is more than 96 pixels"],
    ),
    "an image with a damaged chunk": (
        lambda out: replace(out, 3, encode([0, 3], 3, png()[:60] + b"x" + png()[61:])),
        [
            f"{TRAIN}: no valid image in record 3 (manifest row 3): "
            "the CRC of PNG chunk 'IDAT' is wrong"
        ],
    ),
}


def picture(size: tuple[int, int], kind: str) -> bytes:
    return encoded(Image.open(BytesIO(png(size))), kind)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(dataset: Path, name: str) -> None:
    damage, expected = DAMAGES[name]
    damage(dataset)
    assert problems(dataset) == expected


@pytest.mark.parametrize("has_index", [True, False])
def test_truncated(dataset: Path, has_index: bool) -> None:
    total, size = len(read(dataset / TRAIN)), places(dataset)[12][0] + 200
    write(dataset / TRAIN, read(dataset / TRAIN)[:size])
    if not has_index:
        (dataset / INDEX).unlink()
    assert problems(dataset) == [f"{INDEX}: missing index"] * (not has_index) + [
        f"{TRAIN}: truncated: {size:,} of {total:,} bytes; 12 of 30 records are whole"
    ]


def test_frames_too_short_for_records(dataset: Path) -> None:
    """More of them than records fit into so many bytes."""
    length = struct.pack("<Q", 1)
    frame = length + struct.pack("<I", masked_crc(google_crc32c.value(length))) + bytes(5)
    (dataset / INDEX).unlink()
    write(dataset / TRAIN, 30 * frame)
    kinds = [problem.kind for problem in verify(dataset).problems]
    assert kinds[:2] == ["missing", "truncated"]
    assert set(kinds[2:]) == {"flipped_bytes"}


def test_a_truncated_index(dataset: Path) -> None:
    whole = read(dataset / INDEX)
    write(dataset / INDEX, whole[:-1])
    assert problems(dataset) == [f"{INDEX}: damaged index: it does not have its {len(whole)} bytes"]


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
@pytest.mark.parametrize("seed", range(20))
def test_no_flipped_byte_goes_unseen(
    wholes: dict[str, Path], tmp_path: Path, encoding: str, seed: int
) -> None:
    dataset = copy_of(wholes[encoding], tmp_path)
    chance = random.Random(seed)
    file = chance.choice([TRAIN, INDEX, VALIDATION])
    flip(dataset / file, chance.randrange(len(read(dataset / file))), bit=1 << chance.randrange(8))
    (problem,) = verify(dataset).problems
    assert (problem.kind, problem.file) == ("index" if file == INDEX else "flipped_bytes", file)


def test_another_libjpeg_may_round_otherwise(wholes: dict[str, Path], tmp_path: Path) -> None:
    dataset = copy_of(wholes["jpeg"], tmp_path)
    with Image.open(tmp_path / "i/3.png") as source:
        pixels = np.asarray(source).astype(np.int16)
    for levels, differs in ((1, False), (40, True)):
        other = Image.fromarray(np.clip(pixels + levels, 0, 255).astype(np.uint8))
        # A quality and sampling that lose nothing to speak of: what differs is what was added.
        content = encoded(other, "JPEG", quality=90, subsampling=0)
        replace(dataset, 3, encode([0, 3], 3, content))
        found = verify(dataset, manifest=str(tmp_path / "m.csv"), deep=True).problems
        assert [problem.kind for problem in found] == ["pixels_differ"] * differs
