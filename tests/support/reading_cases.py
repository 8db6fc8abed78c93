"""A run that was never trained, for tests of what only reads with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
from keras import layers

from convert.dataset.read import read_dataset
from train.evaluation.calibration import Calibration, Scale
from train.evaluation.calibration_file import write_calibration
from train.evaluation.evidence import THRESHOLDS, Evidence
from train.runs.folder import RunFolder


def small_network(image_shape, outputs):
    """Returns a network of the kinds of layers that exporters stumble over.

    Its logits differ widely from image to image, so that two images are seldom read alike.
    """
    keras.utils.set_random_seed(0)
    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.Conv2D(8, 4, strides=4)(x)
    x = layers.BatchNormalization()(x)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Dense(16, activation="gelu")(y)
    x = layers.Add()([x, layers.Dense(8)(y)])
    x = layers.Reshape((-1, 8))(x)
    x = layers.Dropout(0.1)(x)
    places, looks = x.shape[1], len(outputs)
    weights = layers.Softmax(axis=1)(layers.EinsumDense("bcf,fr->bcr", (places, looks))(x))
    x = layers.Dot(axes=(1, 1))([weights, x])
    whole = layers.Reshape((looks, 8))(layers.Dense(looks * 8)(layers.Flatten()(y)))
    x = layers.BatchNormalization()(layers.Add()([x, whole]))
    wide = keras.initializers.RandomNormal(stddev=4)
    parts = {}
    for index, (name, classes) in enumerate(outputs.items()):
        part = layers.Cropping1D((index, looks - 1 - index))(x)
        logits = layers.Dense(classes, kernel_initializer=wide)(layers.Flatten()(part))
        parts[name] = layers.Reshape((classes,), name=name)(logits)
    return keras.Model(image, parts, name="small")


def untrained_run(folder: Path, dataset: Path) -> RunFolder:
    """Makes a run's folder without a training."""
    info = read_dataset(str(dataset))
    run = RunFolder.create(str(folder))
    run.write_start({"dataset": str(dataset), "dataset_id": info.dataset_id}, info)
    outputs = {name: len(classes) for name, classes in info.classes.items()}
    run.save_model(small_network(info.image_shape, outputs), "best.keras")
    return run


def calibrated_copy(run: RunFolder, folder: Path) -> RunFolder:
    """Returns a copy of a run, with a calibration and evidence of 400 records."""
    copy = RunFolder(str(shutil.copytree(run.path, folder)))
    temperatures = [0.5 + 0.25 * i for i in range(len(run.dataset_info().outputs))]
    scale = Scale(temperatures=temperatures, power=0.75)
    # 300 reach 0.9, and none of them is misread; of all 400 there are 50.
    reach = [threshold <= 0.9 for threshold in THRESHOLDS]
    accepted, wrong = [300 * some for some in reach[:-1]], [0] * (len(reach) - 1)
    evidence = Evidence(accepted=[*accepted, 400], wrong=[*wrong, 50])
    write_calibration(
        copy, Calibration(records=400, scale=scale, halves=[scale, scale], evidence=evidence)
    )
    return copy


def sure_of(probabilities: dict[str, np.ndarray], scale: Scale) -> np.ndarray:
    """Returns the confidence of whole labels, computed in the simplest way."""
    product = 1.0
    for values, temperature in zip(probabilities.values(), scale.temperatures, strict=True):
        powers = values.astype(np.float64) ** (1 / temperature)
        product = product * powers.max(axis=1) / powers.sum(axis=1)
    return product**scale.power


def probabilities_of(run: RunFolder, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs of a run's network for images, computed in the simplest way."""
    logits = run.load_model().predict_on_batch(images)
    found = {}
    for name, values in logits.items():
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        found[name] = powers / powers.sum(axis=1, keepdims=True)
    return found


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]
