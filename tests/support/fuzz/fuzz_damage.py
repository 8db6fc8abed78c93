"""Damages files: flipped bits, other numbers, lost and swapped parts, and what only PNGs have."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from fuzz_seeds import SIGNATURE, chunk

Random = np.random.Generator
Change = Callable[[bytes, Random], bytes]
Chunks = list[tuple[bytes, bytes]]

_WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damage(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Returns a file with one to four kinds of damage; a PNG often with right CRCs again."""
    is_png = data.startswith(SIGNATURE)
    changes = [*CHANGES, *_PNG_CHANGES * 2] if is_png else CHANGES
    for _ in range(random.integers(1, 5)):
        if data:
            data = changes[random.integers(len(changes))](data, random)
        if random.random() < 0.04:  # goes on with the end of another file
            other = others[random.integers(len(others))]
            data = data[: random.integers(len(data) + 1)] + other[random.integers(len(other)) :]
    if is_png and random.random() < 0.8:
        data = b"".join((SIGNATURE, *(chunk(*parts) for parts in _chunks(data))))
    return data


def _place(data: bytes, random: Random) -> int:
    """Returns a position: half of them in the header, few in the signature that makes the kind."""
    start = 0 if random.random() < 0.1 else min(4, len(data) - 1)
    stop = len(data) if random.random() < 0.5 else min(len(data), 64)
    return int(random.integers(start, stop))


def _flip(data: bytes, random: Random) -> bytes:
    place = _place(data, random)
    return data[:place] + bytes([data[place] ^ 1 << random.integers(8)]) + data[place + 1 :]


def _overwrite(data: bytes, random: Random) -> bytes:
    place, run = _place(data, random), random.bytes(random.integers(1, 9))
    return (data[:place] + run + data[place + len(run) :])[: len(data)]


def _number(data: bytes, random: Random) -> bytes:
    """Replaces bytes by a number at an edge of what its width can say."""
    place, width = _place(data, random), int(random.choice([1, 2, 4]))
    value = _WORDS[random.integers(len(_WORDS))] & (1 << 8 * width) - 1
    run = value.to_bytes(width, "big" if random.random() < 0.5 else "little")
    return data[:place] + run + data[place + width :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.integers(len(data))]


def _insert(data: bytes, random: Random) -> bytes:
    place = _place(data, random)
    return data[:place] + random.bytes(random.integers(1, 40)) + data[place:]


def _remove(data: bytes, random: Random) -> bytes:
    place = _place(data, random)
    return data[:place] + data[place + random.integers(1, 40) :]


def _swap(data: bytes, random: Random) -> bytes:
    """Swaps two neighbouring runs."""
    first, second, third = sorted(int(p) for p in random.integers(0, len(data) + 1, 3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


CHANGES: list[Change] = [_flip, _flip, _overwrite, _number, _number, _cut, _insert, _remove, _swap]
"""What can happen to the bytes of any file."""


def _chunks(data: bytes) -> Chunks:
    """Returns type and content of a PNG's chunks, as far as they can be told."""
    start = len(SIGNATURE)
    chunks: Chunks = []
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        chunks.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += 12 + length
    return chunks


def _of_chunks(change: Callable[[Chunks, Random], None]) -> Change:
    def changed(data: bytes, random: Random) -> bytes:
        chunks = _chunks(data)
        if chunks:
            change(chunks, random)
        return b"".join((SIGNATURE, *(chunk(*parts) for parts in chunks)))

    return changed


def _swap_chunks(chunks: Chunks, random: Random) -> None:
    one, other = random.integers(0, len(chunks), 2)
    chunks[one], chunks[other] = chunks[other], chunks[one]


def _double_chunk(chunks: Chunks, random: Random) -> None:
    one, other = random.integers(0, len(chunks), 2)
    chunks.insert(one, chunks[other])


def _change_chunk(chunks: Chunks, random: Random) -> None:
    """Damages what a chunk holds; of pixels what they are before they are compressed."""
    place = int(random.integers(len(chunks)))
    kind, content = chunks[place]
    packed = kind == b"IDAT" and random.random() < 0.5
    if packed:
        try:
            content = zlib.decompress(content)
        except zlib.error:
            packed = False
    if content:
        content = CHANGES[random.integers(len(CHANGES))](content, random)
    chunks[place] = kind, zlib.compress(content) if packed else content


def _name_chunk(chunks: Chunks, random: Random) -> None:
    """Adds a chunk of a type that means something, or renames one."""
    kind = _KINDS[random.integers(len(_KINDS))]
    place = int(random.integers(len(chunks)))
    if random.random() < 0.5:
        chunks[place] = kind, chunks[place][1]
    else:
        chunks.insert(place, (kind, random.bytes(random.integers(0, 30))))


_KINDS = (b"tRNS", b"PLTE", b"gAMA", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"tEXt", b"zTXt")
_KINDS += (b"iTXt", b"pHYs", b"cHRM", b"sRGB", b"IDAT", b"IHDR", b"IEND", b"CgBI")
_PNG_CHANGES: list[Change] = [
    _of_chunks(change) for change in (_swap_chunks, _double_chunk, _change_chunk, _name_chunk)
]
