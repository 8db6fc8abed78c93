"""Sets of real images, which lie in a folder that the command line names."""

from __future__ import annotations

import csv
from pathlib import Path

from benchmarks.results.source import (
    Options,
    Source,
    Task,
    name_hash,
    training_split,
    write_manifest,
)

CAPTCHA_V2, CAPTCHA_DS, CHEQUES = "captcha_images_v2", "captcha_ds", "orand_car_a"
CAPTCHA_V2_TEST = 104
CAPTCHA_V2_SIZE = (200, 50)  # that of the images
CHEQUES_SIZE = (160, 48)  # the images are 140 to 200 wide and 40 to 60 high
CHEQUES_HELD_OUT = ("val", "test")


def named_rows(
    folder: Path, num_test: int, num_train: int | None, validation: float
) -> list[tuple[str, str, str]]:
    """Returns name, text and split of images whose names begin with their text.

    Args:
        folder: The images.
        num_test: Images to hold out: those with the lowest sha256 of the name.
        num_train: Images after these to train on. None: all others.
        validation: Share of these that chooses the epoch.
    """
    names = sorted((path.name for path in folder.glob("*.png")), key=name_hash)
    tested, rest = names[:num_test], names[num_test:][:num_train]
    rows = [(name, name.partition(".")[0], "test") for name in tested]
    return rows + [
        (name, name.partition(".")[0], training_split(name, validation)) for name in rest
    ]


def manifest_file(options: Options, name: str) -> Path:
    """Returns the place of a manifest."""
    limit = f"-{options.limit}" if options.limit else ""
    validation = f"-validation-{options.validation:g}" if options.validation else ""
    return options.cache / "manifests" / f"{name}{limit}{validation}.csv"


def make_captcha_v2(options: Options) -> Source:
    """Holds out the 104 images with the lowest hashes."""
    num_test, num_train = CAPTCHA_V2_TEST, None
    if options.limit:
        num_test = min(num_test, options.limit // 10)
        num_train = options.limit - num_test
    folder = options.folder(CAPTCHA_V2).resolve()
    rows = named_rows(folder, num_test, num_train, options.validation)
    return Source(
        manifest=write_manifest(manifest_file(options, "captcha_v2"), rows),
        flags=("--text-column", "text", "--root", str(folder)),
        size=options.size or CAPTCHA_V2_SIZE,
    )


def make_cheques(options: Options) -> Source:
    """Takes the set's own split; what it calls `val` is held out."""
    folder = options.folder(CHEQUES).resolve()
    with open(folder / "manifest.csv", encoding="utf-8", newline="") as file:
        given = list(csv.DictReader(file))[:: _stride(options.limit, folder)]
    rows = [
        (
            row["path"],
            row["text"],
            "test"
            if row["split"] in CHEQUES_HELD_OUT
            else training_split(row["path"], options.validation),
        )
        for row in given
    ]
    return Source(
        manifest=write_manifest(manifest_file(options, "cheques"), rows),
        flags=("--text-column", "text", "--pad-label", "--root", str(folder)),
        size=options.size or CHEQUES_SIZE,
    )


def _stride(limit: int | None, folder: Path) -> int:
    """Returns each how many-th row of the cheques is taken."""
    if limit is None:
        return 1
    num_rows = len((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()) - 1
    return max(1, num_rows // limit)


TASKS = (
    Task(
        name="captcha_v2",
        about="""\
captcha_images_v2, the 1,040 real captchas of the well-known Keras example, 5 characters of 19. The
104 with the lowest sha256 of the file's name are held out, the rest is to train on; without
--validation the last epoch counts, so that nothing is chosen on any image that is not trained
on.""",
        target="98 % exact, mean of three seeds",
        make=make_captcha_v2,
        seeds=3,
    ),
    Task(
        name="cheques",
        about="""\
ORAND-CAR-A as re-published with labels: 1,208 handwritten amounts from bank cheques, 1 to 7 digits,
padded with blanks, brought to 160x48 pixels. Its own split; the 128 images of `val` are held out,
and without --validation the last epoch counts, so that nothing is chosen on them. Positions that
are blank in text and prediction are not counted as characters.""",
        target="70 % exact",
        make=make_cheques,
    ),
)
