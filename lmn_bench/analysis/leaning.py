"""Whether a comparison of two stored sides leans on one process, or on means against medians."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.measured import costs
from lmn_bench.analysis.paired import Judgement, Rules
from lmn_bench.analysis.unpaired import by_run, observations, welch
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import METRICS
from lmn_bench.units import format_change_range, format_value

_OPEN = "more runs would tell, or a wider margin"
# A process whose absence leaves less than this part of an interval is what made it so wide.
_NARROWER = 0.5

Logs = Sequence[Sequence[float]]
Names = tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Left:
    """What is found without one process.

    Attributes:
        side: 0 of the base, 1 of the new.
        run, place: which of its runs, and which of that run's values.
        judgement: by all others.
    """

    side: int
    run: int
    place: int
    judgement: Judgement


def middles(base: Logs, new: Logs) -> tuple[float, float]:
    """The median of either side: over processes, or over runs' means where runs are compared."""
    before, after = observations(base, new)
    return statistics.median(before), statistics.median(after)


def judged_apart(
    base: Logs, new: Logs, rules: Rules, metric: str, names: Names = ((), ())
) -> tuple[Judgement | None, str]:
    """Welch's judgement on logarithms of costs, and why no more can be told.

    It is about means, while what is shown are medians: where these lie outside of its interval, or
    one process decides, nothing is claimed. `names`: of every process, laid out as the values are.
    """
    found = welch(base, new, rules)
    if found is None:
        return None, "all processes of a side agree to the last digit: nothing tells of noise"
    left = leaned_on(base, new, found, rules)
    if left is not None:
        said = _left_words((base, new), left, metric, names)
        return (None if claim(found, rules) else found), said
    before, after = middles(base, new)
    apart = after - before
    if not found.low <= apart <= found.high:
        low, high = _change(metric, found)
        return None, (
            f"medians and means disagree: by means the change is {format_change_range(low, high)}"
        )
    return found, _OPEN


def _left_words(sides: tuple[Logs, Logs], left: Left, metric: str, names: Names) -> str:
    """Which process decides, and what the others say."""
    (value,) = costs(metric, np.array(sides[left.side][left.run][left.place]))
    of_side = names[left.side]
    name = of_side[left.run][left.place] if of_side else f"process {left.place}"
    low, high = _change(metric, left.judgement)
    return (
        f"hangs on one process: {name} of {('BASE', 'NEW')[left.side]}, "
        f"{format_value(value, METRICS[metric].unit)}; without it {format_change_range(low, high)}"
    )


def _change(metric: str, judgement: Judgement) -> tuple[float, float]:
    low, high = sorted(costs(metric, np.array([judgement.low, judgement.high])))
    return low, high


def claim(judgement: Judgement, rules: Rules) -> str:
    """What an interval alone says: worse, better, same, not worse; empty where nothing."""
    shift = rules.log_margin
    if judgement.low > shift:
        return "worse"
    if judgement.high < -shift:
        return "better"
    if -shift < judgement.low and judgement.high < shift:
        return "same"
    return "not worse" if judgement.passes else ""


def leaned_on(base: Logs, new: Logs, found: Judgement, rules: Rules) -> Left | None:
    """The process that decides a comparison, if one does.

    Without it the estimate no longer fits what is claimed; or, where nothing is, the estimate moves
    by more than the margin and the interval shrinks by half.
    """
    shift, said = rules.log_margin, claim(found, rules)
    fits = {
        "worse": lambda middle: middle > shift,
        "better": lambda middle: middle < -shift,
        "same": lambda middle: abs(middle) < shift,
        "not worse": lambda middle: middle < shift,
    }
    leaning = [
        left
        for left in _left_out(base, new, rules)
        if (
            not fits[said](left.judgement.middle)
            if said
            else abs(left.judgement.middle - found.middle) > shift
            and _width(left.judgement) < _NARROWER * _width(found)
        )
    ]
    return max(leaning, key=lambda left: abs(left.judgement.middle - found.middle), default=None)


def _left_out(base: Logs, new: Logs, rules: Rules) -> Iterator[Left]:
    """Every process once left out, where that leaves enough of its run, or of its side."""
    for side, runs in enumerate((base, new)):
        for run, values in enumerate(runs):
            alone = len(values) == 1 if by_run(base, new) else sum(map(len, runs)) < ENOUGH
            for place in range(0 if alone else len(values)):
                rest = [*values[:place], *values[place + 1 :]]
                others = [one if at != run else rest for at, one in enumerate(runs)]
                kept = [one for one in others if one]
                before, after = (kept, new) if side == 0 else (base, kept)
                judgement = welch(before, after, rules, least=ENOUGH - 1)
                if judgement is not None:
                    yield Left(side, run, place, judgement)


def _width(judgement: Judgement) -> float:
    return judgement.high - judgement.low
