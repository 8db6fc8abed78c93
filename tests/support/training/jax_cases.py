"""Processes whose Keras runs on JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from train_cases import ROOT


def on_jax(*words: object, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    """Runs Python with a command line."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), **env},
    )
