"""Measures how right a model is on a split; `evaluate.evaluate_source` does it all."""
