"""Which laws of growth a metric's measurements allow, and whether that decides anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lmn_bench.analysis.growth import Growth, growth
from lmn_bench.analysis.heldout import HeldOut, held_out
from lmn_bench.analysis.intervals import Interval, exponential_interval
from lmn_bench.analysis.lawfits import LawFit, Point, best_curve, law_fits
from lmn_bench.analysis.laws import CONSTANT, growth_functions, law_exponent
from lmn_bench.analysis.power import Power, advise, power
from lmn_bench.analysis.regime import Regime, find_regime
from lmn_bench.analysis.results import Series
from lmn_bench.analysis.sample import Sample, sample_of
from lmn_bench.analysis.selection import FLAT_RISE, rise_limits
from lmn_bench.schema import LAWS

MIN_LENGTHS = 3
# A set with more laws than this leaves nearly everything open.
TELLING = len(LAWS) // 2
# Two coefficients go through nearly any three points.
DECIDING_LENGTHS = 4
# An exponent within this of a law's own may still be the law's: 3.5 % per doubling.
EXPONENT_SLACK = 0.05
Undecided = Literal[
    "too few processes", "no law fits", "too few lengths", "several laws", "possible break",
    "weak design", "ends leave growth open", "ends show no growth", "exponent disagrees",
]  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """What measurements say about growth.

    Attributes:
        plausible: the set of laws, best first; empty if the noise rejects all of them.
        undecided: why the set doesn't decide on its one law; None if it does. See `_undecided`.
        power: how likely the design was to decide, were the best law true; None if all are
            rejected, or with fewer than three processes at some length.
        fits: of all laws, best first.
        growth: exponents and ratios that need no law.
        first, last: measured lengths.
        valid_from: shortest length that the laws are fitted to: below it another law holds.
        beyond: laws that hold above `beyond_from`, if there is a break, which the data neither
            show nor exclude (AICc within 4 of that without it).
        reach: last / first over the valid range, by these two lengths alone.
        rise: last / first over the valid range by the slowest law that grows, with its limits: how
            flat "constant" is.
        noise: spread between processes (relative), the middle one of the valid range; None without.
        processes: the fewest at any length of it; 0 if no two of them can be compared.
        curve: the best law at the lengths of the valid range.
        held_out: how well the best law, fitted without the two largest lengths, predicts them.
    """

    plausible: tuple[str, ...]
    undecided: Undecided | None
    power: Power | None
    fits: tuple[LawFit, ...]
    growth: Growth
    first: float
    last: float
    valid_from: float
    beyond: tuple[str, ...]
    beyond_from: float | None
    reach: Interval
    rise: Interval
    noise: float | None
    processes: int
    curve: tuple[Point, ...]
    held_out: tuple[HeldOut, ...]

    @property
    def decided(self) -> bool:
        """Whether one law is left, and nothing else that was found speaks against it."""
        return self.undecided is None


def series_sample(series: Series, metric: str) -> Sample | None:
    """One value per process and length of a series; None if no length has a usable one."""
    found = {
        float(length): usable
        for length, result in series.items()
        if (usable := [v for v in result.values.get(metric, ()) if v > 0 and np.isfinite(v)])
        and length >= 1
    }
    return sample_of(found) if found else None


def scaling(sample: Sample, *, advice: bool = True, seed: int = 0) -> Scaling | None:
    """Judge every law on a sample; None with fewer than three lengths.

    Where two laws with a break between them fit much better than one, laws are judged above it.

    Args:
        sample: the measurements.
        advice: whether to look for a design that would decide, if this one doesn't.
        seed: of the bootstrap, with one of our own: the same data give the same answer.
    """
    grown = growth(sample)
    if len(sample.lengths) < MIN_LENGTHS or grown is None:
        return None
    regime = find_regime(sample, seed)
    upper, best = regime.sample, regime.order[0]
    plausible = tuple(LAWS[k] for k in regime.order if regime.members[k])
    able = _power(regime, advice) if regime.replicated and plausible else None
    above = grown if len(upper.lengths) == len(sample.lengths) else growth(upper)
    assert above is not None  # a regime has three lengths at least
    spreads = np.nanstd(upper.values, axis=0, ddof=1) if regime.replicated else None
    return Scaling(
        plausible=plausible,
        undecided=_undecided(regime, plausible, able, above),
        power=able,
        fits=law_fits(regime),
        growth=grown,
        first=sample.lengths[0],
        last=sample.lengths[-1],
        valid_from=upper.lengths[0],
        beyond=regime.beyond,
        beyond_from=regime.beyond_from,
        reach=above.ratio,
        rise=_rise(regime),
        noise=None if spreads is None else float(np.median(spreads)),
        processes=int(upper.counts.min()) if sample.freedom or not sample.effects else 0,
        curve=best_curve(regime),
        held_out=held_out(upper, regime.noise, best) if regime.replicated else (),
    )


def _undecided(
    regime: Regime, plausible: tuple[str, ...], able: Power | None, above: Growth
) -> Undecided | None:
    """The first reason why the laws decide nothing; None where one law is left and all agrees.

    Equality is a claim too: constant is decided only if the interval of last / first lies within
    `FLAT_RISE`, up and down; a law that grows only if that interval lies above 1; and either only
    if the top exponent, give or take `EXPONENT_SLACK`, may be one of its own, and no break which
    the data don't exclude lets another law in.
    """
    if not regime.replicated:
        return "too few processes"
    if not plausible:
        return "no law fits"
    if len(regime.sample.lengths) < DECIDING_LENGTHS:
        return "too few lengths"
    if len(plausible) > 1:
        return "several laws"
    if not set(regime.beyond) <= set(plausible):
        return "possible break"
    if able is None or not able.enough:
        return "weak design"
    ratio, exponent, law = above.ratio, above.exponent, plausible[0]
    assert ratio.low is not None
    assert ratio.high is not None
    if law == CONSTANT and not (ratio.low > 1 / FLAT_RISE and ratio.high < FLAT_RISE):
        return "ends leave growth open"
    if law != CONSTANT and ratio.low <= 1:
        return "ends show no growth"
    own = law_exponent(law, (above.top_from, above.last)) + EXPONENT_SLACK
    if (exponent.low or 0.0) > own or (exponent.high or 0.0) < -EXPONENT_SLACK:
        return "exponent disagrees"
    return None


def _power(regime: Regime, advice: bool) -> Power:
    lengths, law = regime.sample.lengths, regime.order[0]
    a, b = (float(fits[0, law]) for fits in (regime.selection.fits.a, regime.selection.fits.b))
    found = power(lengths, regime.noise, law, a, b)
    if not advice or (found.enough and regime.members.sum() == 1) or regime.sample.effects:
        # Where processes cover some lengths each, they should cover all: the first thing to mend.
        return found
    lengths_to, processes = advise(lengths, regime.noise, regime.sample.counts, law, a, b)
    if len(lengths) < DECIDING_LENGTHS:
        processes = None
    return replace(found, lengths_to=lengths_to, processes=processes, sought=True)


def _rise(regime: Regime) -> Interval:
    sample = regime.sample
    limits = rise_limits(sample.medians[None], regime.noise, growth_functions(sample.lengths))
    low, high = (float(limit[0, LAWS.index("log n")]) for limit in limits)
    if not np.isfinite(high):
        return exponential_interval(float(sample.medians[-1] - sample.medians[0]), None, None)
    return exponential_interval((low + high) / 2, low, high)
