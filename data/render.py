"""Renders the sample data set: strips of form text, four characters of each labelled.

`python data/render.py data/sample --count 1500 --seed 0` wrote all of `data/sample`: no scan and no
person's data is in it. The glyphs are drawn with fonts from Debian packages, of which no file is
copied: fonts-wqy-microhei (Apache-2.0, or GPL-3+ with font exception), fonts-wqy-zenhei (GPL-2 with
font embedding exception, some glyphs under the M+ FONTS licence), fonts-droid-fallback (Apache-2.0)
and fonts-lxgw-wenkai (OFL-1.1).
"""

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# Surnames, place names and words of forms; no two that even a reader mistakes for each other.
CLASSES = (
    "王李张刘陈杨赵黄周吴徐孙朱高林郭马罗梁宋郑谢韩唐冯董程曹袁邓许傅沈曾彭吕苏卢蒋蔡"
    "钱丁魏薛叶夏余潘杜戴北京上海天津重庆江山东西南湖广安福四川云贵新青省市县区路街村"
    "镇楼男女年月长春平州国民家学文化生金石龙"
)
# What stands beside the labelled characters must look like them, or cropping would not matter.
DISTRACTORS = CLASSES + "中华人字号大小白花雪风雨水木前后左右红绿百千万向阳光明和心"
CAPTIONS = (
    *("姓名", "住址", "单位：", "籍贯", "出生地：", "签发机关", "户籍所在地", "联系人：", "经办人"),
    *("Name:", "Address", "No.", "Place of birth", "Issued by", "Ref", "Holder", "District:"),
)
NUM_OUTPUTS = 4
# Left, top, right, bottom; half-open. All four labelled characters lie inside.
BOX = (186, 0, 300, 30)
# Text at the left ends before the box, out of reach of blur.
LEFT_STOP = 180
STRIPS_PER_FOLDER = 500
# Glyphs and lines are drawn this much larger, then reduced: no hinting, no embedded bitmaps.
OVERSAMPLE = 3
# The kinds of ink, each with its own colour. Where they cross, the one that covers more is seen.
VALUE, CAPTION, RULE = range(3)
# Shares of 100 for each way a strip is stored.
STORAGE = ("RGB",) * 55 + ("RGBA",) * 30 + ("P",) * 5 + ("JPEG",) * 10
# Random streams of one seed: labels have their own, so they hold whatever else is drawn.
LABEL_STREAM, PIXEL_STREAM = range(2)
Coverage = NDArray[np.float32]
Pixels = NDArray[np.uint8]
FONT_FOLDER = Path("/usr/share/fonts/truetype")
# The last has no glyphs for ASCII.
FONT_PACKAGES = {
    "wqy/wqy-microhei.ttc": "fonts-wqy-microhei",
    "wqy/wqy-zenhei.ttc": "fonts-wqy-zenhei",
    "lxgw-wenkai/LXGWWenKai-Regular.ttf": "fonts-lxgw-wenkai",
    "lxgw-wenkai/LXGWWenKai-Bold.ttf": "fonts-lxgw-wenkai",
    "droid/DroidSansFallbackFull.ttf": "fonts-droid-fallback",
}
# Opening a font takes longer than drawing a strip.
load_font = functools.cache(ImageFont.truetype)


def random_stream(*key: int) -> np.random.Generator:
    """Returns the generator of a key: the same numbers for the same key."""
    return np.random.Generator(np.random.PCG64(list(key)))


def strip_labels(seed: int, index: int) -> str:
    """Returns the four labelled characters of a strip.

    Each position sees each class once in every 100 strips: all classes are as frequent anywhere.
    """
    block, place = divmod(index, len(CLASSES))
    orders = (
        random_stream(seed, LABEL_STREAM, block, position).permutation(len(CLASSES))
        for position in range(NUM_OUTPUTS)
    )
    return "".join(CLASSES[order[place]] for order in orders)


def find_fonts(folder: Path) -> list[Path]:
    """Returns the font files under a folder, or stops and names the packages to install."""
    missing = {name for path, name in FONT_PACKAGES.items() if not (folder / path).is_file()}
    if missing:
        install = "apt-get install " + " ".join(sorted(missing))
        raise SystemExit(f"render: error: fonts missing in {folder}: {install}")
    return [folder / path for path in FONT_PACKAGES]


def to_unit(image: Image.Image) -> Coverage:
    """Returns a grey image as values in [0, 1]."""
    return np.asarray(image, np.float32) / np.float32(255)


def draw_text(text: str, font: Path, size: float, degrees: float) -> Coverage:
    """Returns the coverage of a text, cut to its ink and turned about its middle."""
    loaded = load_font(font, round(size * OVERSAMPLE))
    left, top, right, bottom = loaded.getbbox(text)
    image = Image.new("L", (round(right - left), round(bottom - top)))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=loaded)
    image = image.rotate(degrees, resample=Image.Resampling.BICUBIC, expand=True)
    return to_unit(image.reduce(OVERSAMPLE))


