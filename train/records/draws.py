"""Random numbers for the images of a batch, the same however the batch is cut up.

Each number follows from (seed, epoch, step), the image's position in the global batch and what is
asked for: not from the process, the rank or the thread that asks. They are words of the counter
generator Philox-4x64 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011),
keyed by (seed, epoch << 32 | step). A counter makes a block of four words of 64 bits, and each
image owns a run of blocks, so a rank enters at its first image without making the others' numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int32]]
Words = np.ndarray[Any, np.dtype[np.uint64]]

BLOCK_WORDS = 4

# The order of the records takes keys (seed, epoch << 32 | window) with nothing in the counter but
# the block. What is asked for stands in the third word and is never 0, so where a step and a
# window have one number the two still draw apart.
UNIFORM = 1
NOISE = 2
GENERATOR = 4  # 3 is the mixture's, of several datasets


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """What a function that changes images at random takes its random numbers from.

    Such a function of your own keeps the promise of a resume, and that of ranks which together
    see the batches of one process, if it takes all its chance from here:

    >>> def darken(images, draws):
    ...     share = draws.uniform(1)[0] * 0.25 + 0.75  # in [0.5, 1), one for each image
    ...     return (images * share[:, None, None, None]).astype(np.uint8)
    >>> images = np.full((4, 32, 128, 3), 200, np.uint8)
    >>> darken(images, Draws(seed=7, epoch=0, step=0, first=0, count=4))[:, 0, 0, 0].tolist()
    [110, 192, 125, 165]
    >>> darken(images[2:], Draws(seed=7, epoch=0, step=0, first=2, count=2))[:, 0, 0, 0].tolist()
    [125, 165]

    Asking twice gives the same numbers twice: ask once for all that you need, or name another
    `stream` for each purpose. `train.records.augment` draws from a stream of its own, so a
    function that calls it may use all others.

    Attributes:
        seed: Of the run. In [0, 2**64).
        epoch: In [0, 2**32).
        step: Of the epoch. In [0, 2**32).
        first: Position in the global batch of the first image that is here. In [0, 2**32).
        count: Images that are here. In [0, 2**32).
    """

    seed: int
    epoch: int
    step: int
    first: int
    count: int

    def __post_init__(self) -> None:
        _require("seed", self.seed, 64)
        _require("epoch", self.epoch, 32)
        _require("step", self.step, 32)
        _require("first", self.first, 32)
        _require("count", self.count, 32)

    def part(self, start: int, stop: int) -> Draws:
        """Returns the draws of images [start, stop) of these.

        Args:
            start: In [0, stop].
            stop: At most `count`.
        """
        if not 0 <= start <= stop <= self.count:
            raise ValueError(f"images [{start}, {stop}) are not in [0, {self.count}).")
        return replace(self, first=self.first + start, count=stop - start)

    def uniform(self, num_draws: int, *, stream: int = 0) -> Floats:
        """Returns evenly spread numbers for each image.

        Args:
            num_draws: Numbers for an image. In [0, 2**32).
            stream: Streams are independent of each other. In [0, 2**64).

        Returns:
            float64, multiples of 2**-52 in [-1, 1), shape (num_draws, count).
        """
        _require("num_draws", num_draws, 32)
        words = self._words(num_draws, stream, UNIFORM)
        whole = (words >> np.uint64(11)).astype(np.float64)  # the 53 bits that a float64 holds
        return (whole * 2.0**-52 - 1.0).T

    def noise(self, num_bytes: int, *, stream: int = 0) -> Bytes:
        """Returns evenly spread bytes for each image; independent of the numbers of `uniform`.

        Args:
            num_bytes: Bytes for an image. In [0, 2**32).
            stream: Streams are independent of each other. In [0, 2**64).

        Returns:
            uint8, shape (count, num_bytes).
        """
        _require("num_bytes", num_bytes, 32)
        words = self._words(-(-num_bytes // 8), stream, NOISE)
        little = words.astype("<u8", copy=False)  # the same bytes on a big-endian machine
        return little.view(np.uint8)[:, :num_bytes]

    def noise_origins(self, num_bytes: int, *, stream: int = 0) -> Ints:
        """Returns what Philox-4x64 makes each image's bytes of `noise` from, on any machine.

        Args:
            num_bytes: Bytes for an image. In [0, 2**32).
            stream: As there.

        Returns:
            int32, shape (count, 6): low and high half of each of three words of 64 bits: the first
            word of the counter of the image's first block, and the two words of the key. The
            counter's other words are `stream`, `NOISE` and 0.
        """
        blocks = -(-num_bytes // (8 * BLOCK_WORDS))
        words = np.empty((self.count, 3), "<u8")
        # NumPy's generator adds one to the counter before it makes a block.
        words[:, 0] = np.arange(self.first, self.first + self.count, dtype=np.uint64) * blocks + 1
        words[:, 1:] = self._key
        return words.view("<i4")

    def generator(self, *, stream: int = 0) -> np.random.Generator:
        """Returns NumPy's generator for these images as a whole.

        Equal draws give equal generators, so a resume keeps its promise. Ranks that share a batch
        get unrelated ones, and together do not see the batches of one process.

        Args:
            stream: Streams are independent of each other. In [0, 2**64).
        """
        _require("stream", stream, 64)
        return np.random.Generator(self._philox([0, stream, GENERATOR, self.first]))

    def _words(self, num_words: int, stream: int, kind: int) -> Words:
        """Returns raw words for each image, which no version of NumPy will change.

        Returns:
            uint64, shape (count, num_words).
        """
        _require("stream", stream, 64)
        blocks = -(-num_words // BLOCK_WORDS)
        bits = self._philox([self.first * blocks, stream, kind, 0])
        words = bits.random_raw(self.count * blocks * BLOCK_WORDS)
        return words.reshape(self.count, blocks * BLOCK_WORDS)[:, :num_words]

    def _philox(self, counter: list[int]) -> np.random.Philox:
        """Returns the counter generator of this step, from a place on: four words of 64 bits."""
        return np.random.Philox(key=self._key, counter=np.array(counter, np.uint64))

    @property
    def _key(self) -> Words:
        """The step's key: two words of 64 bits."""
        return np.array([self.seed, self.epoch << 32 | self.step], np.uint64)


def _require(name: str, value: int, num_bits: int) -> None:
    """Raises `ValueError` unless a number has at most so many bits."""
    if not 0 <= value < 2**num_bits:
        raise ValueError(f"`{name}` must be in [0, 2**{num_bits}), got {value}.")
