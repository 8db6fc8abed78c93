"""What tests of `train predict` share."""

from __future__ import annotations

import csv
import io

from reading_cases import json_lines

from train.predict.config import PredictConfig
from train.predict.pipeline import predict_images


def predict(run, tmp_path, **options):
    """Returns the result and the rows that were written."""
    output = tmp_path / "predictions"
    result = predict_images(run, PredictConfig(output=str(output), workers=3, **options))
    text = output.read_text(encoding="utf-8")
    if options.get("format") == "jsonl":
        return result, json_lines(text)
    return result, list(csv.DictReader(io.StringIO(text)))
