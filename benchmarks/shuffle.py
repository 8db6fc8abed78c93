"""How well batches are mixed: shardfeed's order against a true permutation and the usual buffers.

    python benchmarks/shuffle.py [--records 200000] [--shards 20] [--batch-size 128] [--epochs 8]
                                 [--check]

Nothing is read: the order of the records is all that counts. Positions are those on disk, where
`convert` has put the records in random order already unless `--order source` is given; what is
measured is what the reader adds, and all there is where files lie sorted. The others' orders are
simulated step by step; `--check` compares the simulations with tf.data itself on small sizes.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is loaded

from train.records.order import RecordOrder

Ints = np.ndarray[Any, np.dtype[np.int64]]
Order = Callable[[int], Ints]
"""Returns the stored positions of an epoch's records in the order they are delivered."""

SHUFFLE_BUFFER = 8192  # records: 100 MB of 32x128x3, as large as most pipelines afford
INTERLEAVED_FILES = 4
TRUE = "true permutation"
OURS = "ours, window = split (default)"
TF_DATA = f"tf.data, buffer {SHUFFLE_BUFFER:,}"
WEBDATASET_BUFFER, WEBDATASET_INITIAL = 1000, 100  # the defaults of its `shuffle`
CHECK_FILES, CHECK_RECORDS, CHECK_BUFFER, CHECK_EPOCHS = 7, 1000, 64, 200

METHOD = """\
method: means over epochs (or pairs of epochs), by measure:
  stored     size of Spearman's correlation of position on disk and in the epoch
  epochs     the same of a record's positions in two epochs
  shards     different source shards in a batch: mean, and the least of all batches
  neighbours how often two neighbours on disk share a batch, as a multiple of what is expected
  moved      how far a record moves from its place on disk, as a share of what is expected
expected of a true permutation: {chance:.4f}, {chance:.4f}, {shards:.2f}, 1.00x, 100.0%"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How well an order is mixed; the measures are those of `METHOD`."""

    stored: float
    epochs: float
    shards: float
    least_shards: int
    neighbours: float
    moved: float


def shard_sizes(num_records: int, num_shards: int) -> list[int]:
    """Returns the records of each shard: as equal as they can be."""
    whole, rest = divmod(num_records, num_shards)
    return [whole + (shard < rest) for shard in range(num_shards)]


def measure(order: Order, sizes: list[int], batch_size: int, epochs: int) -> Quality:
    """Goes through some epochs of an order."""
    num_records = sum(sizes)
    shard_of = np.repeat(np.arange(len(sizes)), sizes)
    stored = np.arange(num_records)
    steps = num_records // batch_size  # the remainder is left out, as in training
    shards, together, places = [], [], []
    for epoch in range(epochs):
        records = order(epoch)
        place = np.empty(num_records, np.int64)
        place[records] = stored
        batches = np.sort(shard_of[records[: steps * batch_size]].reshape(steps, batch_size))
        shards.append((np.diff(batches) > 0).sum(axis=1) + 1)
        batch_of = place // batch_size
        together.append(((np.diff(batch_of) == 0) & (batch_of[1:] < steps)).sum())
        places.append(place)
    pairs = itertools.combinations(places, 2)
    return Quality(
        stored=statistics.mean(correlation(stored, place) for place in places),
        epochs=statistics.mean(correlation(one, other) for one, other in pairs),
        shards=float(np.mean(shards)),
        least_shards=int(np.min(shards)),
        neighbours=float(np.mean(together)) / meetings(num_records, batch_size),
        moved=float(np.mean([np.abs(place - stored).mean() for place in places]))
        / ((num_records**2 - 1) / (3 * num_records)),
    )


def correlation(one: Ints, other: Ints) -> float:
    """Returns the size of Spearman's correlation; positions are ranks already."""
    return abs(float(np.corrcoef(one, other)[0, 1]))


def meetings(num_records: int, batch_size: int) -> float:
    """Returns how many pairs of neighbours share a batch in a true permutation."""
    return num_records // batch_size * batch_size * (batch_size - 1) / num_records


def expected_shards(sizes: list[int], batch_size: int) -> float:
    """Returns how many different shards a batch of a true permutation has."""
    total = sum(sizes)

    def log_ways(items: int) -> float:
        if items < batch_size:
            return -math.inf
        return math.lgamma(items + 1) - math.lgamma(items - batch_size + 1)

    return sum(1 - math.exp(log_ways(total - size) - log_ways(total)) for size in sizes)


def buffered(records: Iterable[int], size: int, rng: random.Random) -> Iterator[int]:
    """tf.data's `shuffle`: fills a buffer, delivers a random slot, puts the next record there."""
    source = iter(records)
    buffer = list(itertools.islice(source, size))
    for record in source:
        slot = int(rng.random() * len(buffer))
        yield buffer[slot]
        buffer[slot] = record
    rng.shuffle(buffer)  # no more comes: the rest leaves in random order
    yield from buffer


def interleaved(files: Iterable[range], cycle_length: int) -> Iterator[int]:
    """tf.data's `interleave`: a record of each open file in turn; the next file where one ends."""
    waiting = iter(files)
    slots: list[Iterator[int] | None] = [None] * cycle_length
    for slot in itertools.cycle(range(cycle_length)):
        file = slots[slot]
        if file is None:
            file = next((iter(file) for file in waiting), None)
        record = None if file is None else next(file, None)
        slots[slot] = None if record is None else file
        if record is not None:
            yield record
        elif file is None and not any(slots):
            return


