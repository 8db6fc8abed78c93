"""Which labels are believed, which are suspected, which pictures are the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from train.audit import twin_images
from train.audit.config import AuditConfig
from train.audit.judgement import Judgement, wrong_labels
from train.audit.twin_images import Looks, Twins, are_alike, difference_hash, find_twins
from train.errors import UsageError
from train.input.open_source import open_source


def judgement_of(labels, readings, beliefs, confidences, **more) -> Judgement:
    count = len(labels)
    columns = {
        "split": np.zeros(count, int), "record": np.arange(count), "row": np.arange(count),
        "fold": np.zeros(count, int), "power": np.ones(count), **more,
    }  # fmt: skip
    columns |= {"labels": labels, "readings": readings}
    columns |= {"beliefs": beliefs, "confidences": confidences}
    return Judgement(**{name: np.array(column) for name, column in columns.items()})


def test_the_least_believed_output_ranks_a_label():
    judged = judgement_of(
        [[0, 0]] * 4,
        [[0, 0], [0, 1], [0, 0], [1, 0]],
        [[0.6, 0.6], [0.9, 0.02], [0.99, 0.99], [0.3, 0.9]],
        [[0.6, 0.6], [0.9, 0.9], [0.99, 0.99], [0.7, 0.9]],
    )
    assert judged.order.tolist() == [1, 3, 0, 2]  # though 0.6 * 0.6 are less than 0.3 * 0.9 * ...
    assert judged.is_doubtful.tolist() == [False, True, False, True]
    assert judged.suspected(1).tolist() == [False, True, False, False]
    assert judged.suspected(9).tolist() == [False, True, False, True]  # never what is read so
    np.testing.assert_allclose(judged.sureness, [0.36, 0.81, 0.9801, 0.63])


def test_how_many_labels_are_wrong():
    """By hand: of class 0 the sure readings are 0.9 (0) and 0.95 (1), of class 1 the one of 0.8."""
    labels = np.array([0, 0, 0, 1, 1])
    readings = np.array([0, 0, 1, 1, 1])
    beliefs = np.array([0.9, 0.5, 0.05, 0.8, 0.6])
    confidences = np.array([0.9, 0.5, 0.95, 0.8, 0.6])
    # The means of the beliefs are 0.483 and 0.7: both readings of 0 count, and that of 1.
    assert wrong_labels(labels, readings, beliefs, confidences, 2) == pytest.approx(1 / 3 * 3)
    confidences[2] = 0.69  # less sure than labels of class 1 are on average
    assert wrong_labels(labels, readings, beliefs, confidences, 3) == 0


def test_classes_of_different_outputs_are_counted_by_vocabulary():
    judged = judgement_of(
        [[0, 0], [0, 0]], [[0, 1], [0, 0]], [[0.9, 0.1], [0.9, 0.9]], [[0.9, 0.9], [0.9, 0.9]]
    )
    assert judged.num_wrong([0, 1], [2, 2]) == 1
    assert judged.num_wrong([0, 0], [2]) == 1
    assert judgement_of([[0]], [[0]], [[1.0]], [[1.0]]).num_wrong([0], [5]) == 0


def test_parts_are_joined_in_the_order_of_splits_and_records():
    one = judgement_of([[0]] * 2, [[0]] * 2, [[0.1]] * 2, [[0.1]] * 2, record=np.array([1, 3]))
    other = judgement_of([[1]] * 2, [[1]] * 2, [[0.2]] * 2, [[0.2]] * 2, record=np.array([0, 2]))
    joined = Judgement.join([one, other])
    assert joined.record.tolist() == [0, 1, 2, 3]
    assert joined.labels[:, 0].tolist() == [1, 0, 1, 0]
    assert len(joined) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "--folds must be 0 or at least 2, got 1."),
        ({"folds": -2}, "--folds must be 0 or at least 2, got -2."),
        ({"pictures": 0}, "--pictures must be in [1, 2000], got 0."),
        ({"pictures": 2001}, "--pictures must be in [1, 2000], got 2001."),
    ],
)
def test_options_that_mean_nothing(options, message):
    with pytest.raises(UsageError) as caught:
        AuditConfig(**options)
    assert str(caught.value) == message


@pytest.fixture(scope="module")
def strips(small_dataset):
    return open_source(str(small_dataset), "train", 1, shuffle=False).reader.gather(np.arange(90))


def recoded(image, quality=80):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def looks(images) -> Looks:
    digests = [twin_images.image_digest(image.tobytes()) for image in images]
    hashes = [difference_hash(image) for image in images]
    return Looks(np.array(digests, np.uint64), np.array(hashes))


def twins_of(images, labels):
    return find_twins(looks(images), np.array(labels), lambda record: images[record])


def test_a_picture_that_was_saved_again_is_the_same(strips):
    images, labels = strips
    again = [recoded(images[record]) for record in range(30)]
    found = twins_of([*images, *again], [*labels, *(label + 1 for label in labels[:30])])
    assert {(pair.first, pair.second) for pair in found} <= {(r, 90 + r) for r in range(30)}
    assert len(found) >= 20  # the others have more bits that differ
    assert not any(pair.is_equal for pair in found)
    assert twins_of([*images, *again], [*labels, *labels[:30]]) == []  # labels agree


def test_equal_pixels(strips):
    images, labels = strips
    pictures = [images[0], images[1], images[0], images[0]]
    found = twins_of(pictures, [labels[0], labels[1], labels[1], labels[1]])
    assert len(found) == 1
    assert found[0] in (Twins(0, 2, is_equal=True), Twins(0, 3, is_equal=True))


def test_another_character_is_another_picture(strips):
    images, _ = strips
    one, other = images[0].copy(), images[0].copy()
    other[:, 96:] = images[1][:, 96:]  # the last of four characters
    assert are_alike(one, recoded(one))
    assert not are_alike(one, other)


def test_grey_and_tiny_pictures_have_hashes_too():
    noise = np.random.default_rng(0).integers(0, 256, (5, 3, 1), np.uint8)
    assert difference_hash(noise).shape == (4,)
    assert are_alike(noise, noise)
    assert not difference_hash(np.full((32, 128, 3), 255, np.uint8)).any()  # a flat ground


def test_pictures_without_end_that_look_alike_take_no_time():
    """Not each is compared with each: as many pairs would be 2e8."""
    count = 20_000
    found = Looks(np.arange(count, dtype=np.uint64), np.zeros((count, 4), np.uint64))
    labels = np.arange(count)[:, None]
    pairs = twin_images._near_pairs(found.hashes, labels)
    assert len(pairs) == twin_images._MOST_PAIRS
