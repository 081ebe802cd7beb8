"""Fitted laws as plain data: coefficients with intervals, and a curve with its band."""

from __future__ import annotations

from dataclasses import dataclass

from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.laws import Array, growth_functions
from lmn_bench.analysis.regime import Regime
from lmn_bench.analysis.stats import percentile_limits
from lmn_bench.schema import LAWS


@dataclass(frozen=True)
class LawFit:
    """One law fitted over the valid range: floor + growing · g(n) / g(longest length).

    Attributes:
        law: its name, of `schema.LAWS`.
        member: whether it is in the set of laws that the data can't tell apart.
        invisible: whether it was left out because constant is in the set, and this law cannot have
            grown by more than `FLAT_RISE` over the range: not excluded, but not to be seen.
        delta: AICc above the best law that isn't rejected.
        p_value: of the lack-of-fit test against the noise between processes; None without any.
        stability: share of resampled runs in which it is within reach of the best.
        floor: a, in the metric's unit.
        growing: what grows until the longest length, in the metric's unit.
    """

    law: str
    member: bool
    invisible: bool
    delta: float
    p_value: float | None
    stability: float
    floor: Interval
    growing: Interval


@dataclass(frozen=True)
class Point:
    """A fitted law at one length, with the 95 % interval of its resampled fits."""

    length: float
    value: Interval


def law_fits(regime: Regime) -> tuple[LawFit, ...]:
    """Every law, best first."""
    chosen, drawn = regime.selection, regime.redone
    floors = _intervals(chosen.fits.a[0], drawn.a, regime.replicated)
    growing = _intervals(chosen.fits.b[0], drawn.b, regime.replicated)
    constant = bool(regime.members[0])
    return tuple(
        LawFit(
            law=LAWS[k],
            member=bool(regime.members[k]),
            invisible=bool(k and constant and chosen.flat[0, k]),
            delta=float(chosen.delta[0, k]),
            p_value=float(chosen.p_values[0, k]) if regime.noise.freedom else None,
            stability=float(regime.stability[k]),
            floor=floors[k],
            growing=growing[k],
        )
        for k in regime.order
    )


def best_curve(regime: Regime) -> tuple[Point, ...]:
    """The best law at every length of the regime."""
    best = regime.order[0]
    g = growth_functions(regime.sample.lengths)[best]
    fits, drawn = regime.selection.fits, regime.redone
    fitted = fits.a[0, best] + fits.b[0, best] * g
    curves = drawn.a[:, [best]] + drawn.b[:, [best]] * g
    values = _intervals(fitted, curves, regime.replicated)
    return tuple(map(Point, regime.sample.lengths, values))


def _intervals(estimates: Array, drawn: Array, replicated: bool) -> list[Interval]:
    """Percentile intervals of resampled values, (samples, quantities), around their estimates."""
    if not replicated:
        return [Interval(float(value), None, None) for value in estimates]
    low, high = percentile_limits(drawn)
    return [
        Interval(float(value), min(float(below), float(value)), max(float(above), float(value)))
        for value, below, above in zip(estimates, low, high, strict=True)
    ]
