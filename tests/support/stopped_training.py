"""Runs `train` many times and stops each by SIGTERM at another moment, in forks of one process.

`python stopped_training.py MOMENTS FOLDER WORDS...` trains in FOLDER/0, FOLDER/1, ... and prints
for each a line of JSON: [moment, exit code or None if it had to be killed, stderr]. Loading
TensorFlow is most of what `train` does, and is done once: these moments are after it.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import keras  # noqa: F401  # loaded here for all
import tensorflow  # noqa: F401
from convert_cases import PATIENCE

from train.cli import command as cli


def start(run: Path, words: list[str]) -> int:
    """Starts `train` with its stderr in a file; returns the process's number."""
    err = os.open(f"{run}.err", os.O_WRONLY | os.O_CREAT)  # before a signal can come
    child = os.fork()
    if not child:
        os.dup2(err, 2)
        cli.main([*words, "--run", str(run)])
    os.close(err)
    return child


def wait_for_end(child: int) -> int | None:
    """Returns the exit code of a process; None if it does not end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def main(moments: int, folder: Path, words: list[str]) -> None:
    started = time.monotonic()
    assert wait_for_end(start(folder / "whole", words)) == 0
    whole, chance = time.monotonic() - started, random.Random(14)
    for number in range(moments):
        run = folder / str(number)
        child = start(run, words)
        time.sleep((number + chance.random()) * whole / moments)
        os.kill(child, signal.SIGTERM)
        code = wait_for_end(child)
        print(json.dumps([number, code, Path(f"{run}.err").read_text()]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
