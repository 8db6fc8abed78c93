"""`--fit pad` keeps the proportions and fills with the border's median colour."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from convert_cases import command, encoded, write_manifest
from image_cases import jpeg, picture, rendered
from image_cases import pixels as shown
from PIL import Image

from convert.dataset.parser import parse_dataset
from convert.errors import FormatError
from convert.images import ImageOptions, render, to_array
from convert.images.pixels.fit import border_colour, inner_size


def padded(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Does it a second way, pixel by pixel."""
    width, height = image.size
    scale = min(size[0] / width, size[1] / height)
    inner = [max(1, int(side * scale + 0.5 + 1e-9)) for side in (width, height)]
    resized = np.asarray(image.resize(tuple(inner)).convert("RGB"))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    # Of an image with transparency, the border as the record shows it.
    canvas[:] = median_of_border(resized if image.mode == "RGBA" else np.asarray(image))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = resized
    return canvas


def median_of_border(pixels: np.ndarray) -> list[int]:
    height, width, _ = pixels.shape
    border = [
        pixels[y, x]
        for y in range(height)
        for x in range(width)
        if y in (0, height - 1) or x in (0, width - 1)
    ]
    return [sorted(int(p[c]) for p in border)[(len(border) - 1) // 2] for c in range(3)]


def pixels(data: bytes, **options) -> np.ndarray:
    return shown(data, **{"fit": "pad", **options})


@pytest.mark.parametrize("size", [(64, 48), (128, 32), (20, 90), (7, 7), (1, 50), (50, 1)])
@pytest.mark.parametrize("source", [(64, 48), (40, 16), (16, 40), (1, 1), (2, 1), (1, 9), (300, 3)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_pad_is_what_it_says(mode: str, source: tuple[int, int], size: tuple[int, int]) -> None:
    image = picture(*source, mode)
    seen = image.convert("RGB") if mode == "L" else image
    np.testing.assert_array_equal(pixels(encoded(image, "PNG"), size=size), padded(seen, size))


def test_padding_around_what_is_see_through_has_no_seam() -> None:
    image = Image.new("RGBA", (40, 20), (255, 255, 255, 0))  # white that nobody sees
    image.paste((200, 30, 30, 255), (10, 5, 30, 15))
    found = pixels(encoded(image, "PNG"), size=(32, 32))
    assert not found[:8].any() and not found[8:10].any() and found[16, 16].any()
    opaque = image.convert("RGB").convert("RGBA")
    assert (pixels(encoded(opaque, "PNG"), size=(32, 32))[:8] == 255).all()


def test_the_crop_is_what_keeps_its_shape() -> None:
    image, box = picture(90, 80), (10, 20, 70, 50)
    data = encoded(image, "PNG")
    expected = padded(image.crop(box), (32, 32))
    np.testing.assert_array_equal(pixels(data, crop=box, size=(32, 32)), expected)
    options = ImageOptions(crop=None, size=(32, 32), fit="pad")
    own = to_array(render(data, options, box), options)
    np.testing.assert_array_equal(own, expected)


def test_equal_shapes_are_not_padded() -> None:
    data = encoded(picture(40, 20), "PNG")
    for size in ((80, 40), (20, 10), (40, 20)):
        assert rendered(data, size=size, fit="pad").content == rendered(data, size=size).content


def test_grey_is_the_luma_of_the_padded_colours() -> None:
    data = encoded(picture(40, 20), "PNG")
    grey = np.asarray(Image.fromarray(padded(picture(40, 20), (32, 32))).convert("L"))
    found = pixels(data, size=(32, 32), channels=1)
    np.testing.assert_array_equal(found[..., 0], grey)


def test_a_reduced_scale_keeps_the_same_places() -> None:
    data = jpeg(size=(640, 320))
    full, fast = (pixels(data, size=(32, 32), fast_decode=fast) for fast in (False, True))
    filled = [(row == row[0]).all() for row in fast]
    assert filled[:8] == filled[24:] == [True] * 8 and not any(filled[8:24])
    assert np.abs(full.astype(int) - fast).max() < 60


@pytest.mark.parametrize(
    ("shape", "size", "inner"),
    [
        ((40, 16), (128, 32), (80, 32)),
        ((16, 40), (128, 32), (13, 32)),  # 12.8
        ((2, 1), (5, 5), (5, 3)),  # 2.5 is rounded up
        ((1000, 1), (10, 10), (10, 1)),  # never without a row
        ((1, 1000), (10, 10), (1, 10)),
        ((7, 7), (5, 9), (5, 5)),
    ],
)
def test_inner_size(shape: tuple[int, int], size: tuple[int, int], inner: tuple[int, int]) -> None:
    assert inner_size(shape, size) == inner


def test_the_border_counts_each_pixel_once_and_nothing_else() -> None:
    image = Image.new("RGB", (5, 4), (255, 255, 255))
    for y in range(4):
        for x in range(5):
            if y in (0, 3) or x in (0, 4):
                image.putpixel((x, y), (y * 5 + x, 100, 7))
    values = sorted(y * 5 + x for y in range(4) for x in range(5) if y in (0, 3) or x in (0, 4))
    assert len(values) == 14
    assert border_colour(image, (0, 0, 5, 4)) == (values[6], 100, 7)  # the lower middle one


# In a dataset


def convert(folder: Path, *words: object) -> tuple[str, dict]:
    for number in range(20):
        folder.joinpath(f"{number}.png").write_bytes(encoded(picture(30 + number, 20), "PNG"))
    write_manifest(folder / "m.csv", ["path", "y0"], [[f"{n}.png", n % 3] for n in range(20)])
    done = command("m.csv", "out", "--size", 32, 32, "--split", "train=1", *words, cwd=folder)
    return done.stderr, json.loads((folder / "out/dataset.json").read_text("utf-8"))


def test_a_dataset_has_it_written_down(tmp_path: Path) -> None:
    said, content = convert(tmp_path, "--fit", "pad", "--lenient")
    assert content["image"]["fit"] == content["options"]["fit"] == "pad"
    assert content["image"]["lenient"] is content["options"]["lenient"] is True
    assert "another shape" not in said
    options = ImageOptions.from_json(content["image"])
    assert (options.fit, options.lenient) == ("pad", True)
    deep = command("verify", "out", "--manifest", "m.csv", "--deep", cwd=tmp_path)
    assert "sound" in deep.stdout + deep.stderr
    said = command("show", "out", cwd=tmp_path).stdout
    assert "shape kept and padded" in said and "damaged images kept" in said


def test_all_that_is_written_down_is_read_again() -> None:
    options = ImageOptions(
        crop=(1, -2, 30, 40), size=(9, 5), fit="pad", channels=1, alpha="white", resample="box",
        pad_crop=True, exif=True, fast_decode=True, lenient=True, max_pixels=77, encoding="jpeg",
        quality=33, row_boxes=True,
    )  # fmt: skip
    assert ImageOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    plain = ImageOptions(crop=None, size=(9, 5))
    assert ImageOptions.from_json(plain.to_json()) == plain


def test_defaults_are_not_written(tmp_path: Path) -> None:
    _, content = convert(tmp_path)
    assert not {"fit", "lenient"} & (content["image"].keys() | content["options"].keys())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fit", "squeeze", "`image.fit` 'squeeze' is not known"),
        ("fit", None, "`image.fit` None is not known"),
        ("fit", ["pad"], "`image.fit` ['pad'] is not known"),
        ("lenient", 1, "`image.lenient` is no bool"),
        ("lenient", "yes", "`image.lenient` is no bool"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, key: str, value: object, message: str) -> None:
    _, content = convert(tmp_path)
    content["image"][key] = value
    with pytest.raises(FormatError) as caught:
        parse_dataset(json.dumps(content), "dataset.json")
    assert str(caught.value) == f"dataset.json: {message}. Convert again, or restore the file."


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_the_served_example_prepares_the_same(
    mode: str, channels: int, fit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"fit": fit, "channels": channels}
    how = {"exif": False, "alpha": "drop", "crop": None, "resample": "bicubic", **options}
    prepare = _served(how | {"width": 33, "height": 40}, monkeypatch)
    for size in ((40, 20), (20, 40), (7, 1), (1, 1), (33, 40), (301, 99)):
        data = encoded(picture(*size, mode), "PNG")
        found = prepare(BytesIO(data))[0]
        np.testing.assert_array_equal(found, pixels(data, size=(33, 40), **options))


def _served(how: dict, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Returns the served example's function that prepares a file."""
    about = json.dumps({"image": how, "outputs": [], "calibration": None})
    meta = SimpleNamespace(custom_metadata_map={"shardfeed": about})
    session = SimpleNamespace(get_modelmeta=lambda: meta)
    runtime = SimpleNamespace(InferenceSession=lambda path: session)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return runpy.run_path(str(Path(__file__).parents[2].joinpath("support", "served_example.py")))[
        "prepare"
    ]


def test_pillow_alone_can_read_what_is_padded() -> None:
    data = encoded(picture(40, 20), "PNG")
    record = rendered(data, size=(32, 32), fit="pad", encoding="png").content
    found = np.asarray(Image.open(BytesIO(record)))
    np.testing.assert_array_equal(found, padded(picture(40, 20), (32, 32)))
