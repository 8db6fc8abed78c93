"""Which weights a network takes from another, and what it says of the rest."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from train.errors import UsageError
from train.model.networks.by_name import build_model
from train.model.recogniser import Recogniser
from train.model.transfer import Trained, take_weights

SHAPE = (16, 64, 3)
OLD = {"y0": ("a", "b", "c"), "y1": ("a", "b", "c")}


def network(classes, *, seed=0, **options):
    sizes = {output: len(names) for output, names in classes.items()}
    options = {"name": "cnn", "width": 0.25, "image_shape": SHAPE, **options}
    return build_model(outputs=sizes, seed=seed, **options)


def learner(classes, **options):
    made, average = (network(classes, seed=1, **options) for _ in range(2))
    return Recogniser(made.input, made.output, average=average, ema=0.9, name=made.name)


@pytest.fixture
def trained():
    made = network(OLD)
    rng = np.random.default_rng(0)
    for weight in made.weights:  # what training would have changed: also moving statistics
        weight.assign(rng.random(weight.shape, np.float32))
    return Trained(name="runs/1", network=made, classes=OLD, remedy="Do this.")


def weights(model, layer):
    return [np.array(weight) for weight in model.get_layer(layer).weights]


def test_equal_networks_become_equal(trained):
    model = learner(OLD)
    seeds = [np.array(v) for v in model.non_trainable_variables if "seed" in v.path]
    taken = take_weights(model, OLD, trained)
    layers = len([layer for layer in trained.network.layers if layer.weights])
    expected = f"weights of runs/1: {layers} of {layers} layers taken; 3 of 3 classes taken"
    assert taken.line() == expected
    for ours in (model, model.average):
        for layer in trained.network.layers:
            for one, other in zip(ours.get_layer(layer.name).weights, layer.weights, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=one.path)
    assert {"moving_mean", "moving_variance"} <= {w.name for w in trained.network.weights}
    after = [np.array(v) for v in model.non_trainable_variables if "seed" in v.path]
    np.testing.assert_array_equal(seeds, after)


def test_classes_are_taken_by_name(trained):
    new = dict.fromkeys(OLD, ("c", "new", "a"))
    model = learner(new)
    fresh = weights(model, "classifier")
    taken = take_weights(model, new, trained)
    assert taken.line().endswith("; 2 of 3 classes taken, new: new")
    for ours, theirs, before in zip(
        weights(model, "classifier"), weights(trained.network, "classifier"), fresh, strict=True
    ):
        np.testing.assert_array_equal(ours[..., [0, 2]], theirs[..., [2, 0]])
        np.testing.assert_array_equal(ours[..., 1], before[..., 1])


def test_separate_classifiers_take_each_its_own(trained):
    old = {"y0": ("a", "b", "c"), "y1": ("x", "y", "z", "")}
    theirs = network(old, head="separate", seed=5)
    new = {"y0": ("b", "q"), "y1": ("", "y")}
    model = learner(new, head="separate")
    taken = take_weights(model, new, Trained(name="r", network=theirs, classes=old, remedy=""))
    assert taken.line().endswith("3 of 4 classes taken, new: q")
    for output, ours, other in (("y0", [0], [1]), ("y1", [0, 1], [3, 1])):
        for one, two in zip(weights(model, output), weights(theirs, output), strict=True):
            np.testing.assert_array_equal(one[..., ours], two[..., other])


def test_one_classifier_for_all_is_taken_by_each_of_several(trained):
    new = {"y0": ("a", "b", "c"), "y1": ("c", "b")}
    model = learner(new, head="separate")
    assert "5 of 5 classes taken" in take_weights(model, new, trained).line()
    shared = weights(trained.network, "classifier")
    np.testing.assert_array_equal(weights(model, "y1")[0], shared[0][:, [2, 1]])


def test_layers_that_do_not_fit_are_named(trained):
    new = {f"y{index}": OLD["y0"] for index in range(3)}
    line = take_weights(learner(new), new, trained).line()
    assert "layers taken, not read_attend (" in line and " there, " in line
    assert line.endswith("3 of 3 classes taken")


def test_without_its_classes_a_classifier_is_not_taken(trained):
    model = learner(OLD)
    before = weights(model, "classifier")
    unknown = Trained(name="f.keras", network=trained.network, classes=None, remedy="")
    line = take_weights(model, OLD, unknown).line()
    assert line.endswith("not classifier (what its classes were is not known: name the run)")
    np.testing.assert_array_equal(weights(model, "classifier")[0], before[0])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"width": 0.5},
            "its first layer is another: stem_conv, 3x3x3x4 there, 3x3x3x8 here",
        ),
        (
            {"image_shape": (16, 64, 1)},
            "its first layer is another: stem_conv, 3x3x3x4 there, 3x3x1x4 here",
        ),
        ({"name": "resnet10"}, "its network is cnn, this one is resnet10"),
    ],
)
def test_another_kind_of_network_is_refused(trained, options, problem):
    model = learner(OLD, **options)
    before = model.get_weights()
    with pytest.raises(UsageError) as caught:
        take_weights(model, OLD, trained)
    assert str(caught.value) == f"--weights runs/1: {problem}. Do this."
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def own(features=4):
    """Returns a network whose layers Keras has named: others in each model of a process."""
    image = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Conv2D(features, 3, strides=4)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Flatten()(keras.layers.Conv2D(features, 3, strides=4)(x))
    return keras.Model(image, {name: keras.layers.Dense(3)(x) for name in OLD})


def test_layers_without_names_are_taken_in_their_order():
    theirs, ours = own(), own()
    assert [layer.name for layer in theirs.layers] != [layer.name for layer in ours.layers]
    model = Recogniser(ours.input, ours.output)
    other = Trained(name="r", network=theirs, classes=OLD, remedy="")
    assert take_weights(model, OLD, other).line() == (
        "weights of r: 4 of 4 layers taken; 6 of 6 classes taken"
    )
    for one, two in zip(model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_nothing_that_fits_is_refused():
    ours, theirs = own(5), own(4)
    with pytest.raises(UsageError, match="none of its 4 layers fits this recogniser"):
        take_weights(
            Recogniser(ours.input, ours.output),
            OLD,
            Trained(name="r", network=theirs, classes=OLD, remedy=""),
        )
