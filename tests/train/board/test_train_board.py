"""What TensorBoard shows of a run is there, is true, and changes nothing."""

from __future__ import annotations

import io
import math
from collections import defaultdict

import numpy as np
import pytest
from event_cases import read_points, steps_of
from PIL import Image
from train_cases import history

from train.evaluation.evaluate import evaluate_source
from train.input.open_source import open_source
from train.records.texts import blanks_of, text_of
from train.runs.folder import LAST_RAW, RunFolder
from train.training.callbacks.board.curves import COMPARED
from train.training.callbacks.board.histogram_message import MAX_VALUES, sample

CURVES = {
    "train": ["loss", "character_accuracy", "exact", "learning_rate", "gradient_norm"],
    "speed": ["images_per_second", "input_wait"],
    "validation": ["loss", "character_accuracy", "exact", "top5_accuracy"],
    "validation_accuracy": ["y0", "y1", "y2", "y3"],
    "validation_top5_accuracy": ["y0", "y1", "y2", "y3"],
}


@pytest.fixture(scope="module")
def points(run):
    """{tag: {step: value}} of a run of two epochs of five steps."""
    found = defaultdict(dict)
    for tag, step, value in read_points(run[0]):
        found[tag][step] = value
    return found


@pytest.fixture(scope="module")
def last(run):
    return RunFolder.open(str(run[0])).load_model("last.keras")


@pytest.fixture(scope="module")
def trained(run, last):
    """The weights that are trained: where their average is validated, that is `last`."""
    folder = RunFolder.open(str(run[0]))
    return folder.load_model(LAST_RAW) if (run[0] / LAST_RAW).exists() else last


@pytest.fixture(scope="module")
def validation(small_dataset):
    return open_source(str(small_dataset), "validation", 30)


@pytest.fixture(scope="module")
def evaluation(run, last, validation):
    info = RunFolder.open(str(run[0])).dataset_info()
    return evaluate_source(last, validation, blanks_of(info)), info


def picture(value):
    return np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string)))


def test_curves_are_on_optimizer_steps(run, points):
    curves = {tag for tag in points if points[tag][max(points[tag])].HasField("simple_value")}
    groups = CURVES | ({"validation_raw": COMPARED} if (run[0] / LAST_RAW).exists() else {})
    assert curves == {f"{group}/{name}" for group in groups for name in groups[group]}
    for tag in sorted(curves):
        assert steps_of(run[0], tag) == [5, 10], tag  # every tenth, and each epoch's last


def test_curves_say_what_the_history_says(run, points):
    for row in history(run[0]):
        step = int(row["step"])
        for name in COMPARED:
            for tag, column in (
                (f"train/{name}", name),
                (f"validation/{name}", f"validation_{name}"),
                (f"validation_raw/{name}", f"raw_validation_{name}"),
            ):
                assert (tag in points) == (column in row)
                if column in row:
                    assert points[tag][step].simple_value == pytest.approx(float(row[column]))
        assert points["speed/images_per_second"][step].simple_value > 0
        assert 0 <= points["speed/input_wait"][step].simple_value <= 1


def test_curves_of_validation_are_by_output_too(points, evaluation):
    found, _ = evaluation
    for index, output in enumerate(CURVES["validation_accuracy"]):
        accuracy = points[f"validation_accuracy/{output}"][10].simple_value
        assert accuracy == pytest.approx(found.output_accuracies[index])
        top5 = points[f"validation_top5_accuracy/{output}"][10].simple_value
        assert top5 == pytest.approx(found.output_top5_accuracies[index])


def test_weights_have_histograms(points, trained):
    tags = {tag for tag in points if tag.startswith("weights/")}
    assert tags == {f"weights/{variable.path}" for variable in trained.trainable_variables}
    for variable in trained.trainable_variables:
        drawn = points[f"weights/{variable.path}"]
        assert sorted(drawn) == [5, 10]  # the first and the last epoch always have them
        values = np.array(variable)
        if values.size <= MAX_VALUES:
            assert drawn[10].histo.num == values.size
            assert drawn[10].histo.sum == pytest.approx(values.sum(dtype=np.float64), abs=1e-3)
        assert values.min() <= drawn[10].histo.min <= drawn[10].histo.max <= values.max()


