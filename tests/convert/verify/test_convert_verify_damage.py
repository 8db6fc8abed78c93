"""Every kind of damage is found and named as that kind."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from verify_cases import (
    RESTORE,
    STRIDE,
    TRAIN,
    VALIDATION,
    copy_of,
    draw,
    encode,
    flip,
    problems,
    read,
    rewrite,
    verify,
    write,
)

from convert.dataset.record import layout_of_image
from convert.verify.findings import LISTED

LAYOUT = layout_of_image(2, 12 * 8 * 3)
PIXEL = LAYOUT.image_offset + 100
SIZE = 10 * STRIDE
NOTHING = bytes(12 * 8 * 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    draw(folder)
    return folder


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return copy_of(whole, tmp_path)


def exchange(first: Path, second: Path) -> None:
    content = read(first)
    write(first, read(second))
    write(second, content)


def zero(path: Path, start: int, stop: int) -> None:
    content = read(path)
    write(path, content[:start] + bytes(stop - start) + content[stop:])


DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a pixel": (
        lambda out: flip(out / TRAIN[1], 3 * STRIDE + PIXEL),
        [f"{TRAIN[1]}: flipped bytes in record 3 (it reads manifest row 13)"],
    ),
    "a length field": (
        lambda out: flip(out / TRAIN[1], 3 * STRIDE),
        [f"{TRAIN[1]}: flipped bytes in record 3"],
    ),
    "a row, so that it reads another's": (
        lambda out: flip(out / TRAIN[1], 3 * STRIDE + LAYOUT.row_offset),
        [f"{TRAIN[1]}: flipped bytes in record 3 (it reads manifest row 12)"],
    ),
    "a lost block": (
        lambda out: zero(out / TRAIN[1], 2 * STRIDE, 3 * STRIDE + 4),
        [
            f"{TRAIN[1]}: zeros in place of record 2",
            f"{TRAIN[1]}: flipped bytes in record 3",
        ],
    ),
    "a missing shard": (
        lambda out: (out / TRAIN[1]).unlink(),
        [f"{TRAIN[1]}: missing shard of 10 records"],
    ),
    "a link that leads nowhere": (
        lambda out: ((out / TRAIN[1]).unlink(), (out / TRAIN[1]).symlink_to("gone")),
        [f"{TRAIN[1]}: missing shard of 10 records, a link that leads nowhere"],
    ),
    "a folder for a shard": (
        lambda out: ((out / TRAIN[1]).unlink(), (out / TRAIN[1]).mkdir()),
        [f"{TRAIN[1]}: a folder, expected a file"],
    ),
    "a pipe for a shard": (
        lambda out: ((out / TRAIN[1]).unlink(), os.mkfifo(out / TRAIN[1])),
        [f"{TRAIN[1]}: a pipe, socket or device, expected a file"],
    ),
    "truncated in a record, and flipped": (
        lambda out: (
            os.truncate(out / TRAIN[1], 4 * STRIDE + 7),
            flip(out / TRAIN[1], STRIDE + PIXEL),
        ),
        [
            f"{TRAIN[1]}: truncated: 1,483 of 3,690 bytes; 4 of 10 records are whole",
            f"{TRAIN[1]}: flipped bytes in record 1 (it reads manifest row 11)",
        ],
    ),
    "truncated to nothing": (
        lambda out: os.truncate(out / TRAIN[1], 0),
        [f"{TRAIN[1]}: truncated: 0 of 3,690 bytes; 0 of 10 records are whole"],
    ),
    "too long": (
        lambda out: write(out / TRAIN[1], read(out / TRAIN[1]) + b"more"),
        [
            f"{TRAIN[1]}: too long: 4 bytes follow its 3,690, which are sound; "
            "`truncate -s 3690` repairs it"
        ],
    ),
    "too long, and flipped": (
        lambda out: (
            write(out / TRAIN[1], read(out / TRAIN[1]) + b"more"),
            flip(out / TRAIN[1], STRIDE + PIXEL),
        ),
        [
            f"{TRAIN[1]}: too long: 4 bytes follow its 3,690",
            f"{TRAIN[1]}: flipped bytes in record 1 (it reads manifest row 11)",
        ],
    ),
    "noise": (
        lambda out: write(out / TRAIN[1], random.Random(0).randbytes(SIZE)),
        [f"{TRAIN[1]}: flipped bytes in record {record}" for record in range(10)],
    ),
    "exchanged shards": (
        lambda out: exchange(out / TRAIN[0], out / TRAIN[2]),
        [f"{file}: its sha256 differs though every CRC is right" for file in TRAIN[::2]],
    ),
    "one shard twice": (
        lambda out: shutil.copy(out / VALIDATION, out / TRAIN[2]),
        [
            f"{TRAIN[2]}: its sha256 differs though every CRC is right",
            *(
                f"{TRAIN[2]}: a row for the second time in record {record} "
                f"(manifest row {30 + record}): record {record} of {VALIDATION} has it too"
                for record in range(10)
            ),
        ],
    ),
    "a row twice": (
        lambda out: rewrite(out, TRAIN[0], 4, encode([0, 0], 33, NOTHING)),
        [
            f"{TRAIN[0]}: its sha256 differs though every CRC is right",
            f"{TRAIN[0]}: a row for the second time in record 4 (manifest row 33): "
            f"record 3 of {VALIDATION} has it too",
        ],
    ),
    "a row that cannot be": (
        lambda out: rewrite(out, TRAIN[0], 4, encode([0, 0], 40, NOTHING)),
        [
            f"{TRAIN[0]}: its sha256 differs though every CRC is right",
            f"{TRAIN[0]}: a row out of range in record 4 (manifest row 40): there are 40 rows, "
            "with those of quarantine.jsonl",
        ],
    ),
    "a label that is no class": (
        lambda out: rewrite(out, TRAIN[0], 4, encode([2, 16], 4, NOTHING)),
        [
            f"{TRAIN[0]}: its sha256 differs though every CRC is right",
            f"{TRAIN[0]}: a label out of range in record 4 (manifest row 4): y1 is 16, "
            "of 16 classes",
        ],
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(dataset: Path, name: str) -> None:
    damage, expected = DAMAGES[name]
    damage(dataset)
    assert problems(dataset) == expected


def test_findings_are_counted(dataset: Path) -> None:
    for file in TRAIN[:2]:
        flip(dataset / file, *(record * STRIDE + PIXEL for record in range(10)))
    zero(dataset / VALIDATION, 0, STRIDE)
    flip(dataset / VALIDATION, *(record * STRIDE + PIXEL for record in range(1, 10)))
    result = verify(dataset)
    assert result.num_problems == len(result.problems) == 30
    assert result.to_json()["counts"] == {"flipped_bytes": 29, "zeros": 1}
    assert result.sound_records == 10
    assert result.lines()[-2:] == ["30 problems in 3 of 4 shards; the rest is sound", RESTORE]


def test_only_the_first_findings_of_a_shard_are_listed(tmp_path: Path) -> None:
    draw(tmp_path, shard_bytes=30 * STRIDE)
    shard = tmp_path / "out" / "images-train.tfrecord-00000-of-00001"
    flip(shard, *(record * STRIDE + PIXEL for record in range(2, 24)))
    zero(shard, 27 * STRIDE, 30 * STRIDE)
    result = verify(tmp_path / "out")
    assert [problem.line() for problem in result.problems] == [
        *(
            f"{shard.name}: flipped bytes in record {record} (it reads manifest row {record})"
            for record in range(2, 12)
        ),
        f"{shard.name}: and 12 more records: flipped bytes",
        f"{shard.name}: and 3 more records: zeros",
    ]
    assert [problem.count for problem in result.problems] == [1] * LISTED + [12, 3]
    assert result.num_problems == 25
    assert result.to_json()["counts"] == {"flipped_bytes": 22, "zeros": 3}
    assert "25 problems in 1 of 2 shards; the rest is sound" in result.lines()


@pytest.mark.parametrize("seed", range(60))
def test_no_flipped_byte_goes_unseen(dataset: Path, seed: int) -> None:
    """Of any shard, at any place, any bit: one record is damaged, and found."""
    chance = random.Random(seed)
    file = chance.choice([*TRAIN, VALIDATION])
    offset = chance.randrange(SIZE)
    flip(dataset / file, offset, bit=1 << chance.randrange(8))
    (problem,) = verify(dataset).problems
    assert (problem.kind, problem.file) == ("flipped_bytes", file)
    assert problem.record == offset // STRIDE
