"""What a stranger's records and a user's function may do to a training: nothing in silence."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import numpy as np
import pytest
from convert_cases import png
from image_cases import bomb

from convert.dataset.read import read_dataset
from convert.images.formats.png.fast_decoder import plain_size
from train import load_numpy
from train.errors import UsageError
from train.predict.sources.image_files import FileInputs, raw_options
from train.records.reading.encoded import EncodedReader

WRONG = {
    "float in [0, 1]": (lambda x, d: x.astype("float32") / 255, "float32 of shape"),
    "not clipped": (lambda x, d: x * 1.2, "float64 of shape"),
    "below 0": (lambda x, d: x.astype("int16") - 100, "int16 of shape"),
    "NaN": (lambda x, d: np.full(x.shape, np.nan), "float64 of shape"),
    "one image of the batch": (lambda x, d: x[0], "uint8 of shape (32, 128, 3)"),
    "one image as a batch": (lambda x, d: x[:1], "uint8 of shape (1, 32, 128, 3)"),
    "nothing": (lambda x, d: None, "NoneType"),
    "a list": (lambda x, d: x.tolist(), "list"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_augmentation_returns_uint8_of_the_same_shape(name, small_dataset):
    augment, found = WRONG[name]
    message = f"`augment` must return uint8 of shape (16, 32, 128, 3), got {found}"
    with pytest.raises(UsageError, match=re.escape(message)):
        next(iter(load_numpy(str(small_dataset), "train", 16, augment=augment)))


def test_an_augmentation_may_change_its_batch_in_place(small_dataset):
    def darken(images, draws):
        images //= 2
        return images

    images, _ = next(iter(load_numpy(str(small_dataset), "train", 16, augment=darken)))
    assert images.max() <= 127


@pytest.mark.parametrize("size", [(20_000, 20_000), (128, 33), (129, 32), (1, 128 * 32)])
def test_a_record_of_another_size_is_not_decoded(size, monkeypatch):
    from PIL import ImageFile

    from train.records.reading import encoded

    def refuse(*_):
        raise AssertionError("decoded")

    reader = object.__new__(EncodedReader)
    monkeypatch.setattr(encoded, "plain_pixels", refuse)
    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    image = np.zeros((32, 128, 3), np.uint8)
    with pytest.raises(encoded.UnreadableError) as caught:
        reader._decode_into(image, 0, bomb(*size))
    assert "expected (128, 32)" in str(caught.value.__cause__)


def test_the_size_in_a_png_header():
    assert plain_size(png((12, 8))) == (12, 8)
    assert plain_size(b"\x89PNG\r\n\x1a\n") is None
    assert plain_size(b"\xff\xd8\xff") is None


def test_predict_reads_no_vast_file(small_dataset, tmp_path):
    info = read_dataset(str(small_dataset))
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    os.truncate(path, raw_options(info).max_bytes + 1)
    ((piece,),) = FileInputs([str(path)], info).batches(1)
    (sample,) = piece()
    assert "too_large" in str(sample)
    assert replace(raw_options(info), max_pixels=1).max_bytes == 16 + (1 << 20)