def webdataset_buffered(records: Iterable[int], rng: random.Random) -> Iterator[int]:
    """WebDataset's `shuffle`: delivers from a small buffer at first, which grows meanwhile."""
    source = iter(records)
    buffer: list[int] = []
    for record in source:
        buffer.append(record)
        if len(buffer) < WEBDATASET_BUFFER:
            buffer.extend(itertools.islice(source, 1))
        if len(buffer) >= WEBDATASET_INITIAL:
            slot = int(rng.random() * len(buffer))
            buffer[slot], buffer[-1] = buffer[-1], buffer[slot]
            yield buffer.pop()
    rng.shuffle(buffer)
    yield from buffer


def ours(sizes: list[int], window: int) -> Order:
    """The order of `train` with a window."""
    order = RecordOrder(sizes, seed=0, window=window)
    return lambda epoch: order.records(epoch, 0, order.num_records)


def competitors(sizes: list[int]) -> dict[str, Order]:
    """Returns the orders by name."""
    total = sum(sizes)
    ends = np.cumsum(sizes).tolist()
    files = [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]

    def array(records: Iterable[int]) -> Ints:
        return np.fromiter(records, np.int64, total)

    def shuffled_files(rng: random.Random) -> list[range]:
        return rng.sample(files, len(files))

    def tf_data(epoch: int) -> Ints:
        return array(buffered(range(total), SHUFFLE_BUFFER, random.Random(epoch)))

    def tf_data_interleaved(epoch: int) -> Ints:
        rng = random.Random(epoch)
        records = interleaved(shuffled_files(rng), INTERLEAVED_FILES)
        return array(buffered(records, SHUFFLE_BUFFER, rng))

    def webdataset(epoch: int) -> Ints:
        rng = random.Random(epoch)
        return array(webdataset_buffered(itertools.chain(*shuffled_files(rng)), rng))

    return {
        TRUE: lambda epoch: np.random.default_rng(epoch).permutation(total),
        OURS: ours(sizes, total),
        "ours, window = split / 4": ours(sizes, total // 4),
        "ours, window = split / 16": ours(sizes, total // 16),
        "ours, window = one shard": ours(sizes, max(sizes)),
        TF_DATA: tf_data,
        f"{TF_DATA}, {INTERLEAVED_FILES} random files": tf_data_interleaved,
        f"webdataset, buffer {WEBDATASET_BUFFER:,}": webdataset,
    }


def check() -> None:
    """Compares the simulations with tf.data itself."""
    import tensorflow as tf

    sizes = shard_sizes(CHECK_RECORDS, CHECK_FILES)
    ends = np.cumsum(sizes)
    files = [range(end - size, end) for end, size in zip(ends.tolist(), sizes, strict=True)]
    in_turn = tf.data.Dataset.from_tensor_slices(np.array([ends - sizes, ends]).T).interleave(
        lambda bounds: tf.data.Dataset.range(bounds[0], bounds[1]),
        cycle_length=INTERLEAVED_FILES,
        num_parallel_calls=None,
    )
    same = list(in_turn.as_numpy_iterator()) == list(interleaved(files, INTERLEAVED_FILES))
    print(f"check: interleave of {CHECK_FILES} files: {'the same' if same else 'ANOTHER'} sequence")
    dataset = tf.data.Dataset.range(CHECK_RECORDS).shuffle(CHECK_BUFFER)
    rng = random.Random(0)
    theirs, simulated = [], []
    for _ in range(CHECK_EPOCHS):
        theirs.append(np.argsort(list(dataset.as_numpy_iterator())))
        simulated.append(np.argsort(list(buffered(range(CHECK_RECORDS), CHECK_BUFFER, rng))))
    print(
        f"check: buffer of {CHECK_BUFFER}, {CHECK_RECORDS:,} records move {describe(theirs)} in ",
        end="",
    )
    print(f"tf.data, {describe(simulated)} simulated ({CHECK_EPOCHS} epochs)", flush=True)


def describe(places: list[Ints]) -> str:
    """Returns how far records move, as `check` prints it."""
    moves = [np.abs(place - np.arange(len(place))).mean() for place in places]
    error = statistics.stdev(moves) / math.sqrt(len(moves))
    return f"{statistics.mean(moves):.2f} +- {error:.2f}"


def show(qualities: dict[str, Quality]) -> None:
    """Prints the table."""
    print(
        f"{'':42}{'stored':>8}{'epochs':>8}{'shards':>8}{'least':>7}{'neighbours':>12}{'moved':>8}"
    )
    for name, one in qualities.items():
        print(f"{name:42}{one.stored:>8.4f}{one.epochs:>8.4f}{one.shards:>8.2f}", end="")
        print(f"{one.least_shards:>7}{one.neighbours:>11.2f}x{one.moved:>8.1%}")
    ours_, buffer = qualities[OURS], qualities[TF_DATA]
    print(
        f"so: with a window as large as the split, neighbours on disk meet {ours_.neighbours:.2f} "
        f"times as often as expected of a true permutation; with a buffer over files in order "
        f"{buffer.neighbours:.1f} times, and records move {buffer.moved:.0%} as far."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--check", action="store_true", help="compare the simulations with tf.data")
    arguments = parser.parse_args()
    sizes = shard_sizes(arguments.records, arguments.shards)
    print(f"{arguments.records:,} records in {arguments.shards} shards, ", end="")
    print(f"batches of {arguments.batch_size}, {arguments.epochs} epochs")
    # The mean size of a normal deviate, times the correlation's standard deviation.
    chance = math.sqrt(2 / math.pi / (arguments.records - 1))
    print(METHOD.format(chance=chance, shards=expected_shards(sizes, arguments.batch_size)))
    if arguments.check:
        check()
    show(
        {
            name: measure(order, sizes, arguments.batch_size, arguments.epochs)
            for name, order in competitors(sizes).items()
        }
    )


if __name__ == "__main__":
    main()
