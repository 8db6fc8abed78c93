"""The `train` command as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def train(*words, cwd=None):
    """Runs the command; returns exit code, lines of stdout and lines of stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "train", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()
