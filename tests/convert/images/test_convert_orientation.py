"""EXIF orientations, counted and on request applied; decoding less than all of an image."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from convert_cases import command, encoded, write_manifest
from image_cases import needs_webp, outcome, pixels, rendered
from PIL import Image, ImageOps

from convert.errors import ImageError
from convert.images.formats.png.chunks import first_rows

WIDTH, HEIGHT = 64, 48
KINDS = pytest.mark.parametrize("kind", ["PNG", "JPEG", pytest.param("WEBP", marks=needs_webp)])


def scene(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Returns a smooth image in which every corner has its own colour."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (255 - x) / 2 + y / 3], axis=2).astype(np.uint8))


def oriented(kind: str, value: int, image: Image.Image | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    lossless = {"lossless": True} if kind == "WEBP" else {}
    return encoded(image or scene(), kind, exif=exif, **lossless)


def by_pillow(data: bytes, box: tuple[int, ...] | None, size: tuple[int, int]) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray((upright.crop(box) if box else upright).resize(size))


@KINDS
@pytest.mark.parametrize("value", range(1, 9))
def test_exif_turns_before_the_crop(kind: str, value: int) -> None:
    data = oriented(kind, value)
    for box, size in ((None, (WIDTH, HEIGHT)), ((4, 6, 40, 44), (20, 16))):
        found = pixels(data, exif=True, crop=box, size=size)
        assert np.array_equal(found, by_pillow(data, box, size))


@KINDS
@pytest.mark.parametrize("value", range(1, 9))
def test_without_exif_pixels_stay_and_the_orientation_is_told(kind: str, value: int) -> None:
    data = oriented(kind, value)
    result = rendered(data)
    assert ("oriented" in result.oddities) == (value > 1)
    with Image.open(BytesIO(data)) as image:
        assert result.content == image.convert("RGB").tobytes()


def test_pillow_turns_tiffs_by_itself() -> None:
    """What `Image.open` shows is what counts; an orientation that was applied is none."""
    data = oriented("TIFF", 6)
    size = (HEIGHT, WIDTH)
    result = rendered(data, size=size)
    assert "oriented" not in result.oddities
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.size == size
        assert result.content == image.tobytes()
    assert rendered(data, size=size, exif=True).content == result.content


def test_a_repaired_file_keeps_its_orientation_and_no_reduced_scale() -> None:
    """Pillow decodes the colours of CMYK, of a file to which an end marker was added."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(640, 480).convert("CMYK"), "JPEG", exif=exif)[:-2]
    assert outcome(data) == "converted no_end_marker oriented"
    assert np.array_equal(pixels(data, fast_decode=True), pixels(data))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientations_that_are_none(value: int) -> None:
    assert outcome(oriented("JPEG", value)) == "converted"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_no_reason_to_lose_an_image() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0" + b"MM\0*\xff\xff\xff\xff" + b"\xff" * 40)
    assert outcome(data, exif=True) == "converted"


def test_a_box_of_the_turned_image_may_reach_past_the_stored_one() -> None:
    data = oriented("PNG", 6)  # upright it is 48 wide and 64 high
    assert pixels(data, exif=True, crop=(0, 0, 48, 64), size=(48, 64)).shape == (64, 48, 3)
    with pytest.raises(ImageError, match="reaches past the image, 48x64"):
        pixels(data, exif=True, crop=(0, 0, 64, 48), size=(48, 64))


def test_the_summary_tells(tmp_path: Path) -> None:
    for number, value in enumerate([1, 6, 8, 3]):
        (tmp_path / f"{number}.jpg").write_bytes(oriented("JPEG", value))
    rows = [[f"{number}.jpg", "x"] for number in range(4)]
    write_manifest(tmp_path / "m.csv", ["path", "y0"], rows)
    words = ["m.csv", "--size", 8, 8, "--split", "train=1"]
    done = command(*words, "out", cwd=tmp_path)
    assert (
        "convert: warning: 3 images had an EXIF orientation, which was not applied; "
        "--exif would turn them (such as 1.jpg)\n"
    ) in done.stderr
    done = command(*words, "turned", "--exif", cwd=tmp_path)
    assert "convert: 3 images turned as the EXIF orientation says\n" in done.stderr
    assert "warning: 3 images" not in done.stderr


