"""The counter generator Philox-4x64-10 in arithmetic that every accelerator has: on uint32.

After Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; the constants are those
of their Random123, as in `numpy.random.Philox`. A number of 64 bits is a pair of uint32, the low
half first. Rounds are a loop, not unrolled: XLA would compute the early ones again for each word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

Pair = tuple[Any, Any]

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

_HALF_BITS = np.uint32(16)
_HALF = np.uint32(0xFFFF)


def constant(value: int) -> Pair:
    """Returns a number of 64 bits as a pair."""
    return np.uint32(value & 0xFFFFFFFF), np.uint32(value >> 32)


def add(left: Pair, right: Pair) -> Pair:
    """Returns the sum modulo 2**64; the left number is of tensors, whose shapes broadcast."""
    low, carry = _add(left[0], right[0])
    return low, left[1] + right[1] + carry


def philox(counter: Pair, rest: tuple[int, int, int], key: Sequence[Pair]) -> list[Pair]:
    """Returns blocks of random words.

    Args:
        counter: The counter's first word: tensors of the shape of the result.
        rest: Its other three words.
        key: Two words: tensors of shapes that broadcast to that one.

    Returns:
        Four words of 64 bits: pairs of uint32 tensors.
    """
    zeros = ops.zeros_like(counter[0])
    words = [counter, *((zeros + low, zeros + high) for low, high in map(constant, rest))]
    state = tuple(half for pair in (*words, *key) for half in pair)
    state = ops.fori_loop(0, ROUNDS, _round, state)
    return _pairs(state)[:4]


def _round(_: Any, state: Sequence[Any]) -> tuple[Any, ...]:
    """Does one of the rounds on counter and key, a dozen halves of words."""
    one, two, three, four, *key = _pairs(state)
    first_low, first_high = _product(one, MULTIPLIERS[0])
    second_low, second_high = _product(three, MULTIPLIERS[1])
    words = (
        _exclusive_or(second_high, two, key[0]),
        second_low,
        _exclusive_or(first_high, four, key[1]),
        first_low,
        *(add(word, constant(step)) for word, step in zip(key, KEY_STEPS, strict=True)),
    )
    return tuple(half for pair in words for half in pair)


def _pairs(halves: Sequence[Any]) -> list[Pair]:
    return list(zip(halves[::2], halves[1::2], strict=True))


def _exclusive_or(first: Pair, second: Pair, third: Pair) -> Pair:
    return first[0] ^ second[0] ^ third[0], first[1] ^ second[1] ^ third[1]


def _add(left: Any, right: Any) -> Pair:
    """Returns the sum of two numbers of 32 bits modulo 2**32, and the carry."""
    total = left + right
    return total, ops.cast(total < left, "uint32")


def _product(number: Pair, multiplier: int) -> tuple[Pair, Pair]:
    """Returns the low and the high 64 bits of a product."""
    low, high = constant(multiplier)
    bottom, bottom_high = _short_product(number[0], low)
    across, across_high = _short_product(number[0], high)
    other, other_high = _short_product(number[1], low)
    top, top_high = _short_product(number[1], high)
    second, first_carry = _add(across, bottom_high)
    second, second_carry = _add(second, other)
    third, third_carry = _add(across_high, other_high)
    third, fourth_carry = _add(third, top)
    third, fifth_carry = _add(third, first_carry + second_carry)
    fourth = top_high + third_carry + fourth_carry + fifth_carry
    return (bottom, second), (third, fourth)


def _short_product(number: Any, multiplier: Any) -> Pair:
    """Returns the low and the high 32 bits of a product of uint32.

    After Warren, "Hacker's Delight", section 8-2: four products of 16 bits, none of which
    overflows, even with what is carried.
    """
    low, high = multiplier & _HALF, multiplier >> _HALF_BITS
    number_low, number_high = number & _HALF, ops.right_shift(number, _HALF_BITS)
    middle = number_high * low + ops.right_shift(number_low * low, _HALF_BITS)
    other = number_low * high + (middle & _HALF)
    carried = ops.right_shift(middle, _HALF_BITS) + ops.right_shift(other, _HALF_BITS)
    return number * multiplier, number_high * high + carried
