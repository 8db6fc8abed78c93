import keras
import numpy as np
import pytest

from train.model.loss import SparseCrossentropy
from train.model.metrics import character_accuracy, exact_match, per_output_accuracy
from train.model.recogniser import Recogniser, plain

CLASSES = 3
BLANK = 2
BLANKS = {"y0": None, "y1": BLANK, "y2": BLANK}
LABELS = np.array([[0, 1], [1, 2], [2, 2], [0, 0]])
PREDICTIONS = np.array([[0, 1], [1, 2], [2, 1], [1, 0]])


def by_output(values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"y{position}": values[:, position] for position in range(values.shape[1])}


def passthrough(num_outputs: int, blanks: dict[str, int | None] | None = None) -> Recogniser:
    """Returns a model whose logits are its inputs: (outputs, CLASSES) for each record."""
    logits = keras.Input((num_outputs, CLASSES))
    outputs = {}
    for index in range(num_outputs):
        crop = keras.layers.Cropping1D((index, num_outputs - 1 - index))(logits)
        outputs[f"y{index}"] = keras.layers.Reshape((CLASSES,), name=f"y{index}")(crop)
    model = Recogniser(logits, outputs, blanks=blanks)
    model.compile("sgd", loss=SparseCrossentropy(), jit_compile=False)
    return model


def test_exact_match_counts_whole_labels() -> None:
    assert exact_match(LABELS, PREDICTIONS) == 2 / 4


def test_per_output_accuracy() -> None:
    assert per_output_accuracy(LABELS, PREDICTIONS).tolist() == [3 / 4, 3 / 4]


@pytest.mark.parametrize(
    ("blanks", "expected"),
    [
        ([None, None], 6 / 8),
        ([None, BLANK], 5 / 7),  # y1 of record 1 is blank in both; of record 2 in the label only
        ([BLANK, BLANK], 4 / 6),
    ],
)
def test_character_accuracy_leaves_common_blanks_out(
    blanks: list[int | None], expected: float
) -> None:
    assert character_accuracy(LABELS, PREDICTIONS, blanks) == expected


def test_character_accuracy_of_nothing_but_blanks() -> None:
    blank = np.full((3, 2), BLANK)
    assert character_accuracy(blank, blank, [BLANK, BLANK]) == 0.0
    assert exact_match(blank, blank) == 1.0


@pytest.mark.parametrize("function", [exact_match, per_output_accuracy])
@pytest.mark.parametrize(
    ("labels", "predictions", "shapes"),
    [
        (LABELS, PREDICTIONS[:3], "(4, 2) and (3, 2)"),
        (LABELS[:, 0], PREDICTIONS[:, 0], "(4,) and (4,)"),
        (LABELS[:0], PREDICTIONS[:0], "(0, 2) and (0, 2)"),
    ],
)
def test_shapes_must_agree(function, labels, predictions, shapes) -> None:
    with pytest.raises(ValueError) as caught:
        function(labels, predictions)
    assert str(caught.value) == (
        "`labels` and `predictions` must both have shape (records, outputs) with at least one "
        f"record, got {shapes}."
    )


def test_one_blank_for_each_output() -> None:
    with pytest.raises(ValueError) as caught:
        character_accuracy(LABELS, PREDICTIONS, [None])
    assert str(caught.value) == "Expected 2 blanks, one per output, got 1."


@pytest.mark.parametrize(  # 23 records: all but 1 leave a short batch
    ("batch_size", "blanks"),
    [
        (10, BLANKS),
        (64, None),
        *(pytest.param(size, BLANKS, marks=pytest.mark.long) for size in (1, 7, 64)),
        *(pytest.param(size, None, marks=pytest.mark.long) for size in (1, 7, 10)),
    ],
)
def test_evaluate_agrees_with_numpy(batch_size: int, blanks: dict[str, int | None] | None) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(23, 3, CLASSES)).astype(np.float32)
    predictions = logits.argmax(axis=2)
    labels = np.where(rng.random((23, 3)) < 0.7, predictions, rng.integers(0, CLASSES, (23, 3)))
    model = passthrough(3, blanks)
    logs = model.evaluate(
        logits,
        by_output(labels.astype(np.int32)),
        batch_size=batch_size,
        verbose=0,
        return_dict=True,
    )
    indices = list(blanks.values()) if blanks else [None] * 3
    assert 0 < exact_match(labels, predictions) < 1
    np.testing.assert_allclose(logs["exact"], exact_match(labels, predictions), rtol=1e-6)
    np.testing.assert_allclose(
        logs["character_accuracy"], character_accuracy(labels, predictions, indices), rtol=1e-6
    )


