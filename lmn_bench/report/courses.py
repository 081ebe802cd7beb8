"""How a quantity goes with length, in words for people who don't read law sets."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.analysis.growth import Growth
from lmn_bench.analysis.laws import CONSTANT, law_words, rank
from lmn_bench.analysis.scaling import TELLING, Scaling
from lmn_bench.analysis.sentences import interval_words, length_words
from lmn_bench.disturbance import ENOUGH
from lmn_bench.units import format_ratio_interval


def course(found: Scaling | None, grown: Growth, *, exponent: bool = True) -> str:
    """For example: grows 32× [26, 38], between n and n log^2 n (exponent 0.97 …); stays flat …."""
    ratio = grown.ratio
    said = format_ratio_interval(ratio.estimate, ratio.low, ratio.high)
    if ratio.low is None:
        said += " by the medians"
    if found is None:
        return f"becomes {said} (too few lengths to tell a law)"
    if found.processes < ENOUGH:
        return f"becomes {said} (fewer than {ENOUGH} processes: no noise to judge by)"
    level = ratio.holds(1.0)
    if level and len(found.plausible) > TELLING:
        return f"shows no growth beyond the noise ({said}; nearly any law is left)"
    if CONSTANT in found.plausible:
        if level or found.plausible[0] == CONSTANT:
            return f"stays flat within the noise ({said}{_not_excluded(found)})"
        return f"becomes {said}, which may still be noise"
    if level:
        return f"shows no growth beyond the noise ({said})"
    if ratio.estimate < 1:
        return f"falls to {said}"
    grows = f"grows {said}, {_like(found)}"
    if not exponent:
        return grows
    top = interval_words(grown.exponent, 2)
    return f"{grows} (exponent {top} at the longest lengths; 1 is linear)"


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
    start = f" from {length_words(found.valid_from)} on" if found.valid_from > found.first else ""
    return f"{_between(sorted(laws, key=rank))}{start}"


def _between(laws: Sequence[str]) -> str:
    if not laws:
        return "by none of the laws"
    neighbours = rank(laws[-1]) - rank(laws[0]) == len(laws) - 1
    if neighbours and len(laws) > 2:
        return f"between {laws[0]} and {laws[-1]}"
    return f"like {law_words(laws)}"
