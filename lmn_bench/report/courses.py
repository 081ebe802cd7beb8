"""How a quantity goes with length, in words for people who don't read law sets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lmn_bench.analysis.growth import Growth
from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.laws import CONSTANT, law_words, rank
from lmn_bench.analysis.scaling import TELLING, Scaling
from lmn_bench.analysis.selection import FLAT_RISE
from lmn_bench.analysis.sentences import interval_words, length_words
from lmn_bench.disturbance import ENOUGH
from lmn_bench.units import format_ratio_interval


def course(found: Scaling | None, grown: Growth, *, exponent: bool = True) -> str:
    """For example: grows 32× [26, 38], between n and n log^2 n (exponent 0.97 …); stays flat ….

    What the first and the last length say and what the laws over all lengths say are never set
    against each other unsaid: where they differ, both are said.
    """
    ratio = grown.ratio
    said = format_ratio_interval(ratio.estimate, ratio.low, ratio.high)
    if ratio.low is None:
        said += " by the medians"
    if found is None:
        return f"becomes {said} (too few lengths to tell a law)"
    if found.processes < ENOUGH or ratio.low is None or ratio.high is None:
        return f"becomes {said} (fewer than {ENOUGH} processes: no noise to judge by)"
    level, falls = ratio.holds(1.0), ratio.high < 1
    if CONSTANT in found.plausible:
        if found.valid_from > found.first and not level:
            return f"{_moves(falls)} {said}, then stays level{_start(found)}{_hidden(found)}"
        return _level_course(found, ratio, said)
    if level and len(found.plausible) > TELLING:
        return f"shows no growth beyond the noise ({said}; nearly any law is left)"
    if level or falls:
        return _bent_course(found, said, falls)
    grows = f"grows {said}, {_like(found)}"
    if not exponent:
        return grows
    top = interval_words(grown.exponent, 2)
    return f"{grows} (exponent {top} at the longest lengths; 1 is linear)"


def _moves(falls: bool) -> str:
    return "falls to" if falls else "grows"


def _start(found: Scaling) -> str:
    return f" from {length_words(found.valid_from)} on" if found.valid_from > found.first else ""


def _level_course(found: Scaling, ratio: Interval, said: str) -> str:
    """Where constant is among the laws that are left."""
    level = ratio.holds(1.0)
    within = (ratio.low or 0.0) > 1 / FLAT_RISE and (ratio.high or math.inf) < FLAT_RISE
    if len(found.plausible) > TELLING and level:
        return f"shows no growth beyond the noise ({said}; nearly any law is left)"
    if level and not within:
        return f"shows no growth beyond the noise ({said}{_not_excluded(found)})"
    if level:
        return f"stays flat within the noise ({said}{_not_excluded(found)})"
    if within and found.plausible[0] == CONSTANT:
        return f"stays within {FLAT_RISE - 1:.0%} ({said}{_not_excluded(found)})"
    return f"becomes {said}, which may still be noise"


def _bent_course(found: Scaling, said: str, falls: bool) -> str:
    """Where first and last length show no growth, and the laws that are left all grow, or none."""
    ends = (
        f"falls to {said}"
        if falls
        else f"shows no growth beyond the noise from end to end ({said})"
    )
    if found.plausible:
        return f"{ends}, yet along the lengths it grows, {_like(found)}"
    return ends if falls else f"{ends}, and follows none of the laws between"


def _hidden(found: Scaling) -> str:
    hidden = _not_excluded(found).removeprefix("; ")
    return f" ({hidden})" if hidden else ""


def _not_excluded(found: Scaling) -> str:
    """What a flat course may still hide: late or slow growth."""
    growing = [law for law in found.plausible if law != CONSTANT]
    if growing:
        late = min(map(rank, growing)) >= rank("n")
        return f"; {'a rise towards the end' if late else 'slow growth'} is not excluded"
    if found.beyond and CONSTANT not in found.beyond:
        start = length_words(found.beyond_from or 0.0)
        return f"; a rise from {start} on is not excluded"
    return ""


def _like(found: Scaling) -> str:
    """The laws that are left, those above a possible break with them."""
    laws = set(found.plausible)
    if len(found.beyond) <= TELLING:
        laws |= set(found.beyond)
    if len(laws) > TELLING:
        return "by a law that the data leave open"
    return f"{_between(sorted(laws, key=rank))}{_start(found)}"


def _between(laws: Sequence[str]) -> str:
    if not laws:
        return "by none of the laws"
    neighbours = rank(laws[-1]) - rank(laws[0]) == len(laws) - 1
    if neighbours and len(laws) > 2:
        return f"between {laws[0]} and {laws[-1]}"
    return f"like {law_words(laws)}"
