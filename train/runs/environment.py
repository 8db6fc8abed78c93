"""Versions that a result may depend on: an allow-list, never the whole environment."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from convert.version import __version__

_PACKAGES = (
    "tensorflow", "keras", "numpy", "jax", "pillow-simd", "pillow", "google-crc32c",
)  # fmt: skip

# Shardfeed's own version and what only reads data do not change a training's arithmetic.
_ARITHMETIC = ("tensorflow", "keras", "numpy", "jax")


def num_devices() -> int:
    """Returns how many devices share a batch, those of all processes of a team together."""
    import keras

    if keras.backend.backend() != "jax":
        return 1  # `DataParallel` does nothing there, without a word
    import jax

    return jax.device_count()


def environment() -> dict[str, Any]:
    """Returns versions and the kind of machine."""
    import keras

    versions = {"shardfeed": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "TensorFlow's choice"),
        "machine": platform.machine(),
        "system": platform.system(),
        "devices": num_devices(),
        # How sums are split among threads decides their last bits.
        "cpus": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "packages": versions,
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lists the differences that may change the last bits of a result."""
    then = {"devices": 1, **then}  # runs on several came later
    keys = ("backend", "onednn", "machine", "devices", "cpus")
    pairs = [(key, then.get(key), now[key]) for key in keys]
    old = then.get("packages")
    old = old if isinstance(old, dict) else {}
    pairs += [(name, old.get(name), now["packages"].get(name)) for name in _ARITHMETIC]
    return [f"{name} {new}, was {was}" for name, was, new in pairs if was != new]
