"""Rows of measured metrics: what many judgements on single quantities say together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lmn_bench.analysis.comparison import Row, Verdict
from lmn_bench.analysis.intervals import exponential
from lmn_bench.analysis.multiplicity import benjamini_hochberg, holm
from lmn_bench.analysis.paired import ALARM, Judgement, Rules
from lmn_bench.analysis.seeds import welch_interval
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import METRICS, TIME_UNITS
from lmn_bench.schema import Case
from lmn_bench.units import format_bytes

# Of the rows that a listing calls changed, this share may be false discoveries.
FALSE_DISCOVERIES = 0.05
# The kernel counts resident memory in batches of pages per core, and a heap grows in steps: smaller
# differences of measured memory say nothing about the code.
MEMORY_RESOLUTION_BYTES = 256 * 2**10

_OPEN_BELOW = "not worse by the margin; whether better or the same is open"
_UNSURE_MEMORY = "medians are less apart than can be measured, processes are not"
_FEW_IN_MANY = "beyond the margin, but not sure enough for the gate among so many"


@dataclass(frozen=True)
class Measured:
    """One measured metric of one case on both sides.

    Attributes:
        base, new: one value per process.
        judgement: what they say of the cost; None if nothing can be said.
        levels: of base and new, which differ by the change that is told; the medians if not given.
        reason: why nothing, or not more, can be said.
        can_alarm: whether it may make the gate red (`ab`: it has been confirmed on fresh data).
    """

    case: Case
    metric: str
    base: tuple[float, ...]
    new: tuple[float, ...]
    judgement: Judgement | None
    reason: str = ""
    can_alarm: bool = True
    levels: tuple[float, float] | None = None


def log_cost(metric: str, values: Sequence[float]) -> list[float]:
    """Logarithms of values (> 0) that rise where a metric gets worse.

    Raises:
        ValueError: a value that is not above 0.
    """
    return [_sign(metric) * math.log(value) for value in values]


def costs(metric: str, logs: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """The values that these are the logarithms of costs of."""
    return tuple(float(value) for value in np.exp(_sign(metric) * logs.ravel()))


def measured_rows(found: Sequence[Measured], rules: Rules) -> list[Row]:
    """A row for each: Holm decides what is red, Benjamini-Hochberg what is listed as changed."""
    judged = [(one, one.judgement) for one in found if one.judgement is not None]
    slower = benjamini_hochberg([judgement.p_slower for _, judgement in judged])
    faster = benjamini_hochberg([judgement.p_faster for _, judgement in judged])
    suspects = [(one, judgement) for one, judgement in judged if one.can_alarm]
    alarms = holm([judgement.p_slower for _, judgement in suspects])
    red = {id(one) for (one, _), p in zip(suspects, alarms, strict=True) if p <= ALARM}
    listed = {
        id(one): (up <= FALSE_DISCOVERIES, down <= FALSE_DISCOVERIES)
        for (one, _), up, down in zip(judged, slower, faster, strict=True)
    }
    return [
        _row(one, *_verdict(one, rules, id(one) in red, listed.get(id(one), (False, False))))
        for one in found
    ]


def _verdict(
    one: Measured, rules: Rules, red: bool, listed: tuple[bool, bool]
) -> tuple[Verdict, str, bool, bool]:
    """Verdict, reason, whether it is a regression, whether it passes."""
    judgement, shift = one.judgement, rules.log_margin
    if is_below_resolution(one.metric, one.base, one.new):
        told = format_bytes(MEMORY_RESOLUTION_BYTES)
        if _surely_below_resolution(one.base, one.new):
            return Verdict.SAME, f"less apart than can be measured ({told})", False, True
        return Verdict.CANNOT_TELL, f"{_UNSURE_MEMORY} ({told})", False, False
    if judgement is None:
        return Verdict.CANNOT_TELL, one.reason, False, False
    if red or (listed[0] and judgement.low > shift):
        return worse(one.metric), "" if red else _FEW_IN_MANY, red, False
    if listed[1] and judgement.high < -shift:
        return better(one.metric), "", False, True
    if -shift < judgement.low and judgement.high < shift:
        return Verdict.SAME, "", False, judgement.passes
    if judgement.passes:
        return Verdict.NOT_WORSE, _OPEN_BELOW, False, True
    return Verdict.CANNOT_TELL, one.reason, False, False


def is_below_resolution(metric: str, base: Sequence[float], new: Sequence[float]) -> bool:
    """Whether a difference of memory is smaller than what can be measured."""
    if METRICS[metric].unit != "B" or METRICS[metric].exact or not base or not new:
        return False
    return abs(statistics.median(new) - statistics.median(base)) <= MEMORY_RESOLUTION_BYTES


def _surely_below_resolution(base: Sequence[float], new: Sequence[float]) -> bool:
    """Whether the difference of means is, with its interval, smaller than what can be measured."""
    if min(len(base), len(new)) < ENOUGH:
        return False
    apart = welch_interval(new, base)
    ends = (apart.estimate, apart.low or apart.estimate, apart.high or apart.estimate)
    return all(abs(end) <= MEMORY_RESOLUTION_BYTES for end in ends)


def worse(metric: str) -> Verdict:
    """What a change for the worse is called."""
    if METRICS[metric].unit in TIME_UNITS:
        return Verdict.SLOWER
    return Verdict.LESS if METRICS[metric].better == "higher" else Verdict.MORE


def better(metric: str) -> Verdict:
    """What a change for the better is called."""
    if METRICS[metric].unit in TIME_UNITS:
        return Verdict.FASTER
    return Verdict.MORE if METRICS[metric].better == "higher" else Verdict.LESS


def _row(one: Measured, verdict: Verdict, reason: str, regression: bool, passes: bool) -> Row:
    medians = [statistics.median(side) if side else None for side in (one.base, one.new)]
    base, new = medians if one.levels is None else one.levels
    ratio = new / base if base and new is not None else None
    low = high = None
    if one.judgement is not None:
        sign = _sign(one.metric)
        ends = sorted(sign * end for end in (one.judgement.low, one.judgement.high))
        # Too few pairs for a limit: there is none.
        low, high = (exponential(end) if math.isfinite(end) else None for end in ends)
    return Row(
        one.case, one.metric, verdict, regression=regression, passes=passes, base=base, new=new,
        ratio=ratio, low=low, high=high, base_median=medians[0], new_median=medians[1],
        base_processes=len(one.base),
        new_processes=len(one.new), reason=reason,
    )  # fmt: skip


def _sign(metric: str) -> int:
    return -1 if METRICS[metric].better == "higher" else 1
