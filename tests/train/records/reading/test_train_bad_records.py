"""Bad records: named down to the source, or replaced by the same sound ones in every run."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from conftest import SAMPLE
from convert_cases import ALL, convert, draw_sources, write_manifest

from convert.dataset.read import read_dataset
from convert.dataset.record import FOOTER_BYTES, layout_of_record, padded_varints
from train import load_numpy
from train.errors import RecordError, UsageError
from train.input.open_source import open_source
from train.records.reading.batch_crcs import BatchCrcs

SHARD = "images-train.tfrecord-00001-of-00004"
STRIDE = 12_379
REPAIR = "Restore the file from a copy, or convert again with --overwrite."


@pytest.fixture
def dataset(small_dataset, tmp_path):
    """A copy that a test may damage; its second shard has the records 25 to 49."""
    return shutil.copytree(small_dataset, tmp_path / "strips")


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def reader(path, **options):
    return open_source(path, "train", 1, **options).reader


def test_the_message_names_the_source(dataset, small_manifest, sample_rows):
    row = int(reader(dataset).rows(np.array([30]))[0])
    flip(dataset / SHARD, 5 * STRIDE + 5_000)
    with pytest.raises(RecordError) as raised:
        reader(dataset, manifest=str(small_manifest)).gather(np.arange(25, 35))
    assert str(raised.value) == (
        f"{dataset / SHARD}: record 5 (manifest row {row}, {sample_rows[row]['path']}) "
        f"is damaged: its CRC is wrong. {REPAIR}"
    )


def test_each_of_several_datasets_names_its_own_sources(tmp_path):
    for name in ("a", "b"):
        draw_sources(tmp_path / name, 20)
        rows = [[f"{name}/i/{row}.png", f"{row % 2}"] for row in range(20)]
        manifest = write_manifest(tmp_path / f"{name}.csv", ["path", "y0"], rows)
        convert(manifest, tmp_path / f"of {name}", split=ALL)
    (tmp_path / "of b/sources.parquet").rename(tmp_path / "kept")
    folders = [str(tmp_path / f"of {name}") for name in ("a", "b")]
    records = np.array([25, 3, 39, 0])
    found = open_source(folders, "train", 1).reader
    rows = found.rows(records).tolist()
    assert found.sources(records) == ["", f"a/i/{rows[1]}.png", "", f"a/i/{rows[3]}.png"]
    (tmp_path / "kept").rename(tmp_path / "of b/sources.parquet")
    names = [f"{name}/i/{row}.png" for name, row in zip("baba", rows, strict=True)]
    assert found.sources(records) == names
    (tmp_path / "of b/sources.parquet").write_bytes(b"damaged")  # a name is no reason to stop
    assert found.sources(records)[1:] == [names[1], "", names[3]]


def test_another_manifest_is_refused(dataset):
    flip(dataset / SHARD, 5 * STRIDE + 5_000)
    other = SAMPLE / "manifest.csv"
    with pytest.raises(UsageError) as raised:
        reader(dataset, manifest=str(other)).gather(np.arange(25, 35))
    assert str(raised.value).startswith(f"{other}: not the manifest of {dataset}: its sha256 is ")


@pytest.fixture
def damaged(dataset):
    """Records 30, 31 and 49 are bad; 50 stands in for the last, 32 for the others."""
    for number in (5, 6, 24):
        flip(dataset / SHARD, number * STRIDE + 5_000)
    return dataset


def test_the_first_of_several_is_named(damaged):
    with pytest.raises(RecordError, match=rf"{SHARD}: record 5 "):
        reader(damaged).gather(np.array([49, 3, 31, 30, 31]))


def test_the_next_sound_record_stands_in(damaged, small_dataset):
    skipping, sound = reader(damaged, on_bad_record="skip"), reader(small_dataset)
    asked = np.array([31, 3, 30, 49, 29, 30])
    instead = np.array([32, 3, 32, 50, 29, 32])
    for got, expected in zip(skipping.gather(asked), sound.gather(instead), strict=True):
        assert np.array_equal(got, expected)
    found = {(os.path.basename(bad.shard), bad.record, bad.row) for bad in skipping.bad_records}
    rows = sound.rows(np.array([30, 31, 49])).tolist()
    assert found == {(SHARD, number, row) for number, row in zip((5, 6, 24), rows, strict=True)}
    assert len(skipping.bad_records) == 3  # each is listed once, however often it is asked for
    assert {bad.reason for bad in skipping.bad_records} == {"is damaged: its CRC is wrong"}
    assert skipping.failure is None


def test_what_stands_in_does_not_depend_on_what_was_read_before(damaged):
    whole = list(load_numpy(str(damaged), "train", 9, seed=3, on_bad_record="skip"))
    again = list(load_numpy(str(damaged), "train", 9, seed=3, on_bad_record="skip", start_step=6))
    for (images, labels), (others, other_labels) in zip(whole[6:], again, strict=True):
        assert np.array_equal(images, others)
        assert all(np.array_equal(labels[name], other_labels[name]) for name in labels)


def test_a_run_of_bad_records_is_read_one_by_one(dataset, monkeypatch):
    """The batch is not read again for each of them."""
    for number in range(5, 20):
        flip(dataset / SHARD, number * STRIDE + 5_000)
    compared, compare = [], BatchCrcs.wrong

    def count(crcs, heads, *rest):
        compared.append(len(heads))
        return compare(crcs, heads, *rest)

    monkeypatch.setattr(BatchCrcs, "wrong", count)
    reader(dataset, on_bad_record="skip").gather(np.array([30, 1, 2]))
    assert compared == [3, *[1] * 15, 3]


def test_the_first_record_stands_in_for_the_last(dataset):
    flip(dataset / "images-train.tfrecord-00003-of-00004", 14 * STRIDE + 5_000)
    skipping = reader(dataset, on_bad_record="skip")
    images, _ = skipping.gather(np.array([89]))
    assert np.array_equal(images, skipping.gather(np.array([0]))[0])


def test_no_sound_record(small_dataset, tmp_path):
    dataset = shutil.copytree(small_dataset, tmp_path / "strips")
    for shard in dataset.glob("images-train*"):
        for number in range(shard.stat().st_size // STRIDE):
            flip(shard, number * STRIDE + 5_000)
    with pytest.raises(RecordError, match=r"is bad, and so are all others\. Restore the file"):
        reader(dataset, on_bad_record="skip").gather(np.array([3]))


@pytest.mark.parametrize(
    ("verify", "found_first", "found_later"),
    [("first", True, False), ("always", True, True), ("off", False, False)],
)
def test_when_crcs_are_compared(dataset, verify, found_first, found_later):
    """A byte that flips after the first reading is seen only by those who look again."""
    opened = reader(dataset, verify_records=verify, on_bad_record="skip")
    flip(dataset / SHARD, 5 * STRIDE + 5_000)
    opened.gather(np.arange(25, 50))
    assert bool(opened.bad_records) == found_first
    before = len(opened.bad_records)
    flip(dataset / SHARD, 9 * STRIDE + 5_000)
    opened.gather(np.arange(25, 50))
    assert (len(opened.bad_records) > before) == found_later


@pytest.mark.parametrize("verify", ["off", "first", "always"])
def test_a_label_out_of_range_is_found_in_any_case(dataset, verify):
    """A GPU would turn it into a silent NaN."""
    layout = read_dataset(str(dataset)).layout
    with (dataset / SHARD).open("r+b") as file:
        file.seek(3 * STRIDE + layout.label_offset)
        file.write(b"\xff\xff\x80\x80\x00")
    with pytest.raises(RecordError, match=r"record 3 \(manifest row \d+, .*\.png\) (has|is dam)"):
        reader(dataset, verify_records=verify).gather(np.arange(25, 50))


def test_a_label_out_of_range_among_encoded_ones(encoded_datasets, tmp_path):
    """Its CRC is right: whoever wrote it was wrong."""
    dataset = shutil.copytree(encoded_datasets["png"], tmp_path / "png")
    shard = min(dataset.glob("*train*-of-?????"))
    offset, length = map(int, (dataset / f"{shard.name}.idx").read_text().split("\n")[2].split())
    layout, content = layout_of_record(4, length), bytearray(shard.read_bytes())
    image = bytes(content[offset + layout.image_offset : offset + length - FOOTER_BYTES])
    label = padded_varints(np.array([0, 200, 300, 0])).tobytes()
    content[offset : offset + length] = b"".join(layout.encode(label, bytes(5), image))
    shard.write_bytes(content)
    num_classes = len(read_dataset(str(dataset)).classes["y1"])
    for verify in ("first", "off"):
        with pytest.raises(RecordError) as raised:
            reader(dataset, verify_records=verify).gather(np.array([3, 2]))
        assert str(raised.value) == (
            f"{shard}: record 2 (manifest row 0, strips/000/000000.png) has a label out of "
            f"range: y1 is 200, of {num_classes} classes. {REPAIR}"
        )


@pytest.mark.parametrize("verify", ["first", "off"])
def test_a_record_of_a_length_that_none_can_have(encoded_datasets, tmp_path, verify):
    """An index may name any lengths that add up."""
    dataset = shutil.copytree(encoded_datasets["png"], tmp_path / "png")
    index = min(dataset.glob("*train*.idx"))
    starts = [int(line.split()[0]) for line in index.read_text().splitlines()]
    starts[2] = starts[1] + 5
    ends = [*starts[1:], (dataset / index.stem).stat().st_size]
    lines = [f"{start} {end - start}\n" for start, end in zip(starts, ends, strict=True)]
    index.write_text("".join(lines))
    with pytest.raises(RecordError) as raised:
        reader(dataset, verify_records=verify).gather(np.array([4, 1]))
    assert str(raised.value) == (
        f"{dataset / index.stem}: record 1 (manifest row -1) is damaged: its CRC is wrong. {REPAIR}"
    )


def test_bad_records_among_encoded_ones(encoded_datasets, tmp_path):
    """Damage behind a right CRC counts as well: what no decoder takes is replaced."""
    dataset = shutil.copytree(encoded_datasets["png"], tmp_path / "png")
    shard = min(dataset.glob("*train*-of-?????"))
    offset, length = map(int, (dataset / f"{shard.name}.idx").read_text().split("\n")[2].split())
    flip(shard, offset + layout_of_record(4, length).image_offset)  # of the PNG's signature
    skipping = reader(dataset, on_bad_record="skip")
    sound = reader(encoded_datasets["png"])
    for got, expected in zip(
        skipping.gather(np.array([1, 2, 3])), sound.gather(np.array([1, 3, 3])), strict=True
    ):
        assert np.array_equal(got, expected)
    assert [bad.record for bad in skipping.bad_records] == [2]
    unchecked = reader(dataset, on_bad_record="skip", verify_records="off")
    unchecked.gather(np.array([1, 2, 3]))
    assert [bad.reason for bad in unchecked.bad_records] == ["has an image that cannot be decoded"]