# Decoding less


def grain(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 30, (height, width, 3), np.uint8)
    return Image.fromarray(np.asarray(scene(width, height)) // 2 + noise)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_a_png_is_decoded_to_the_crop_and_no_further(mode: str) -> None:
    image = grain(60, 200).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    data = encoded(image, "PNG")
    options = {"crop": (3, 10, 40, 30), "size": (20, 10)}
    assert np.array_equal(pixels(data, fast_decode=True, **options), pixels(data, **options))
    with Image.open(BytesIO(first_rows(data, 30))) as less:
        assert less.size == (60, 30)
        less.load()


def test_pngs_that_must_be_decoded_whole() -> None:
    plain = encoded(grain(20, 40), "PNG")
    assert first_rows(plain, 40) is plain
    assert first_rows(plain, 99) is plain
    frames = [grain(20, 40), scene(20, 40)]
    moving = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert first_rows(moving, 4) is moving
    interlaced = bytearray(plain)
    interlaced[28] = 1  # the last byte of IHDR
    assert first_rows(bytes(interlaced), 4) == bytes(interlaced)


def test_fast_decoding_still_sees_wrong_checksums() -> None:
    data = bytearray(encoded(grain(60, 200), "PNG"))
    data[-20] ^= 1  # in the last row's chunk
    with pytest.raises(ImageError, match="the CRC of PNG chunk 'IDAT' is wrong"):
        pixels(bytes(data), fast_decode=True, crop=(0, 0, 9, 9))


@pytest.mark.parametrize(
    ("crop", "size", "factor"),
    [
        (None, (100, 75), 8),
        ((80, 160, 480, 360), (100, 50), 4),
        ((80, 160, 480, 360), (101, 50), 2),  # a quarter would have less than 101 columns
        ((80, 160, 480, 360), (400, 200), 1),
        ((81, 163, 479, 361), (50, 25), 4),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_decoded_smaller(
    monkeypatch: pytest.MonkeyPatch,
    crop: tuple[int, ...] | None,
    size: tuple[int, int],
    factor: int,
    channels: int,
) -> None:
    data = encoded(scene(800, 600), "JPEG", quality=95)
    decoded: list[tuple[int, int]] = []
    real = Image.Image.resize

    def resize(self: Image.Image, *arguments: object, **options: object) -> Image.Image:
        decoded.append(self.size)
        return real(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", resize)
    options = {"crop": crop, "size": size, "channels": channels}
    fast = pixels(data, fast_decode=True, **options)
    if factor > 1:
        assert decoded == [(800 // factor, 600 // factor)]
    whole = pixels(data, **options)
    assert np.abs(fast.astype(int) - whole).max() <= 6  # a smooth image: nearly the same
    assert np.abs(fast.astype(int) - whole).mean() < 1.5


@pytest.mark.parametrize("value", [1, 6])
def test_fast_decoding_and_orientation_go_together(value: int) -> None:
    for kind, data in (
        ("JPEG", oriented("JPEG", value, scene(800, 600))),
        ("PNG", oriented("PNG", value, scene(800, 600))),
    ):
        options = {"crop": (0, 0, 400, 300), "size": (40, 30), "exif": True}
        difference = pixels(data, fast_decode=True, **options).astype(int) - pixels(data, **options)
        assert np.abs(difference).max() <= (6 if kind == "JPEG" else 0)


def test_fast_decoding_pads_as_ever() -> None:
    data = encoded(scene(80, 60), "JPEG")
    options = {"crop": (-4, -4, 90, 70), "size": (20, 15), "pad_crop": True}
    assert np.array_equal(pixels(data, fast_decode=True, **options), pixels(data, **options))


def test_no_metadata_of_the_source_goes_into_records() -> None:
    data = oriented("PNG", 6)
    for encoding in ("png", "jpeg"):
        content = rendered(data, size=(8, 8), encoding=encoding).content
        with Image.open(BytesIO(content)) as image:
            assert "exif" not in image.info
            assert image.size == (8, 8)
