"""What was found about growth, in one sentence."""

from __future__ import annotations

from dataclasses import astuple

from lmn_bench.analysis.counters import LAW_LENGTHS, Counter
from lmn_bench.analysis.exact import SPARE_LENGTHS
from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.laws import CONSTANT, law_words
from lmn_bench.analysis.sample import TOLERANCE
from lmn_bench.analysis.scaling import DECIDING_LENGTHS, TELLING, Scaling
from lmn_bench.disturbance import ENOUGH
from lmn_bench.schema import LAWS
from lmn_bench.units import format_length, format_number, format_ratio_interval


def counter_sentence(counter: Counter) -> str:
    """For example: Exactly 1 + L at each of 11 lengths, L = floor(log2 n)."""
    lengths = f"{len(counter.values)} length{'s' * (len(counter.values) != 1)}"
    if counter.formula is not None:
        uses_levels = any("L" in term for _, term in counter.formula.terms)
        text = counter.bound or counter.formula.text
        levels = ", L = floor(log2 n)" if uses_levels else ""
        return f"Exactly {text} at each of {lengths}{levels}."
    if len(counter.values) <= SPARE_LENGTHS:
        return f"Values at {lengths}: too few to hold a formula against."
    near = f"to about {TOLERANCE:.0%}"
    law = f"a + b g(n) with {law_words(counter.plausible)} fits {lengths} {near}"
    if counter.untried:
        few = f"{lengths} are too few to hold a formula of {law_words(counter.untried)} against"
        tried = [one for one in LAWS if one not in counter.untried]
        none = f"no formula of {law_words(tried)} gives every value, and " if tried else ""
        said = f"{none}{few}" + (f"; {law}" if counter.plausible else "")
        return f"{said[0].upper()}{said[1:]}."
    if counter.plausible:
        return f"No formula gives every value; {law}."
    if len(counter.values) < LAW_LENGTHS:
        return f"No formula gives every value at {lengths}."
    return f"No formula gives every value at {lengths}, and no law fits {near}."


# Nobody reads more digits than this.
_LONG = 1e15
# Why one law that is left is not decided, where the sentence doesn't show it otherwise.
_REASONS = {
    "too few lengths": f"too few lengths to decide: {DECIDING_LENGTHS} are needed",
    "ends leave growth open": "not decided: first and last length alone leave growth open",
    "ends show no growth": "not decided: first and last length alone show no growth",
    "exponent disagrees": "not decided: the top exponent is not this law's",
}


def scaling_sentence(found: Scaling, *, advice: bool = True) -> str:
    """What is left of the laws, from where to where, the exponent, and what would tell more."""
    span = f"{length_words(found.valid_from)} to {length_words(found.last)}"
    exponent = f"top exponent {interval_words(found.growth.exponent, 2)}"
    if found.processes < ENOUGH:
        least = f"{found.processes} process{'es' * (found.processes != 1)} at a length"
        if not found.processes:
            least = "No two processes can be compared"
        return (
            f"{least}: no noise to judge by ({ENOUGH} are needed); from {span} the "
            f"best is {law_words(found.plausible[:1])}; {exponent}."
        )
    if not found.plausible:
        return f"From {span} the noise rejects every law; {exponent}."
    broken = " (below, another law holds)" if found.valid_from > found.first else ""
    left = f"From {span}{broken}: {law_words(found.plausible)}"
    ratio = found.growth.ratio
    # The ends that growth is told over are those of all lengths.
    if found.plausible[0] == CONSTANT and ratio.low is not None and not broken:
        left += f", from end to end {format_ratio_interval(*astuple(ratio))}"
    if _tells_more(found):
        left += f", or with a break {_beyond_words(found)}"
    elif found.undecided == "possible break":
        start = length_words(found.beyond_from or 0.0)
        left += f", or with a break from {start} on nearly any law"
    reason = _REASONS.get(found.undecided or "", "")
    way = advice_words(found) if advice and not found.decided else ""
    return "; ".join(part for part in (left, exponent, reason, way) if part) + "."


def growth_words(found: Scaling | None) -> str:
    """The laws in a few words: n or n log n, from 2,048 on."""
    if found is None or found.processes < ENOUGH:
        return "too little to tell"
    start = f" from {length_words(found.valid_from)} on" if found.valid_from > found.first else ""
    if len(found.plausible) > TELLING:
        return f"cannot tell{start}"
    beyond = f", or with a break {_beyond_words(found)}" if _tells_more(found) else ""
    return law_words(found.plausible) + start + beyond


def _tells_more(found: Scaling) -> bool:
    """Whether a possible break lets other laws in, and not nearly all of them."""
    return len(found.beyond) <= TELLING and not set(found.beyond) <= set(found.plausible)


def _beyond_words(found: Scaling) -> str:
    """For example: from 8,192 on n or n log n."""
    return f"from {length_words(found.beyond_from or 0.0)} on {law_words(found.beyond)}"


def advice_words(found: Scaling) -> str:
    """Which lengths or processes would decide; empty if none tried would."""
    power = found.power
    if power is None:
        return ""
    ways = []
    if not power.sought:
        return ""
    if power.lengths_to is not None:
        ways.append(f"lengths up to {length_words(power.lengths_to)}")
    if power.processes is not None:
        ways.append(f"{power.processes} processes a length")
    return f"{' or '.join(ways)} should decide" if ways else "no design tried would decide"


def interval_words(value: Interval, digits: int) -> str:
    """A number with its interval, if it has one: 0.97 [0.91, 1.02]."""
    text = f"{value.estimate:.{digits}f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def length_words(length: float) -> str:
    """A length or any other x: 16,384; 0.25."""
    if length >= _LONG:
        return f"{length:.4g}"
    return format_length(int(length)) if length == int(length) else format_number(length, 3)
