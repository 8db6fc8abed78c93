"""A training that learns nothing says what to look at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from resume_cases import config

from train.config import TrainConfig
from train.evaluation.predictions import Evaluation
from train.training.callbacks.chance import chance_line, chance_of
from train.training.start import train_model

# Two outputs of 100 records: four classes equally often, and two as 70 to 30.
LABELS = np.stack([np.arange(100) % 4, np.repeat([0, 1], [70, 30])], axis=1)


def line(
    right: int,
    epochs: int = 7,
    of: int = 20,
    alpha: str = "drop",
    steps: int = 139,
    loss: float = 9.0,
    classes: int = 4,
) -> str | None:
    """Returns the line where so many of the 200 outputs are right."""
    evaluation = Evaluation(
        labels=LABELS, predictions=np.where(right > np.arange(200).reshape(2, 100).T, LABELS, 9),
        confidences=LABELS, ranks=LABELS, losses=np.full(100, loss), blanks=(None, None),
    )  # fmt: skip
    info = SimpleNamespace(
        image_shape=(32, 128, 3),
        image=SimpleNamespace(alpha=alpha),
        classes={"y0": range(classes), "y1": range(classes)},
    )
    return chance_line(evaluation, info, TrainConfig(dataset="strips", epochs=of), epochs, steps)


def test_the_whole_line() -> None:
    assert line(95) == (
        "warning: validation is at chance after 7 epochs: 47.5% of the characters are right, and "
        "47.5% would be if each output always gave its commonest class. Look at "
        "`convert show strips`: can the text be read at 128x32, was it drawn in transparency that "
        "was dropped (convert with --alpha white), does each label belong to its image, or were "
        "they shuffled?"
    )


def test_transparency_that_was_not_dropped_is_no_cause() -> None:
    told = line(95, alpha="white")
    assert told is not None and "transparency" not in told and "at 128x32, does each" in told


@pytest.mark.parametrize(
    ("right", "is_told"),
    [
        (0, True),
        (95, True),  # the commonest classes: 25 and 70
        (109, True),  # within two standard errors of 7.06
        (110, False),
        (200, False),
    ],
)
def test_what_chance_is(right: int, is_told: bool) -> None:
    assert (line(right) is not None) == is_told


def test_one_class_that_is_always_read_is_no_chance() -> None:
    labels = np.zeros((10, 1), np.int32)
    evaluation = Evaluation(
        labels=labels, predictions=labels, confidences=labels, ranks=labels, losses=labels,
        blanks=(None,),
    )  # fmt: skip
    info = SimpleNamespace(image_shape=(32, 128, 3), image=SimpleNamespace(alpha="drop"))
    assert chance_of(evaluation) == 1
    assert chance_line(evaluation, info, TrainConfig(dataset="strips", epochs=2), 2, 9) is None


@pytest.mark.parametrize(
    ("of", "steps", "epochs"),
    [
        (20, 139, [2, 7]),  # two epochs, then a third of them
        (20, 31, [4, 7]),  # 100 steps
        (20, 14, [7]),
        (21, 139, [2, 7]),
        (22, 139, [2, 8]),
        (6, 139, [2]),
        (3, 139, [2]),
        (2, 139, [2]),
        (1, 139, []),
    ],
)
def test_when_it_is_told(of: int, steps: int, epochs: list[int]) -> None:
    assert [epoch for epoch in range(1, of + 1) if line(0, epoch, of, steps=steps)] == epochs


def test_the_early_line_says_that_it_is_early() -> None:
    told = line(0, epochs=2)
    assert told is not None
    assert told.startswith("warning: validation is still at chance after 2 epochs: 0.0% of the")
    assert "commonest class. Some sets take longer; meanwhile look at `convert show strips`" in told


@pytest.mark.parametrize(
    ("epochs", "loss", "classes", "is_told"),
    [
        (2, 1.0, 4, True),  # the entropies: log(4), and 0.61 of 70 to 30
        (2, 0.998, 4, False),  # the images say something
        (7, 0.998, 4, True),  # but no character
        (2, 2.5, 12, True),  # of 100 records of 12 classes the shares are not known: log(12)
        (2, 2.4, 12, False),
    ],
)
def test_a_loss_that_falls_is_no_chance_yet(
    epochs: int, loss: float, classes: int, is_told: bool
) -> None:
    assert (line(95, epochs, loss=loss, classes=classes) is not None) == is_told


def test_a_session_tells_it_after_the_epoch(tiny_dataset, tmp_path) -> None:
    said: list[str] = []
    train_model(config(tiny_dataset, tmp_path, learning_rate=1e-9), said.append)
    (place,) = [i for i, line in enumerate(said) if line.startswith("warning: validation is at")]
    assert said[place - 1].startswith("epoch 2/3 loss ")
    assert said[place] in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
