"""Two versions measured in alternation: what one quantity of one case says.

A block is six processes: base, null (base again) and new in random order, then the same in reverse.
The first and the second process of two versions make two pairs; a pair's difference of logarithms
is one observation. What drifts slowly cancels within a block, and random order makes differences
symmetric, which is all that the signed-rank test asks for.

Errors are spent as follows. *Red*: among the suspects of a gate, any false alarm has probability
`ALARM` at most, although there are several looks (each look's p value is multiplied by their
number) and several suspects (Holm). Only data measured after the screening count, so that having
been suspected biases nothing. *Green*: a case that is slower by the margin or more passes with
probability `MISS` at most: half of it is spent at the screening, half over the looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.signed_rank import (
    Floats,
    estimate,
    limits,
    p_above,
    p_below,
    walsh_averages,
)

ALARM = 0.01
MISS = 0.05
# Fewer blocks than these can neither alarm nor pass: 2^-8 is the smallest p value of 8 pairs.
MIN_BLOCKS = 4


@dataclass(frozen=True)
class Rules:
    """How a gate decides.

    Attributes:
        margin: changes up to this share don't count (0.03: 3 %).
        screen_blocks: blocks of every case.
        looks: blocks of fresh data after which suspects are judged, rising.
    """

    margin: float = 0.03
    screen_blocks: int = 6
    looks: tuple[int, ...] = (8, 16)

    @property
    def log_margin(self) -> float:
        """The margin as a difference of logarithms."""
        return float(np.log1p(self.margin))

    @property
    def screen_level(self) -> float:
        """Of the limit that a case has to keep below to pass at the screening."""
        return MISS / 2

    @property
    def look_level(self) -> float:
        """Of the limit at each look."""
        return MISS / 2 / len(self.looks)

    def looks_at(self, blocks: int) -> list[int]:
        """The looks that this many fresh blocks allow; where time ran out early, one at the end."""
        taken = [look for look in self.looks if look <= blocks]
        if len(taken) < len(self.looks) and blocks >= MIN_BLOCKS and blocks not in taken:
            taken.append(blocks)
        return taken


@dataclass(frozen=True)
class Judgement:
    """What the differences of logarithms, new less base, say.

    Attributes:
        middle, low, high: estimate and interval; 95 %, more where there are several looks.
        p_slower: of "slower by the margin at most", for all looks together.
        p_faster: of "faster by the margin at most", likewise.
        passes: shown not to be slower by the margin or more.
        pairs: observations behind it.
    """

    middle: float
    low: float
    high: float
    p_slower: float
    p_faster: float
    passes: bool
    pairs: int


def differences(new: Floats, base: Floats) -> Floats:
    """Of each pair, from logarithms (..., blocks, 2): (..., 2 blocks)."""
    apart = new - base
    return apart.reshape(*apart.shape[:-2], -1)


def screened(pairs: Floats, rules: Rules) -> Judgement:
    """The judgement after the screening."""
    walsh = walsh_averages(pairs)
    low, high = limits(walsh, rules.screen_level)
    shift = rules.log_margin
    return Judgement(
        middle=float(estimate(walsh)),
        low=float(low),
        high=float(high),
        p_slower=float(p_above(walsh, shift)),
        p_faster=float(p_below(walsh, -shift)),
        passes=bool(high < shift),
        pairs=pairs.shape[-1],
    )


def confirmed(fresh: Floats, rules: Rules) -> Judgement | None:
    """The judgement on a suspect from fresh data alone; None while there are too few of them.

    Args:
        fresh: differences of pairs in the order in which they were measured.
        rules: how many blocks make a look.
    """
    looks = rules.looks_at(fresh.shape[-1] // 2)
    if not looks:
        return None
    shift, count = rules.log_margin, len(rules.looks)
    slower, faster, passes = 1.0, 1.0, False
    for look in looks:
        walsh = walsh_averages(fresh[: 2 * look])
        slower = min(slower, count * float(p_above(walsh, shift)))
        faster = min(faster, count * float(p_below(walsh, -shift)))
        low, high = limits(walsh, rules.look_level)
        # What has passed at one look was not measured any further.
        passes = passes or bool(high < shift)
    return Judgement(
        float(estimate(walsh)), float(low), float(high), slower, faster, passes, 2 * looks[-1]
    )


def is_settled(fresh: Floats, rules: Rules, suspects: int) -> bool:
    """Whether a suspect needs no more blocks, out of so many suspects.

    Judged at whole looks only: to stop whenever it looks good would be looking every time.
    """
    blocks = fresh.shape[-1] // 2
    if blocks >= rules.looks[-1]:
        return True
    if blocks not in rules.looks:
        return False
    judgement = confirmed(fresh, rules)
    return judgement is not None and (
        judgement.passes or judgement.p_slower * max(1, suspects) <= ALARM
    )


def null_fires(pairs: Floats, rules: Rules, tests: int = 1) -> bool:
    """Whether base differs from itself: surely (`ALARM`, of so many tests), by half the margin."""
    walsh = walsh_averages(pairs)
    p_value = 2 * min(float(p_above(walsh, 0.0)), float(p_below(walsh, 0.0)))
    apart = abs(float(estimate(walsh)))
    return p_value * max(1, tests) <= ALARM and apart > rules.log_margin / 2
