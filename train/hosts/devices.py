"""The devices that share each step's batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from train.errors import UsageError
from train.hosts.team import Team
from train.runs.environment import num_devices

_FEW_IMAGES = 16  # a device: below, a step is mostly the time that its parts take to start


def require_even(flag: str, batch_size: int, processes: int = 1) -> None:
    """Raises `UsageError` unless a batch can be shared evenly.

    Args:
        flag: The option by which the user chose its size.
        batch_size: Images of a step.
        processes: Of the team. Where they cannot have equally many devices, `Team.connect` says so.
    """
    devices = num_devices()
    if devices % processes == 0 and (rest := batch_size % devices):
        sizes = [size for size in (batch_size - rest, batch_size - rest + devices) if size]
        raise UsageError(
            f"{flag} {batch_size} cannot be shared evenly by {devices} devices; "
            f"{' and '.join(map(str, sizes))} can. Or let it see fewer devices, for example with "
            "CUDA_VISIBLE_DEVICES."
        )


def device_lines(batch_size: int, team: str = "") -> list[str]:
    """Returns what a user should know of the devices; nothing where there is one.

    Args:
        batch_size: Images of a step.
        team: Its processes, if they are several.
    """
    devices = num_devices()
    if keras.backend.backend() == "tensorflow":
        gpus = len(keras.distribution.list_devices("gpu"))
        return [f"uses one of {gpus} GPUs; KERAS_BACKEND=jax uses all"] if gpus > 1 else []
    if devices == 1:
        return []
    share = batch_size // devices
    whole = ", ".join(filter(None, (team, f"{devices} devices")))
    lines = [f"{whole}: each makes {share} of a step's {batch_size} images"]
    if share < _FEW_IMAGES:
        lines.append(
            f"{share} images keep a device busy for less time than a step needs to start: "
            f"--batch-size {_FEW_IMAGES * devices} or more may be faster"
        )
    return lines


def sharing(team: Team | None = None) -> contextlib.AbstractContextManager[None]:
    """Lets models that are made inside train on all devices, each with its part of a batch.

    Args:
        team: The processes that have them. None: this one.
    """
    if team is not None:
        team.connect()
    if num_devices() == 1:
        return contextlib.nullcontext()
    return _distributed(keras.distribution.DataParallel(auto_shard_dataset=False))


def on_one_device() -> contextlib.AbstractContextManager[None]:
    """Lets models that are made inside compute on one device of this process."""
    return _distributed(None)


@contextlib.contextmanager
def _distributed(distribution: Any) -> Iterator[None]:
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