def test_gradients_norms_have_histograms(points, trained):
    group, squares = "weights_gradient_norms", []
    for variable in trained.trainable_variables:
        for step in (5, 10):
            histo = points[f"{group}/{variable.path}"][step].histo
            assert histo.num == 5  # of each step
            assert 0 <= histo.min <= histo.max < math.inf
        squares.append(histo.max**2)
    assert len([tag for tag in points if tag.startswith(group)]) == len(squares)
    assert 0 < points["train/gradient_norm"][10].simple_value <= math.sqrt(sum(squares)) * 1.0001


def test_activations_are_those_of_the_validation_batch(points, last, validation):
    """Every layer that has weights; and one of them as NumPy computes it."""
    tags = {tag for tag in points if tag.startswith("weights_activations/")}
    assert tags == {f"weights_activations/{layer.name}" for layer in last.layers if layer.weights}
    images = validation.batch(0, 0)[0][:16].astype(np.float64) / 127.5 - 1
    kernel = np.array(last.get_layer("stem_conv").kernel, np.float64)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    values = sample(np.einsum("bhwcyx,yxco->bhwo", windows, kernel, optimize=True))
    histo = points["weights_activations/stem_conv"][10].histo
    assert histo.num == len(values) <= MAX_VALUES
    assert [histo.min, histo.max] == pytest.approx([values.min(), values.max()], abs=1e-5)
    assert histo.sum == pytest.approx(values.sum(), abs=0.05)
    assert histo.sum_squares == pytest.approx(np.square(values).sum(), rel=1e-5)
    below = [np.count_nonzero(values <= limit) for limit in histo.bucket_limit]
    # A value at a bucket's very end may be in the next one.
    assert np.abs(np.cumsum(histo.bucket) - below).max() <= 3


def test_images_are_as_the_network_gets_them(run, points, small_dataset):
    source = open_source(str(small_dataset), "train", 16, 0, augment=True)
    images, *columns = source.batch(0, 0)
    info = RunFolder.open(str(run[0])).dataset_info()
    tags = sorted(tag for tag in points if tag.startswith("training_images/"))
    texts = [text_of(label, info) for label in np.stack(columns, axis=1).tolist()]
    assert tags == [f"training_images/{n:02d} {text}" for n, text in enumerate(texts, 1)]
    for tag, image in zip(tags, images, strict=True):
        assert list(points[tag]) == [0]
        np.testing.assert_array_equal(picture(points[tag][0]), image)


def test_worst_predictions_are_images_with_what_was_read(points, evaluation, validation):
    (found, info), drawn = evaluation, points["validation/worst_predictions"]
    worst = np.argsort(-found.losses)[:16]
    rows = points["validation/worst_predictions/text_summary"][10].tensor.string_val[0].decode()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rows.splitlines()]
    header = ["no.", "true", "read as", "confidence", "loss", "row of the manifest", "image"]
    assert cells[0] == header
    assert [row[1] for row in cells[2:]] == [text_of(found.labels[i].tolist(), info) for i in worst]
    first = worst[0]
    assert cells[2] == [
        "1",
        text_of(found.labels[first].tolist(), info),
        text_of(found.predictions[first].tolist(), info),
        f"{100 * found.label_confidences[first]:.1f}%".replace(".", "\\."),
        f"{found.losses[first]:.2f}".replace(".", "\\."),
        str(validation.reader.rows(worst[:1])[0]),
        validation.reader.sources(worst[:1])[0].replace(".", "\\."),
    ]
    assert sorted(drawn) == [5, 10]
    image = validation.batch(0, 0)[0][first]
    np.testing.assert_array_equal(
        picture(drawn[10])[8:72:2, 8:264:2], image
    )  # drawn twice as large


def test_settings_are_a_table(run, points):
    text = points["run/settings/text_summary"][0].tensor.string_val[0].decode()
    assert "| option | value |\n| --- | --- |\n" in text
    assert "| batch\\_size | 16 |" in text


def test_curves_of_training_and_validation_lie_over_each_other(points):
    layout = points["custom_scalars__config__"][0].tensor.string_val[0]
    assert b"train/loss" in layout and b"validation/loss" in layout