def test_fit_logs_the_metrics_of_both_splits_and_forgets_between_epochs() -> None:
    logits = np.eye(CLASSES, dtype=np.float32)[[[0, 1], [1, 1], [2, 0]]]
    right = by_output(np.array([[0, 1], [1, 1], [2, 0]], np.int32))
    wrong = by_output(np.array([[1, 1], [2, 1], [0, 0]], np.int32))
    model = passthrough(2)
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        history = model.fit(
            logits, right, validation_data=(logits, wrong), batch_size=2, epochs=2, verbose=0
        ).history
    assert history["exact"] == history["character_accuracy"] == [1.0, 1.0]
    assert history["val_exact"] == [0.0, 0.0]
    assert history["val_character_accuracy"] == [0.5, 0.5]


def test_the_loss_is_the_mean_over_outputs() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 3, CLASSES)).astype(np.float32)
    labels = rng.integers(0, CLASSES, (5, 3), dtype=np.int32)
    logs = passthrough(3).evaluate(
        logits, by_output(labels), batch_size=2, verbose=0, return_dict=True
    )
    losses = [float(SparseCrossentropy()(labels[:, i], logits[:, i])) for i in range(3)]
    np.testing.assert_allclose(logs["loss"], np.mean(losses), rtol=1e-5)


def test_compiled_metrics_come_along() -> None:
    model = passthrough(2)
    accuracy = {name: keras.metrics.SparseCategoricalAccuracy("accuracy") for name in ("y0", "y1")}
    model.compile("sgd", loss=SparseCrossentropy(), metrics=accuracy, jit_compile=False)
    logs = model.evaluate(
        np.eye(CLASSES, dtype=np.float32)[PREDICTIONS],
        by_output(LABELS.astype(np.int32)),
        verbose=0,
        return_dict=True,
    )
    assert [logs["y0_accuracy"], logs["y1_accuracy"], logs["exact"]] == [0.75, 0.75, 0.5]


def test_the_state_of_the_metrics_is_in_the_state_tree() -> None:
    state = passthrough(2).get_state_tree("numpy_array")["metrics_variables"]
    assert {"character_accuracy", "exact"} <= set(state)


def test_blanks_name_outputs() -> None:
    with pytest.raises(ValueError) as caught:
        passthrough(2, blanks={"y2": 0})
    assert str(caught.value) == "`blanks` names outputs ['y2'], the model has ['y0', 'y1']."


def test_plain_shares_weights_and_is_keras_own() -> None:
    inputs = keras.Input((4,))
    outputs = {"y0": keras.layers.Dense(CLASSES, name="y0")(inputs)}
    model = Recogniser(inputs, outputs, name="reader")
    copy = plain(model)
    assert (type(copy).__module__.split(".")[0], copy.name) == ("keras", "reader")
    assert list(copy.output) == ["y0"]
    assert copy.variables[0] is model.variables[0]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.6])
def test_loss_equals_one_hot_crossentropy(label_smoothing: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=5, size=(17, 11)).astype(np.float32)
    labels = rng.integers(0, 11, 17, dtype=np.int32)
    weights = rng.random(17).astype(np.float32)
    one_hot = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing
    )
    ours = SparseCrossentropy(label_smoothing)
    expected = one_hot(np.eye(11, dtype=np.float32)[labels], logits)
    np.testing.assert_allclose(ours(labels, logits), expected, rtol=1e-5)
    weighted = one_hot(np.eye(11, dtype=np.float32)[labels], logits, sample_weight=weights)
    np.testing.assert_allclose(ours(labels, logits, sample_weight=weights), weighted, rtol=1e-5)


def test_loss_of_extreme_logits_is_finite() -> None:
    logits = np.array([[1e4, -1e4, 0.0]], np.float32)
    assert np.isfinite(float(SparseCrossentropy(0.1)(np.array([1]), logits)))


def test_loss_is_rebuilt_from_its_config() -> None:
    config = keras.losses.serialize(SparseCrossentropy(0.2))
    assert keras.losses.deserialize(config).label_smoothing == 0.2


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_label_smoothing_has_a_range(label_smoothing: float) -> None:
    with pytest.raises(ValueError) as caught:
        SparseCrossentropy(label_smoothing)
    assert str(caught.value) == f"`label_smoothing` must be in [0, 1), got {label_smoothing}."
