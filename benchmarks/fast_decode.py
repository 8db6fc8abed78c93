"""What `--fast-decode` gains, and what it changes.

    python benchmarks/fast_decode.py [--pages 40] [--rounds 5]

Pages of 1240x1754 pixels (A4 at 150 dots an inch) are pasted together from the strips of
data/sample and saved as JPEG and as PNG. Each is rendered from memory, as conversion does, in two
ways of use: a field near the top that is kept at its size, and one that is made four times
smaller. Plain and fast decoding take turns; medians of rounds, ratios within rounds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from convert.images import ImageOptions, render, to_array

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
PAGE = (1240, 1754)
STRIP = (310, 35)  # about what the sample's strips measure
USES = {
    "a field at its own size": ImageOptions(crop=(186, 120, 300, 150), size=(114, 30)),
    "a field made 4 times smaller": ImageOptions(crop=(100, 100, 612, 228), size=(128, 32)),
}


def pages(count: int) -> list[Image.Image]:
    """Returns pages full of strips."""
    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    strips = [Image.open(SAMPLE / path).convert("RGB").resize(STRIP) for path in paths]
    made = []
    for number in range(count):
        page = Image.new("RGB", PAGE, "white")
        places = [(x, y) for y in range(0, PAGE[1], STRIP[1]) for x in range(0, PAGE[0], STRIP[0])]
        for index, place in enumerate(places):
            page.paste(strips[(number * len(places) + index) % len(strips)], place)
        made.append(page)
    return made


def saved(page: Image.Image, kind: str) -> bytes:
    """Returns a page as a file."""
    buffer = BytesIO()
    page.save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return buffer.getvalue()


def seconds(files: list[bytes], options: ImageOptions) -> float:
    """Returns the seconds that rendering some files takes."""
    started = time.perf_counter()
    for data in files:
        render(data, options)
    return time.perf_counter() - started


def compare(files: list[bytes], options: ImageOptions, rounds: int) -> str:
    """Returns gain and pixel difference of fast decoding."""
    fast = replace(options, fast_decode=True)
    pairs = [(seconds(files, options), seconds(files, fast)) for _ in range(rounds)]
    plain_ms = statistics.median(plain for plain, _ in pairs) / len(files) * 1e3
    gain = statistics.median(plain / quick for plain, quick in pairs)
    difference = np.concatenate(
        [
            np.abs(
                to_array(render(data, options), options).astype(int)
                - to_array(render(data, fast), fast)
            ).ravel()
            for data in files
        ]
    )
    return (
        f"{gain:4.1f} times as fast (plain: {plain_ms:.1f} ms an image); pixels differ by "
        f"{difference.mean():.2f} of 255 on average, {np.percentile(difference, 99):.0f} at most "
        f"in 99 % of them, {difference.max()} at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print("method: from memory, one thread, ways in turn; medians of rounds, ratios within rounds")
    made = pages(arguments.pages)
    for kind in ("JPEG", "PNG"):
        files = [saved(page, kind) for page in made]
        for use, options in USES.items():
            print(f"{kind}, {use}: {compare(files, options, arguments.rounds)}", flush=True)


if __name__ == "__main__":
    main()
