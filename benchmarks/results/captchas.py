"""Sets that are drawn with the PyPI package `captcha`."""

from __future__ import annotations

import itertools
import random
import string
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import CAPTCHA
from benchmarks.results import render_captchas
from benchmarks.results.render_captchas import image_path
from benchmarks.results.source import Options, Source, Task, make_once, write_manifest

SEED = 0  # of texts, images and splits
CHARACTERS = 4

CAPTCHA_IMAGES = 20_000
CAPTCHA_SIZE = (160, 60)  # the package's default
CAPTCHA_CLASSES = string.digits + string.ascii_lowercase
# A tenth is held out; a twentieth chooses the epoch, which leaves less than the others trained on.
CAPTCHA_SPLIT = "train=0.85,validation=0.05,test=0.1"

# gen_captcha.py -d --npi=4 -n 6 of captcha-tensorflow: each text of four different digits, six
# times; then 0.7 of these, and 0.7 of those, as its notebook takes them.
DIGIT_TIMES = 6
DIGITS_SIZE = (120, 100)
DIGITS_SHARE = 0.7


def draw(folder: Path, texts: Sequence[str], size: tuple[int, int]) -> None:
    """Draws an image of each text.

    Args:
        folder: Gets them under `images/`.
        texts: One for each image.
        size: (width, height).
    """
    if reason := CAPTCHA.missing():
        raise SystemExit(f"results: error: the package captcha is not installed: {reason}")
    (folder / "texts.txt").write_text("\n".join([*texts, ""]), encoding="utf-8")
    script = render_captchas.__file__
    command = [str(CAPTCHA.python), script, str(folder), *map(str, size), str(SEED)]
    subprocess.run(command, check=True)


def make_captcha(options: Options) -> Source:
    """Draws random texts; `convert` splits them."""
    rng = random.Random(SEED)
    count = min(options.limit or CAPTCHA_IMAGES, CAPTCHA_IMAGES)
    texts = ["".join(rng.choices(CAPTCHA_CLASSES, k=CHARACTERS)) for _ in range(count)]
    size = options.drawn or CAPTCHA_SIZE

    def write(folder: Path) -> None:
        draw(folder, texts, size)
        rows = [(image_path(number), text) for number, text in enumerate(texts)]
        write_manifest(folder / "captcha.csv", rows, split=False)

    name = f"captcha-{count}-{size[0]}x{size[1]}"
    return Source(
        manifest=make_once(options.cache / "images" / name, write) / "captcha.csv",
        flags=("--text-column", "text", "--split", CAPTCHA_SPLIT),
        size=options.size or size,
    )


def digit_rows(limit: int | None) -> list[tuple[str, str, str]]:
    """Returns path, text and split of each image of four digits."""
    texts = ["".join(text) for text in itertools.permutations(string.digits, CHARACTERS)]
    texts = texts * DIGIT_TIMES
    rng = random.Random(SEED)
    if limit is not None:
        texts = rng.sample(texts, limit)
    order = rng.sample(range(len(texts)), len(texts))
    not_held_out = int(len(texts) * DIGITS_SHARE)
    num_train = int(not_held_out * DIGITS_SHARE)
    splits = dict.fromkeys(order[:num_train], "train")
    splits |= dict.fromkeys(order[num_train:not_held_out], "validation")
    return [
        (image_path(number), text, splits.get(number, "test")) for number, text in enumerate(texts)
    ]


def make_digits(options: Options) -> Source:
    """Draws the texts of captcha-tensorflow, and splits them as its notebook does."""
    rows = digit_rows(options.limit)
    size = options.drawn or DIGITS_SIZE

    def write(folder: Path) -> None:
        draw(folder, [text for _, text, _ in rows], size)
        write_manifest(folder / "digits.csv", rows)

    name = f"digits-{len(rows)}-{size[0]}x{size[1]}"
    return Source(
        manifest=make_once(options.cache / "images" / name, write) / "digits.csv",
        flags=("--text-column", "text"),
        size=options.size or size,
    )


TASKS = (
    Task(
        name="captcha",
        about=f"""\
20,000 images of 160x60 pixels by the PyPI package captcha 0.6.0, fonts and noise its own; 4
characters of 36, digits and lower-case letters, drawn uniformly. `convert` splits them from a hash
of the path: {CAPTCHA_SPLIT}. 160x60 is the package's default and easier
to read than 100x60, which cnn_captcha's own configuration has: `--drawn 100 60` draws that.""",
        published="""\
nickliqian/cnn_captcha: 37 % exact of 100 test images, 20,000 images of 100x60 with 19 of 20 to
train on, an earlier version of the package; an hour on a GTX 950.""",
        target="90 % exact",
        make=make_captcha,
    ),
    Task(
        name="digits",
        about="""\
30,240 images of 120x100 pixels by the PyPI package captcha 0.6.0: each text of 4 different digits
six times, as JackonYang/captcha-tensorflow draws them, at random 14,817 of them to train on, 6,351
to validate on, 9,072 held out, as it splits them. 5 epochs. What differs: the version of the
package, and that the result is of the held-out images, with the epoch that is best on the
validation images; theirs is of the validation images after the last epoch.""",
        published="""\
JackonYang/captcha-tensorflow, AlexNet-like net of 9.6 M parameters: 91.8 % of the characters on
validation after 5 epochs.""",
        target="99 % of the characters",
        make=make_digits,
        flags=("--epochs", "5"),
    ),
)
