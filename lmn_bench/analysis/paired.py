"""Two versions measured in alternation: what one quantity of one case says.

A block is six processes: base, null (base again) and new in random order, then the same in reverse,
so that slow drift cancels. What counts is the difference of logarithms between new and base. Two
things are observed on a block:

* pairs, the first processes of the two and the second ones: many;
* minima, the better of new's two processes less the better of base's: fewer, and calmer.
  What disturbs a process only slows it, so that the better of two is seldom disturbed: on a shared
  machine nine tenths of these differences were within 2.5 to 8 %, those of means within 13 to 29 %.
  They decide; the screening takes either: pairs on a calm machine, minima on another.

Every block after the screening comes from servers of its own, so that blocks are independent,
whatever processes of a server share (0.5 to 1 % there). Base and new are treated alike, in random
order, so that for equal code differences are symmetric about 0 whatever the noise; independence and
symmetry are what the signed-rank test asks for.

A block counts only where the machine kept its speed through it: a fixed loop of arithmetic, timed
beside the samples of every process, took the same within `STEADY` in all six. The loop knows
nothing of what is compared, so that choosing blocks by it favours neither side.

Errors are spent as follows. *Red*: among the suspects of a gate whose screening points to half the
margin or more, any false alarm has probability `ALARM` at most, although there are several looks
(each look's p value is multiplied by their number) and several suspects (Holm). Only data measured
after the screening count, so that having been suspected biases nothing. *Green*: a value that is
worse by the margin or more passes with probability `MISS` at most: `SCREEN_MISS` of it by either
way through the screening, whose blocks share servers, the rest over the looks.
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
# By pairs, and by minima: the least that six of them can show is 1/64.
SCREEN_MISS = (0.01, 0.016)
# A suspect whose screening points to less than this part of the margin may still pass, but not
# alarm: the fewer there are in the family, the surer the others. That is settled before the data
# that count.
SUSPICION = 0.5
# Fewer blocks can neither alarm nor pass at any level used here.
MIN_BLOCKS = 6


@dataclass(frozen=True)
class Rules:
    """How a gate decides.

    Attributes:
        margin: changes up to this share don't count (0.03: 3 %).
        screen_blocks: blocks of every case that count.
        screen_attempts: blocks of every case at most, those that don't count included; blocks from
            this number on are fresh data.
        looks: blocks of fresh data after which suspects are judged, rising.
    """

    margin: float = 0.03
    screen_blocks: int = 6
    screen_attempts: int = 12
    looks: tuple[int, ...] = (8, 24)

    @property
    def log_margin(self) -> float:
        """The margin as a difference of logarithms."""
        return float(np.log1p(self.margin))

    @property
    def look_level(self) -> float:
        """Of the limit that a suspect has to keep below to pass, at each look."""
        return (MISS - sum(SCREEN_MISS)) / len(self.looks)

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
        middle, low, high: estimate and interval, of 95 % or more.
        p_slower: of "slower by the margin at most", for all looks together.
        p_faster: of "faster by the margin at most", likewise.
        passes: shown not to be slower by the margin or more.
    """

    middle: float
    low: float
    high: float
    p_slower: float
    p_faster: float
    passes: bool


def pairs(new: Floats, base: Floats) -> Floats:
    """Differences of pairs, from logarithms (..., blocks, 2): (..., 2 blocks)."""
    apart = new - base
    return apart.reshape(*apart.shape[:-2], -1)


def block_minima(new: Floats, base: Floats) -> Floats:
    """Differences of the better of two, from logarithms (..., blocks, 2): (..., blocks)."""
    apart: Floats = new.min(axis=-1) - base.min(axis=-1)
    return apart


def screened(new: Floats, base: Floats, rules: Rules) -> Judgement:
    """The judgement after the screening, from logarithms (blocks, 2): by pairs, or by minima where
    those alone show that it passes.
    """
    by_pairs = _judgement(pairs(new, base), rules, SCREEN_MISS[0])
    by_minima = _judgement(block_minima(new, base), rules, SCREEN_MISS[1])
    return by_minima if by_minima.passes and not by_pairs.passes else by_pairs


def described(found: Floats, rules: Rules) -> Judgement:
    """What differences of identical code say, for the report; nothing is decided by it."""
    return _judgement(found, rules, MISS / 2)


def confirmed(fresh: Floats, rules: Rules) -> Judgement | None:
    """The judgement on a suspect from fresh data alone; None while there are too few of them.

    Args:
        fresh: block minima in the order in which they were measured.
        rules: how many of them make a look.
    """
    looks = rules.looks_at(len(fresh))
    if not looks:
        return None
    count = len(rules.looks)
    judged = [_judgement(fresh[:look], rules, rules.look_level) for look in looks]
    last = judged[-1]
    return Judgement(
        last.middle, last.low, last.high,
        p_slower=min(1.0, count * min(one.p_slower for one in judged)),
        p_faster=min(1.0, count * min(one.p_faster for one in judged)),
        # What has passed at one look was not measured any further for its own sake.
        passes=any(one.passes for one in judged),
    )  # fmt: skip


def is_settled(fresh: Floats, rules: Rules, suspects: int, *, can_alarm: bool = True) -> bool:
    """Whether a suspect needs no more blocks, out of so many that can alarm.

    Judged at whole looks only: to stop whenever it looks good would be looking every time.
    """
    if len(fresh) >= rules.looks[-1]:
        return True
    if len(fresh) not in rules.looks:
        return False
    judgement = confirmed(fresh, rules)
    return judgement is not None and (
        judgement.passes or (can_alarm and judgement.p_slower * max(1, suspects) <= ALARM)
    )


def null_fires(found: Floats, rules: Rules, tests: int = 1) -> bool:
    """Whether base differs from itself: surely (`ALARM`, of so many tests), by half the margin.

    Twelve pairs are never sure enough for more than 20 tests; then it is the fresh data of the
    suspects that tell.
    """
    walsh = walsh_averages(found)
    p_value = 2 * min(float(p_above(walsh, 0.0)), float(p_below(walsh, 0.0)))
    apart = abs(float(estimate(walsh)))
    return p_value * max(1, tests) <= ALARM and apart > rules.log_margin / 2


def _judgement(found: Floats, rules: Rules, level: float) -> Judgement:
    """One look; `level` is that of the limit to keep below."""
    walsh = walsh_averages(found)
    _, bound = limits(walsh, level)
    # What is shown and called the same is the narrower of 95 % and what decides.
    low, high = limits(walsh, min(level, MISS / 2))
    shift = rules.log_margin
    return Judgement(
        middle=float(estimate(walsh)),
        low=float(low),
        high=float(high),
        p_slower=float(p_above(walsh, shift)),
        p_faster=float(p_below(walsh, -shift)),
        passes=bool(bound < shift),
    )
