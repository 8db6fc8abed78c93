"""What the tests of `convert` share: small sources, manifests, and the command as a process."""

import csv
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import forked
import numpy as np
from forked import PATIENCE
from PIL import Image
from timed_lines import untimed

from convert.cli import main
from convert.config import ConvertConfig
from convert.dataset.info import SOURCE
from convert.job import convert_dataset
from convert.job.start_to_end import ConvertResult
from convert.plan.dialects import read_manifest
from convert.plan.shard_specs import Plan, make_plan
from convert.write.open_inputs import manifest_options

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample"
BOX = (186, 0, 300, 30)
SIZE = (128, 32)
ALL = (("train", 1.0),)  # one split
COMMAND = (sys.executable, "-m", "convert")


def write_manifest(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Writes a CSV manifest."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def sample_rows() -> list[dict[str, str]]:
    """Returns the rows of the committed sample's manifest."""
    with (SAMPLE / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def png(size: tuple[int, int] = (12, 8), seed: int = 0) -> bytes:
    """Returns a small RGB PNG of noise."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return encoded(Image.fromarray(pixels), "PNG")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns an image as a file's content."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def draw_sources(folder: Path, count: int) -> Path:
    """Draws `count` images of 12x8, labelled with their number in hexadecimal digits.

    Returns:
        The manifest, `m.csv`.
    """
    (folder / "i").mkdir(parents=True, exist_ok=True)
    for row in range(count):
        (folder / f"i/{row}.png").write_bytes(png(seed=row))
    rows = [[f"i/{row}.png", f"{row // 16:x}", f"{row % 16:x}"] for row in range(count)]
    return write_manifest(folder / "m.csv", ["path", "y0", "y1"], rows)


def options_of(manifest: Path | str, dataset: Path | str = "out", **more: Any) -> ConvertConfig:
    """Returns options for images of 12x8; `more` replaces any."""
    values = {"size": (12, 8), "workers": 1, **more}
    return ConvertConfig(manifest=str(manifest), dataset=str(dataset), **values)


def convert(manifest: Path, dataset: Path, **more: Any) -> ConvertResult:
    """Converts in this process."""
    return convert_dataset(options_of(manifest, dataset, **more))


def convert_strips(manifest: Path, dataset: Path, **more: Any) -> ConvertResult:
    """Converts strips of the sample, cropped to their four characters."""
    sample = ROOT / "data" / "sample"
    return convert(manifest, dataset, root=str(sample), **{"crop": BOX, "size": SIZE, **more})


def plan_of(manifest: Path, given: dict[str, tuple[str, ...]] | None = None, **more: Any) -> Plan:
    """Plans a conversion."""
    config = options_of(manifest, **more)
    opened = read_manifest(str(manifest), options=manifest_options(config))
    return make_plan(opened, config, given or {})


def plan_of_rows(
    folder: Path, *rows: str, given: dict[str, tuple[str, ...]] | None = None, **more: Any
) -> Plan:
    """Plans a table given as rows of text, the first one the header, into one split."""
    header, *values = (row.split(",") for row in rows)
    manifest = write_manifest(folder / "m.csv", header, values)
    return plan_of(manifest, given, **{"split": ALL, **more})


def command(*words: object, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs `convert` as a process of its own, which is a fork unless it shall differ in more."""
    if set(options) <= {"cwd"}:
        done = forked.run(forked.CONVERT, *words, package="convert", **options)
    else:
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            **options,
        )
    assert not check or done.returncode == 0, done.stderr
    done.stderr = untimed(done.stderr)
    return done


def command_here(*words: Any, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the command in this process, which takes a tenth of the time; see `command`."""
    out, err = StringIO(), StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
    assert not check or code == 0, err.getvalue()
    return subprocess.CompletedProcess(words, code, out.getvalue(), untimed(err.getvalue()))


# What `convert` took its manifest for, said before it begins to write.
_PLAN_LINE = re.compile(
    r"convert: (.+: [\d,]+ rows of a |\d+ outputs?[ ;]|warning: .* (occur only once|never changes))"
)


def without_plan(err: str) -> str:
    """Returns the lines that the command printed to stderr, without those about its plan."""
    return "".join(line for line in untimed(err).splitlines(True) if not _PLAN_LINE.match(line))


def digests(folder: Path) -> dict[str, str]:
    """Returns the sha256 of each file of a folder, but of what tells of this machine's sources."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(os.listdir(folder))
        if name != SOURCE
    }
