"""The processes that train one run together."""

from __future__ import annotations

from train.hosts.place import Place


class Team:
    """The processes that train one run together; `train_model` and `resume_training` take one.

    On every rank they return the same `TrainResult` or raise the same `StoppedError`, so that all
    end with one exit code. Anything else that goes wrong is told on stderr by the rank that met it,
    and ends all ranks with its code: it is not raised.

    Attributes:
        rank: Which process this is. In [0, size). Only rank 0 prints results.
        size: Processes of the team.
    """

    rank: int
    size: int


def join(place: Place) -> Team:
    """Joins the others; after this JAX has the devices of all, and Keras may be imported.

    Args:
        place: Which part this process is.

    Raises:
        UsageError: Keras' backend is not JAX.
        TryAgainError: Not all of them have started in time.
    """
    raise NotImplementedError(place)
