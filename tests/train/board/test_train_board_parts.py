"""The parts of TensorBoard's files, one by one."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from resume_cases import assert_same

from train.model.networks.by_name import build_model
from train.runs.events import started
from train.training.callbacks.board import collected_histograms
from train.training.callbacks.board.collected_histograms import Activations, Histograms, outputs_of
from train.training.callbacks.board.histogram_message import MAX_VALUES, histogram, sample
from train.training.callbacks.board.norms import GradientNorms
from train.training.callbacks.board.pictures import (
    _caption,
    _font,
    _shortened,
    sheet,
    table_summary,
)


def test_a_sample_passes_no_channel_over():
    values = np.zeros((32, 32, 128, 16), np.float32) + np.arange(16, dtype=np.float32)
    found, counts = np.unique(sample(values), return_counts=True)
    assert found.tolist() == list(range(16))
    assert MAX_VALUES * 0.9 < counts.sum() <= MAX_VALUES
    assert counts.max() - counts.min() <= 1
    assert sample(np.arange(256 * 21_000, dtype=np.float32)).size <= MAX_VALUES
    assert sample(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert sample(np.float32(3)).tolist() == [3]


def test_what_is_not_finite_is_left_out():
    values = np.array([1, np.inf, 3, -np.inf, np.nan, 60_000], np.float16)
    histo = histogram("a/b", values).value[0].histo
    assert (histo.num, histo.min, histo.max) == (3, 1, 60_000)
    assert histo.sum_squares == 10 + 60_000**2  # more than 16 bits hold
    assert histogram("a/b", np.full(3, np.nan, np.float32)) is None
    assert sum(histogram("a/b", np.ones(7)).value[0].histo.bucket) == 7


def test_histograms_keep_to_their_share_of_the_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(collected_histograms.time, "perf_counter", lambda: now[0])
    taken = Histograms(Images())

    def take(is_last=False):
        return len(taken.take(network, GradientNorms(network), is_last)) > 0

    def spend(variables):
        now[0] += 2
        yield "message"

    monkeypatch.setattr(collected_histograms, "weight_histograms", spend)
    network = tiny_network()
    network.compile("sgd", "mse")
    assert take()
    now[0] += 199.9
    assert not take()
    assert take(is_last=True)
    now[0] += 200.1
    assert take()


def tiny_network(**options):
    return build_model((8, 16, 1), {"y0": 5, "y1": 5}, seed=0, bottleneck=8, **options)


class Images:
    """Stands for the batches of a split."""

    batch_size = 4

    def __init__(self):
        self.pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 16, 1), np.uint8)
        self.order = SimpleNamespace(num_records=4, records=lambda _, start, stop: [start, stop])
        self.reader = SimpleNamespace(gather=lambda _: (self.pixels, None))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_activations_of_16_bits(policy):
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = tiny_network()
    finally:
        keras.config.set_dtype_policy(usual)
    images = Images()
    found = {
        message.value[0].tag: message.value[0].histo
        for message in Activations(network, images).histograms()
    }
    layer = network.get_layer("stem_conv")
    expected = keras.Model(network.input, layer.output)(images.pixels, training=False)
    values = np.asarray(expected, np.float32)
    assert str(layer.compute_dtype) == policy.removeprefix("mixed_")
    histo = found["weights_activations/stem_conv"]
    assert histo.num == values.size
    assert [histo.min, histo.max] == [values.min(), values.max()]


def test_activations_are_of_what_the_network_is_now():
    """And to look at them changes neither dropout's seeds nor the moving averages."""
    network = tiny_network(dropout=0.5)
    activations = Activations(network, Images())
    before = [np.array(variable) for variable in network.variables]
    (first,) = (m for m in activations.histograms() if "stem_conv" in m.value[0].tag)
    assert_same(dict(enumerate(before)), dict(enumerate(map(np.array, network.variables))))
    kernel = network.get_layer("stem_conv").kernel
    kernel.assign(2 * kernel)
    (second,) = (m for m in activations.histograms() if "stem_conv" in m.value[0].tag)
    assert second.value[0].histo.max == pytest.approx(2 * first.value[0].histo.max, rel=1e-5)


