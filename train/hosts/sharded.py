"""Prediction while a run trains on several devices: each device takes whole batches.

A device gets the batches that it would get alone, so the results are those of `train evaluate` to
the last bit, on any number of devices.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from train.evaluation.evaluate import evaluate_source, joined, judge_batch
from train.evaluation.predictions import Evaluation
from train.hosts.team import Team
from train.records.batches import BatchSource
from train.runs.environment import num_devices

Images = np.ndarray[Any, np.dtype[np.uint8]]
Logits = dict[str, np.ndarray[Any, Any]]
Judged = tuple[np.ndarray[Any, Any], ...]
"""What `judge_batch` returns for a batch."""

_ARRAYS = 5  # of a batch


class LocalNetwork:
    """Predicts on the devices of this process, whatever other processes do meanwhile.

    What Keras itself computes with the variables of a team, all its processes must compute.

    Args:
        network: Built to be trained on several devices; its variables are read at each call.
    """

    def __init__(self, network: keras.Model) -> None:
        import jax
        from jax.sharding import NamedSharding, PartitionSpec

        def predict(trainable: Any, non_trainable: Any, images: Any) -> Any:
            return network.stateless_call(trainable, non_trainable, images, training=False)[0]

        self._network, self._devices = network, jax.local_devices()
        mesh = jax.sharding.Mesh(np.array(self._devices), ("batch",))
        whole, part = PartitionSpec(), PartitionSpec("batch")
        self._everywhere = NamedSharding(mesh, whole)
        self._alone = jax.jit(predict)
        self._shared = jax.jit(
            jax.shard_map(
                predict, mesh=mesh, in_specs=(whole, whole, part), out_specs=part, check_vma=False
            )
        )

    @property
    def num_devices(self) -> int:
        """Devices of this process."""
        return len(self._devices)

    def predict_on_batch(self, images: Images) -> Logits:
        """Returns the outputs for one batch, by name."""
        found = self._alone(*self._values(self._on_first), images)
        return {name: np.asarray(output) for name, output in found.items()}

    def predict(self, batches: Sequence[Images]) -> list[Logits]:
        """Returns the outputs for each of at most `num_devices` batches."""
        if len(batches) < self.num_devices or len({len(batch) for batch in batches}) > 1:
            return [self.predict_on_batch(images) for images in batches]
        found = self._shared(*self._values(self._on_all), np.concatenate(batches))
        outputs = {name: np.split(np.asarray(o), len(batches)) for name, o in found.items()}
        return [{name: parts[i] for name, parts in outputs.items()} for i in range(len(batches))]

    def _values(self, local: Callable[[Any], Any]) -> tuple[list[Any], list[Any]]:
        groups = self._network.trainable_variables, self._network.non_trainable_variables
        trainable, non_trainable = ([local(variable.value) for variable in g] for g in groups)
        return trainable, non_trainable

    def _on_first(self, value: Any) -> Any:
        return value.addressable_data(0)

    def _on_all(self, value: Any) -> Any:
        import jax

        copies = [shard.data for shard in value.addressable_shards]
        return jax.make_array_from_single_device_arrays(value.shape, self._everywhere, copies)


def predictor(network: keras.Model) -> keras.Model | LocalNetwork:
    """Returns what predicts by a network of a run in training, on this process's devices alone."""
    return network if num_devices() == 1 else LocalNetwork(network)


def evaluate_shared(
    network: keras.Model | LocalNetwork,
    source: BatchSource,
    blanks: Sequence[int | None],
    on_batch: Callable[[], None],
    team: Team,
) -> Evaluation:
    """Runs a network over every record of a source, shared by all devices of a team.

    Args:
        network: Of `predictor`.
        source: The records, unshuffled, none dropped; equal on all ranks.
        blanks: Index of each output's blank class, or None.
        on_batch: Called after each batch of each device, on all ranks equally often; what it
            raises ends the evaluation.
        team: Who shares it.

    Returns:
        That of all records, on each rank.
    """
    if isinstance(network, keras.Model):
        return evaluate_source(network, source, blanks, on_batch)
    rounds = list(_rounds(source.num_steps, team.size, network.num_devices))
    own: list[Judged] = []
    for steps in rounds:
        mine = steps[team.rank]
        batches = [source.batch(0, step) for step in mine]
        outputs = network.predict([images for images, *_ in batches])
        for step, (_, *labels), logits in zip(mine, batches, outputs, strict=True):
            own.append(judge_batch(logits, labels, source, step))
        on_batch()
    of_ranks = [iter(_unpacked(data)) for data in team.gather(_packed(own))]
    return joined(
        [
            next(judged)
            for steps in rounds
            for mine, judged in zip(steps, of_ranks, strict=True)
            for _ in mine
        ],
        blanks,
    )


def _rounds(num_steps: int, size: int, devices: int) -> Iterator[list[range]]:
    """Yields the batches of each rank, one for each of its devices, until all are dealt."""
    for first in range(0, num_steps, size * devices):
        starts = (first + rank * devices for rank in range(size))
        yield [range(min(s, num_steps), min(s + devices, num_steps)) for s in starts]


def _packed(judged: Sequence[Judged]) -> bytes:
    """Returns arrays of batches as bytes; floats of any kind come through bit for bit."""
    buffer = io.BytesIO()
    np.savez(buffer, *[array for arrays in judged for array in arrays])
    return buffer.getvalue()


def _unpacked(data: bytes) -> list[Judged]:
    with np.load(io.BytesIO(data)) as found:
        arrays = [found[f"arr_{number}"] for number in range(len(found.files))]
    return [tuple(arrays[i : i + _ARRAYS]) for i in range(0, len(arrays), _ARRAYS)]
