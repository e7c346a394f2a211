"""A random order of numbers that needs no list of them: a Feistel network permutes them, by a seed.

So a draw of a million queries begins at once, resumes where it ended, and the place of a number can be computed.
"""

from __future__ import annotations

_ROUNDS = 6
_MASK = (1 << 64) - 1


def bits_for(largest: int) -> int:
    """Return the even number of bits that numbers up to `largest` need, at least 8."""
    return max(8, largest.bit_length() + largest.bit_length() % 2)


def mix(seed: int, *numbers: int) -> int:
    """Return 64 pseudo-random bits that depend on all numbers (the finalizer of SplitMix64)."""
    state = seed & _MASK
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 + (number & _MASK) * 0xD1342543DE82EF95) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def number_at(place: int, bits: int, seed: int) -> int:
    """Return the number at a place of the order; both are below 2^bits."""
    half = bits // 2
    left, right = place >> half, place & ((1 << half) - 1)
    for turn in range(_ROUNDS):
        left, right = right, left ^ (mix(seed, turn, right) & ((1 << half) - 1))
    return left << half | right


def place_of(number: int, bits: int, seed: int) -> int:
    """Return the place of a number in the order: the inverse of `number_at`."""
    half = bits // 2
    left, right = number >> half, number & ((1 << half) - 1)
    for turn in reversed(range(_ROUNDS)):
        left, right = right ^ (mix(seed, turn, left) & ((1 << half) - 1)), left
    return left << half | right