def stamp(layer: Coverage, patch: Coverage, x: int, y: int) -> None:
    """Puts a patch on a layer with its top left corner at (x, y); the rest falls off the edge."""
    target = layer[y : y + patch.shape[0], x : x + patch.shape[1]]
    np.maximum(target, patch[: target.shape[0], : target.shape[1]], out=target)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What one strip is drawn with.

    Attributes:
        rng: The strip's random numbers, drawn from in a fixed order.
        fonts: Font files to choose from.
        layers: Coverage of each kind of ink, float32, shape (3, height, width).
    """

    rng: np.random.Generator
    fonts: Sequence[Path]
    layers: Coverage

    def choose_font(self, text: str) -> Path:
        """Returns a font that has a text's glyphs."""
        return self.fonts[int(self.rng.integers(len(self.fonts) - text.isascii()))]


def draw_values(scene: Scene, labels: str) -> None:
    """Draws the labelled characters inside the box, each about the middle of its quarter."""
    rng, font = scene.rng, scene.choose_font(labels)
    left, top, right, bottom = BOX
    size, slope, middle = rng.uniform(20, 25.5), rng.uniform(-0.6, 0.6), rng.uniform(13.5, 16.5)
    for position, label in enumerate(labels):
        patch = draw_text(label, font, size * rng.uniform(0.95, 1.04), rng.uniform(-4, 4))
        height, width = patch.shape
        x = left + (right - left) * (position + 0.5) / NUM_OUTPUTS - width / 2 + rng.normal(0, 0.8)
        y = middle + slope * (position - 1.5) - height / 2 + rng.normal(0, 0.6)
        # One pixel inside where there is room: blur carries ink that far.
        x = min(max(round(x), left + 1), right - 1 - width)
        stamp(scene.layers[VALUE], patch, x, min(max(round(y), top + 1), bottom - 1 - height))


def other_text(rng: np.random.Generator) -> str:
    """Returns a text that stands beside the labelled characters."""
    texts = (
        str(rng.choice(CAPTIONS)),
        "".join(str(digit) for digit in rng.integers(0, 10, rng.integers(2, 9))),
        f"{rng.integers(1950, 2020)}-{rng.integers(1, 13):02}",
        "".join(rng.choice(list(DISTRACTORS), rng.integers(1, 6))),
    )
    return texts[rng.integers(len(texts))]


def draw_left(scene: Scene) -> None:
    """Draws a caption and what fits after it, up to `LEFT_STOP`."""
    rng = scene.rng
    text, x, middle = rng.choice(CAPTIONS), int(rng.integers(2, 20)), rng.uniform(13, 18)
    for _ in range(rng.integers(2, 7)):  # what is too wide is left out
        patch = draw_text(text, scene.choose_font(text), rng.uniform(14, 24), rng.normal(0, 0.6))
        height, width = patch.shape
        text = other_text(rng)
        if x + width > LEFT_STOP:
            continue
        layer = scene.layers[VALUE if rng.random() < 0.4 else CAPTION]
        stamp(layer, patch, x, max(0, round(middle - height / 2 + rng.normal(0, 0.8))))
        x += width + int(rng.integers(4, 18))


def draw_outside(scene: Scene) -> None:
    """Draws what a crop must take away: the next line beneath and the next field at the right."""
    rng = scene.rng
    beneath = "".join(rng.choice(list(DISTRACTORS), rng.integers(5, 14)))
    for text, x, y in (
        (beneath, rng.integers(0, 200), BOX[3] + 1),
        (other_text(rng), BOX[2] + rng.integers(1, 4), rng.integers(3, 9)),
    ):
        if rng.random() < 0.6:
            patch = draw_text(text, scene.choose_font(text), rng.uniform(16, 24), 0)
            stamp(scene.layers[CAPTION], patch, int(x), int(y))


def draw_rules(scene: Scene) -> None:
    """Draws the form's own rules and the lines that cross the text."""
    rng, (height, width) = scene.rng, scene.layers.shape[1:]
    lines: list[tuple[float, float, float, float]] = []
    if rng.random() < 0.5:
        y = rng.uniform(29, height)
        lines.append((0, y, width, y + rng.normal(0, 0.7)))
    if rng.random() < 0.4:
        x = rng.choice([BOX[0] - 3, BOX[2] + 2])
        lines.append((x + rng.normal(0, 0.7), 0, x + rng.normal(0, 0.7), height))
    for _ in range(rng.choice(3, p=[0.45, 0.35, 0.2])):
        start, stop = rng.choice([0, 0, 60, 200]), rng.choice([width, width, 280, 240])
        lines.append((start, rng.uniform(2, height), stop, rng.uniform(2, height)))
    image = Image.new("L", (width * OVERSAMPLE, height * OVERSAMPLE))
    for line in lines:
        ends = [value * OVERSAMPLE for value in line]
        ImageDraw.Draw(image).line(ends, int(rng.integers(150, 256)), int(rng.integers(2, 5)))
    scene.layers[RULE] = to_unit(image.reduce(OVERSAMPLE))


def coarse_field(rng: np.random.Generator, shape: tuple[int, int]) -> Coverage:
    """Returns a smooth random field in [0, 1] of shape (height, width)."""
    grid = Image.fromarray(rng.integers(0, 256, (3, 5), dtype=np.uint8))
    return to_unit(grid.resize(shape[::-1], Image.Resampling.BICUBIC))


