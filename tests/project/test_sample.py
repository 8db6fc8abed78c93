"""The committed sample: what it holds, and that the committed script made it."""

import csv
import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL
import pytest
from PIL import Image, features

DATA = Path(__file__).parents[2] / "data"
SAMPLE = DATA / "sample"
# What the committed strips were drawn with; another version may move an edge by a shade.
DRAWN_WITH = {"pillow": "12.1.1.post0", "freetype": "2.12.1"}
INSTALL = "apt-get install " + " ".join(
    ["fonts-droid-fallback", "fonts-lxgw-wenkai", "fonts-wqy-microhei", "fonts-wqy-zenhei"]
)


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", DATA / "render.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["render"] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


render = load_script()


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    with (SAMPLE / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        return list(csv.reader(manifest))[1:]


@pytest.fixture(scope="module")
def fonts() -> list[Path]:
    try:
        return render.find_fonts(render.FONT_FOLDER)
    except SystemExit:
        pytest.skip(f"the sample's fonts are not here: {INSTALL}")


def test_manifest_is_plain_utf8_csv() -> None:
    content = (SAMPLE / "manifest.csv").read_bytes()
    assert content.startswith(b"path,y0,y1,y2,y3\nstrips/000/000000.")
    assert b"\r" not in content
    assert content.endswith(b"\n")


def test_manifest_lists_each_file_once(rows: list[list[str]]) -> None:
    assert len(rows) == 1500
    files = {str(path.relative_to(SAMPLE)) for path in SAMPLE.glob("strips/*/*")}
    assert {row[0] for row in rows} == files
    assert {len(row) for row in rows} == {5}


def test_classes_are_about_as_frequent_as_each_other(rows: list[list[str]]) -> None:
    counts = Counter(label for row in rows for label in row[1:])
    assert set(counts) == set(render.CLASSES)
    assert len(counts) == 100
    assert min(counts.values()) >= 40


@pytest.mark.parametrize("position", range(4))
def test_each_position_sees_each_class(rows: list[list[str]], position: int) -> None:
    assert len({row[1 + position] for row in rows}) == 100


def test_strips_hold_the_box_and_differ_in_storage(rows: list[list[str]]) -> None:
    kinds: Counter[tuple[str | None, str]] = Counter()
    for row in rows:
        with Image.open(SAMPLE / row[0]) as image:
            assert image.width >= 300 and image.height >= 30, row[0]
            kinds[image.format, image.mode] += 1
    assert set(kinds) == {("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB")}
    assert min(kinds.values()) >= 50


def test_some_strips_are_partly_transparent(rows: list[list[str]]) -> None:
    opaque = []
    for row in rows:
        with Image.open(SAMPLE / row[0]) as image:
            if image.mode == "RGBA":
                opaque.append((np.asarray(image)[..., 3] == 255).mean())
    assert min(opaque) > 0.2  # the text, and paper around it
    assert 0.8 < np.mean([share == 1 for share in opaque]) < 1


def test_sample_is_small_enough_for_the_repository() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 8_000_000


def test_script_gives_the_labels_of_the_manifest(rows: list[list[str]]) -> None:
    for index, row in enumerate(rows):
        assert "".join(row[1:]) == render.strip_labels(0, index), row[0]


def test_script_gives_the_pixels_of_the_files(rows: list[list[str]], fonts: list[Path]) -> None:
    drawing_with = {"pillow": PIL.__version__, "freetype": features.version("freetype2")}
    # Two different strips differ by 13 or more.
    limit = 0 if drawing_with == DRAWN_WITH else 4
    for index in [index for index, row in enumerate(rows) if row[0].endswith(".png")][:5]:
        drawn, _ = render.render_strip(0, index, fonts)
        with Image.open(SAMPLE / rows[index][0]) as image:
            assert (drawn.mode, drawn.size) == (image.mode, image.size)
            stored = np.asarray(image.convert("RGBA"), np.int16)
        difference = np.abs(stored - np.asarray(drawn.convert("RGBA"))).mean()
        assert difference <= limit, rows[index][0]


def test_labelled_characters_stand_in_the_box(fonts: list[Path]) -> None:
    for index in range(40):
        scene = render.Scene(
            rng=render.random_stream(1, index),
            fonts=fonts,
            layers=np.zeros((3, 36, 314), np.float32),
        )
        render.draw_values(scene, render.strip_labels(1, index))
        ink = scene.layers[render.VALUE]
        left, top, right, bottom = render.BOX
        assert np.count_nonzero(ink) == np.count_nonzero(ink[top:bottom, left:right]), index
        # Each quarter holds one: the crop has ink about the middle of all four.
        for quarter in range(4):
            middle = left + round((right - left) * (quarter + 0.5) / 4)
            assert ink[:, middle - 6 : middle + 6].max() > 0.5, index


def test_script_writes_what_it_documents(tmp_path: Path, fonts: list[Path]) -> None:
    render.main([str(tmp_path), "--count", "2", "--seed", "7"])
    lines = (tmp_path / "manifest.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,y0,y1,y2,y3"
    assert [line.split(",")[1:] for line in lines[1:]] == [
        list(render.strip_labels(7, index)) for index in range(2)
    ]
    assert all((tmp_path / line.split(",")[0]).is_file() for line in lines[1:])


def test_missing_fonts_stop_the_script_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        render.main([str(tmp_path / "out"), "--fonts", str(tmp_path)])
    assert stop.value.code == f"render: error: fonts missing in {tmp_path}: {INSTALL}"
    assert not (tmp_path / "out").exists()
