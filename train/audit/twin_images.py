"""Finds records that show the same picture and have different labels.

Pixels that are equal are found by their digest. Pictures that are nearly equal, such as one that
was saved twice as a JPEG, are found by a difference hash (N. Krawetz: Kind of Like That, 2013): the
picture in grey is reduced to 17x16 means, and a bit tells whether a mean is clearly darker than
the one to its right. Two pictures of which at most three of 256 bits differ agree in one of four
words of 64 bits at least, so only neighbours in the order of each word are compared, and a record
with `_NEIGHBOURS` of them at most: the time grows with n log n. Then their pixels decide: in grey
and at half the size none may differ by more than `_MOST_LEVELS`, which a JPEG stays below and one
stroke more does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from convert.images.pixels.digest import image_digest
from train.records.reading.reader import RecordReader

Array = np.ndarray[Any, np.dtype[Any]]

_WIDTH, _HEIGHT = 16, 16
_WORDS = _WIDTH * _HEIGHT // 64
_CLEARLY = 8  # levels of 255: noise of a flat ground stays below
_MOST_BITS = _WORDS - 1  # more could differ in each of the words
_NEIGHBOURS = 16
_MOST_LEVELS = 48  # half of what the faintest strokes of captchas differ from their ground
_MOST_PAIRS = 10_000  # whose pixels are compared: the most alike
_CHUNK_BYTES = 16 << 20  # of pixels, read at once


@dataclass(frozen=True, slots=True)
class Twins:
    """Two records with the same picture and different labels.

    Attributes:
        first: Index of a record.
        second: Index of another, behind it.
        is_equal: Whether all pixels are equal.
    """

    first: int
    second: int
    is_equal: bool


@dataclass(frozen=True, slots=True)
class Looks:
    """What pictures are compared by.

    Attributes:
        digests: Of the pixels, uint64, shape (records,).
        hashes: Difference hashes, uint64, shape (records, 4).
    """

    digests: Array
    hashes: Array

    @classmethod
    def join(cls, parts: Sequence[Looks]) -> Looks:
        """Returns those of several splits as one."""
        digests = np.concatenate([part.digests for part in parts])
        return cls(digests, np.concatenate([part.hashes for part in parts]))


def looks_of(reader: RecordReader) -> Looks:
    """Looks at every picture of a split.

    Raises:
        RecordError: A record is damaged.
    """
    chunk = max(1, _CHUNK_BYTES // int(np.prod(reader.image_shape)))
    digests = np.empty(reader.num_records, np.uint64)
    hashes = np.empty((reader.num_records, _WORDS), np.uint64)
    for start in range(0, reader.num_records, chunk):
        records = np.arange(start, min(start + chunk, reader.num_records))
        images, _ = reader.gather(records)
        digests[records] = [image_digest(image.tobytes()) for image in images]
        hashes[records] = [difference_hash(image) for image in images]
    return Looks(digests, hashes)


def difference_hash(image: Array) -> Array:
    """Returns the hash of a picture.

    Args:
        image: uint8, shape (height, width, 1 or 3).

    Returns:
        uint64, shape (4,).
    """
    means = np.asarray(_grey(image).resize((_WIDTH + 1, _HEIGHT), Image.Resampling.BOX), np.int16)
    return np.packbits(means[:, 1:] - means[:, :-1] >= _CLEARLY).view(np.uint64)


def _grey(image: Array) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L")


def are_alike(first: Array, second: Array) -> bool:
    """Returns whether two pictures of one size show the same: uint8, (height, width, 1 or 3)."""
    height, width, _ = first.shape
    half = max(1, width // 2), max(1, height // 2)
    ours, theirs = (
        np.asarray(_grey(image).resize(half, Image.Resampling.BOX), np.int16)
        for image in (first, second)
    )
    return int(np.abs(ours - theirs).max()) <= _MOST_LEVELS


def find_twins(looks: Looks, labels: Array, read: Callable[[int], Array]) -> list[Twins]:
    """Finds records with the same picture and different labels.

    Args:
        looks: Of all records.
        labels: Theirs, shape (records, outputs).
        read: Returns the picture of a record.

    Returns:
        Pairs; those of equal pixels first, then by the numbers of their records.
    """
    equal = set(_equal_pairs(looks.digests, labels))
    near = [pair for pair in _near_pairs(looks.hashes, labels) if pair not in equal]
    near = [
        pair
        for pair in near
        if looks.digests[pair[0]] != looks.digests[pair[1]] and are_alike(*map(read, pair))
    ]
    return [
        *(Twins(*pair, is_equal=True) for pair in sorted(equal)),
        *(Twins(*pair, is_equal=False) for pair in sorted(near)),
    ]


def _equal_pairs(digests: Array, labels: Array) -> list[tuple[int, int]]:
    """Returns neighbours of equal digests and different labels, in an order of both."""
    order = np.lexsort((*labels.T, digests))
    first, second = order[:-1], order[1:]
    is_pair = (digests[first] == digests[second]) & (labels[first] != labels[second]).any(axis=1)
    return [(min(pair), max(pair)) for pair in zip(*_lists(first, second, is_pair), strict=True)]


def _near_pairs(hashes: Array, labels: Array) -> list[tuple[int, int]]:
    """Returns pairs of nearly equal hashes and different labels, the most alike first."""
    num_records = len(hashes)
    pairs, bits = np.empty(0, np.int64), np.empty(0, np.int64)
    for word in range(_WORDS):
        order = np.lexsort(np.roll(hashes, -word, axis=1).T[::-1])
        for step in range(1, min(_NEIGHBOURS, num_records - 1) + 1):
            first, second = order[:-step], order[step:]
            is_near = hashes[first, word] == hashes[second, word]
            first, second = first[is_near], second[is_near]
            differ = np.bitwise_count(hashes[first] ^ hashes[second]).sum(axis=1)
            is_pair = (differ <= _MOST_BITS) & (labels[first] != labels[second]).any(axis=1)
            codes = np.minimum(first, second) * num_records + np.maximum(first, second)
            pairs, places = np.unique(np.append(pairs, codes[is_pair]), return_index=True)
            bits = np.append(bits, differ[is_pair])[places]
            best = np.argsort(bits, kind="stable")[:_MOST_PAIRS]
            pairs, bits = pairs[best], bits[best]
    return [divmod(pair, num_records) for pair in pairs.tolist()]


def _lists(first: Array, second: Array, chosen: Array) -> tuple[list[int], list[int]]:
    return first[chosen].tolist(), second[chosen].tolist()