def expose(scene: Scene) -> Coverage:
    """Returns the brightness of the inked paper, in [0, 1]: shade, uneven ink, blur."""
    rng, shape = scene.rng, scene.layers.shape[1:]
    paper = 1 - rng.uniform(0.02, 0.13) * coarse_field(rng, shape)
    if rng.random() < 0.12:  # the wavy ground of certificates
        y, x = np.indices(shape)
        wave = np.sin(y * rng.uniform(0.9, 1.6) + 2 * np.sin(x / rng.uniform(8, 20)))
        paper -= 0.05 * (wave > 0.3)
    worn = 1 - rng.uniform(0, 0.5) * coarse_field(rng, shape)
    for layer, weight in zip(scene.layers, rng.uniform([0.65, 0.55, 0.3], 0.95), strict=True):
        paper *= 1 - weight * worn * layer
    image = Image.fromarray(np.rint(255 * paper).astype(np.uint8))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.75)))
    return to_unit(image)


def scan(rng: np.random.Generator, brightness: Coverage) -> tuple[Pixels, int]:
    """Returns noisy brightness in few levels, so that PNG files stay small, and their number."""
    num_levels = int(rng.choice([4, 10, 16], p=[0.1, 0.75, 0.15]))
    noise = rng.normal(0, 0.08 + 0.22 * rng.random() ** 2, brightness.shape)
    levels = np.rint(brightness * (num_levels - 1) + noise)
    specks = rng.random(brightness.shape)
    amount = rng.choice([0, rng.uniform(0.001, 0.009)], p=[0.7, 0.3])
    levels[specks < amount] = rng.integers(0, num_levels // 2)
    levels[specks > 1 - amount] = num_levels - 1
    return np.clip(levels, 0, num_levels - 1).astype(np.uint8), num_levels


def colour(scene: Scene, levels: Pixels, num_levels: int) -> Pixels:
    """Returns levels as uint8 RGB, from each ink's colour up to the paper's."""
    rng = scene.rng
    paper = rng.uniform(226, 255) - rng.uniform(0, 22, 3)
    inks = rng.uniform(0, 45, (3, 1)) + rng.uniform(0, [[20], [90], [110]], (3, 3))
    ramp = np.linspace(0, 1, num_levels)[:, np.newaxis]
    table = inks[:, np.newaxis] + (paper - inks[:, np.newaxis]) * ramp
    pixels: Pixels = np.rint(table).astype(np.uint8)[scene.layers.argmax(axis=0), levels]
    return pixels


def fade(scene: Scene) -> Pixels:
    """Returns an alpha channel: opaque, but for part of the bare paper in one strip of ten."""
    rng, shape = scene.rng, scene.layers.shape[1:]
    if rng.random() >= 0.1:
        return np.full(shape, 255, np.uint8)
    bare = (scene.layers.max(axis=0) == 0) & (coarse_field(rng, shape) > 0.55)
    return np.where(bare, rng.integers(60, 200), 255).astype(np.uint8)


def render_strip(seed: int, index: int, fonts: Sequence[Path]) -> tuple[Image.Image, str]:
    """Returns a strip and the way it is stored, one of `STORAGE`."""
    rng = random_stream(seed, PIXEL_STREAM, index)
    storage = STORAGE[rng.integers(len(STORAGE))]
    shape = (3, int(rng.integers(33, 37)), int(rng.integers(306, 315)))
    scene = Scene(rng=rng, fonts=fonts, layers=np.zeros(shape, np.float32))
    draw_values(scene, strip_labels(seed, index))
    draw_left(scene)
    draw_outside(scene)
    draw_rules(scene)
    pixels = colour(scene, *scan(rng, expose(scene)))
    if storage == "RGBA":
        return Image.fromarray(np.dstack([pixels, fade(scene)])), storage
    image = Image.fromarray(pixels)
    return (image.quantize(64) if storage == "P" else image), storage


def write_strip(image: Image.Image, storage: str, folder: Path, index: int) -> str:
    """Writes a strip and returns its path relative to the folder."""
    suffix = "jpg" if storage == "JPEG" else "png"
    path = f"strips/{index // STRIPS_PER_FOLDER:03}/{index:06}.{suffix}"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    image.save(folder / path, quality=85, optimize=True)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script."""
    parser = argparse.ArgumentParser(description="Render labelled strips of form text.")
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="folder to write")
    parser.add_argument("--count", type=int, default=1500, help="strips to render (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is random")
    parser.add_argument("--fonts", metavar="DIR", type=Path, default=FONT_FOLDER)
    options = parser.parse_args(arguments)
    fonts = find_fonts(options.fonts)
    rows = ["path,y0,y1,y2,y3"]
    for index in range(options.count):
        path = write_strip(*render_strip(options.seed, index, fonts), options.output, index)
        rows.append(",".join([path, *strip_labels(options.seed, index)]))
    (options.output / "manifest.csv").write_text("\n".join([*rows, ""]), "utf-8", newline="")


if __name__ == "__main__":
    main()
