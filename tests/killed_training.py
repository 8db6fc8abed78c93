"""Trains like the `train` command, with a clock that counts, until a signal that it sends itself.

`python killed_training.py STEP SIGNAL WORDS...`: after STEP steps, counted from 1 over all epochs,
the process gets SIGNAL; STEP 0 is never reached.
"""

import os
import signal
import sys
from itertools import count
from types import SimpleNamespace

from train import cli, keeper
from train.callbacks import RunRecorder

SECONDS = count()


def use_a_counting_clock() -> None:
    """Makes checkpoints due after a number of steps, not of minutes."""
    keeper.time = SimpleNamespace(monotonic=lambda: next(SECONDS))


def send_after(step: int, number: signal.Signals) -> None:
    """Makes the process send itself a signal at the end of a step."""
    real, steps = RunRecorder.on_train_batch_end, count(1)

    def on_train_batch_end(self, batch, logs=None):
        real(self, batch, logs)
        if next(steps) == step:
            os.kill(os.getpid(), number)

    RunRecorder.on_train_batch_end = on_train_batch_end


if __name__ == "__main__":
    use_a_counting_clock()
    send_after(int(sys.argv[1]), signal.Signals[sys.argv[2]])
    cli.main(sys.argv[3:])
