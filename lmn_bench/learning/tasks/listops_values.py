"""Values of ListOps, and how likely each is: the chance that a guesser has.

Minima are often 0 and maxima often 9, the more so the more arguments there are, and a range of
lengths prefers many arguments. Hence the share of the commonest value is no 10 %, and depends on
all settings. It is computed exactly, length by length, from the generator's own rule.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Operator = Literal["min", "max", "median", "sum"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
# The probability of an operator where depth allows one (the published generator's).
NESTED = 0.25
# Frequencies are independent of one another; so many at once stay in the cache of a core.
_AT_ONCE = 1024

_Spectrum = NDArray[np.complex128]


def value(operator: Operator, values: list[int]) -> int:
    """The value of an operator on digits: a median is rounded down, a sum is taken modulo 10."""
    if operator == "min":
        return min(values)
    if operator == "max":
        return max(values)
    if operator == "sum":
        return sum(values) % 10
    ordered = sorted(values)
    # the same place twice where their number is odd
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) // 2


@lru_cache(maxsize=32)
def answer_distribution(
    depth: int, arguments: int, shortest: int, longest: int
) -> NDArray[np.float64]:
    """The probability of every value, given an expression of `shortest` to `longest` tokens.

    Let f(l, v) be the probability of a subexpression of l tokens with value v. The lengths of an
    operator's arguments add up, so that the lengths of k arguments together are a convolution, and
    in Fourier space a product, for any event about their values that is a product of events of
    each: all are at least v (minimum), j of them at most v (median), a character of the sum. From
    the deepest level up to the root this gives f there; `longest` bounds every length before it.

    Args:
        depth: at most, digits included; 2 or more.
        arguments: of an operator at most; 2 or more.
        shortest: tokens at least.
        longest: tokens at most.

    Returns:
        (10,) float64, adding up to 1. Shared: do not write to it.
    """
    # room for the lengths of all arguments: nothing wraps around
    points = 1 << (arguments * longest + 1).bit_length()
    digits = np.zeros((10, longest + 1))
    digits[:, 1] = 0.1
    lengths = digits
    for _ in range(depth - 1):
        spectrum = np.fft.rfft(lengths, points)
        nested = np.fft.irfft(_applied(spectrum, arguments), points)
        lengths = (1 - NESTED) * digits
        # the operator and the bracket are two tokens more
        lengths[:, 2:] += NESTED * nested[:, : longest - 1]
    fitting = lengths[:, shortest:].sum(axis=1)
    answers: NDArray[np.float64] = fitting / fitting.sum()
    answers.setflags(write=False)
    return answers


def _applied(spectrum: _Spectrum, arguments: int) -> _Spectrum:
    """(10, frequencies): a random operator on 2 to `arguments` arguments, all equally likely."""
    pieces = range(0, spectrum.shape[1], _AT_ONCE)
    parts = [_applied_to_part(spectrum[:, i : i + _AT_ONCE], arguments) for i in pieces]
    return np.concatenate(parts, axis=1)


def _applied_to_part(spectrum: _Spectrum, arguments: int) -> _Spectrum:
    # Row v: the value is at most v - 1, or at least v; so both have 11 rows, 0 to 10.
    below = np.concatenate([np.zeros_like(spectrum[:1]), np.cumsum(spectrum, axis=0)])
    below_powers = _powers(below, arguments)
    above_powers = _powers(below[-1] - below, arguments)
    # The characters of the sum modulo 10 turn its convolution into a product, too.
    sum_powers = _powers(np.fft.fft(spectrum, axis=0), arguments)
    total = np.zeros_like(spectrum)
    for count in range(2, arguments + 1):
        total -= np.diff(above_powers[count], axis=0)  # the smallest
        total += np.diff(below_powers[count], axis=0)  # the largest
        total += np.fft.ifft(sum_powers[count], axis=0)
        total += _median(below_powers, above_powers, count)
    return total / (len(OPERATORS) * (arguments - 1))


def _powers(base: _Spectrum, largest: int) -> list[_Spectrum]:
    """All powers from 0 to `largest`; numpy's own take ten times as long for complex numbers."""
    powers = [np.ones_like(base)]
    for _ in range(largest):
        powers.append(powers[-1] * base)
    return powers


def _median(below: list[_Spectrum], above: list[_Spectrum], count: int) -> _Spectrum:
    """The two middle values' mean, rounded down; the middle value of an odd number.

    `below[j]` and `above[j]` are powers, of rows as in `_applied_to_part`.
    """
    # The lower middle value is at most v - 1 where at least half of the values are.
    ranked = np.zeros_like(below[0])
    for number in range((count + 1) // 2, count + 1):
        ranked += comb(count, number) * below[number] * above[count - number]
    medians: _Spectrum = np.diff(ranked, axis=0)
    if count % 2:
        return medians
    # The middle values differ: half of the values reach up to the lower one, and half down to the
    # upper one, by inclusion and exclusion.
    half = count // 2
    at_low = np.diff(below[half], axis=0)
    at_high = -np.diff(above[half], axis=0)
    for low, high in combinations(range(10), 2):
        apart = comb(count, half) * at_low[low] * at_high[high]
        medians[low] -= apart
        medians[(low + high) // 2] += apart
    return medians
