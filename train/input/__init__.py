"""Batches for a model, as tensors or as arrays."""

from train.input.numpy_dataset import load_numpy, load_pydataset
from train.input.tf_dataset import load_dataset

__all__ = ["load_dataset", "load_numpy", "load_pydataset"]