def test_layers_of_all_kinds():
    """Called twice, with several outputs, without weights, and a network as a layer."""
    inputs = keras.Input((4, 3))
    shared = keras.layers.Dense(3, name="shared")
    x, *_ = keras.layers.GRU(3, return_state=True, return_sequences=True, name="several")(
        shared(shared(inputs))
    )
    nested = keras.Sequential([keras.layers.Dense(2)], name="nested")
    network = keras.Model(inputs, keras.layers.Flatten()(nested(x)))
    assert [name for name, _ in outputs_of(network)] == ["shared", "nested"]
    keras.Model(inputs, dict(outputs_of(network))).predict_on_batch(np.ones((1, 4, 3)))


def test_norms_are_read_later_than_noted():
    """Each as it was at its step, though the variable has moved on."""
    noted = keras.Variable(np.zeros(2, np.float32))
    model = SimpleNamespace(
        trainable_variables=[SimpleNamespace(path="a"), SimpleNamespace(path="b")],
        optimizer=SimpleNamespace(gradient_norms=noted),
    )
    norms = GradientNorms(model)
    for step in range(1, 4):
        noted.assign_add([1.0, 2.0])
        norms.on_step()
        if step == 2:
            assert norms.read() == pytest.approx(np.hypot(2, 4))
    assert norms.read() == pytest.approx(np.hypot(3, 6))
    assert norms.read() is None
    assert norms.on_epoch_end() is None
    first, second = (message.value[0].histo for message in norms.histograms())
    assert (first.min, first.max, first.num) == (1, 3, 3)
    assert (second.min, second.max, second.num) == (2, 6, 3)


def test_norms_without_an_optimizer_that_notes_them():
    model = tiny_network()
    model.compile("sgd", "mse")
    norms = GradientNorms(model)
    norms.on_step()
    assert norms.read() is None
    assert norms.on_epoch_end() is None
    assert list(norms.histograms()) == []


def test_a_table_is_no_markdown():
    text = table_summary("a", ("b",), [("*x*|<y>",), ("",), ("1\n2",)]).value[0].tensor
    cells = text.string_val[0].decode().splitlines()[2:]
    assert cells == ["| \\*x\\*\\|\\<y\\> |", "| (none) |", "| 1 2 |"]


@pytest.mark.parametrize(
    ("shape", "sheet_shape"),
    [
        ((3, 32, 128, 3), (2 * (64 + 70) + 8, 2 * 264 + 8, 3)),  # twice as large
        ((1, 300, 200, 1), (300 + 70 + 8, 256 + 16, 3)),
        ((1, 40, 2000, 3), (10 + 70 + 8, 500 + 16, 3)),  # a quarter
    ],
)
def test_a_sheet_fits_its_images(shape, sheet_shape):
    found = sheet(np.full(shape, 128, np.uint8), ["1  99.0%"] * shape[0])
    assert found.shape == sheet_shape
    assert (found == 128).mean() > 0.1
    assert (found < 64).any()  # ink


@pytest.mark.parametrize("shape", [(4, 32, 128, 3), (4, 300, 17, 1)])
def test_captions_stay_in_their_columns(shape):
    """Seven characters as a whole; longer ones end where their column does."""
    texts = [_caption(16, "MWMWMWM", "WMWMWMW", "99.0%"), _caption(2, "W" * 60, "M" * 60, "9.1%")]
    found = sheet(np.full(shape, 128, np.uint8), texts * 2)
    assert found.shape[1] == 2 * 264 + 8
    gaps = found[:, [*range(8), *range(264, 272), *range(528, 536)]]
    assert (gaps == 255).all()
    font = _font()
    assert all(_shortened(line, font, 256) == line for line in texts[0].split("\n"))
    lines = [_shortened(line, font, 256) for line in texts[1].split("\n")]
    assert [line[-3:] for line in lines] == [".1%", "...", "..."]
    assert texts[0] == "16  99.0%\nMWMWMWM\nWMWMWMW"
    assert _caption(3, "京" * 40, "京A", "50.0%") == "3  50.0%"  # the rest is in the table


def test_a_run_began_with_its_first_file(tmp_path):
    assert started(str(tmp_path / "none")) is None
    assert started(str(tmp_path)) is None
    for name in ("1700000002500000000", "1700000001500000000", "1.cut"):
        (tmp_path / f"events.out.tfevents.{name}").touch()
    assert started(str(tmp_path)) == 1_700_000_001.5
