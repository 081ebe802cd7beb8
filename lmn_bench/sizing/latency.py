"""How long a call takes: between measured lengths, beyond them, at other sizes, on other devices.

* Between measured lengths: a line on logarithms of both. The interval comes from leaving out every
  inner length in turn and foretelling it from its neighbours: twice as far apart as in use, so that
  it is rather too wide than too narrow.
* Beyond the longest one, up to `REACH` times: the laws that the data can't tell apart, from the
  lowest to the highest of them.
* Another size or batch than was measured: between "only the number of layers counts" (time goes
  into starting operations) and "all the work counts" (FLOPs or bytes, whichever grew more).
* Another device: the roofline max(FLOPs / peak, bytes / bandwidth), divided by the share of its own
  roofline that the measured machine reached (S. Williams et al., "Roofline", CACM 52 (4), 2009).
  Where Python runs, a call takes no less than it takes to start its operations one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from scipy import special

from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.scaling import Scaling, scaling
from lmn_bench.devices import DeviceProfile
from lmn_bench.schema import LAWS, Case
from lmn_bench.sizing.evidence import Evidence, is_exact
from lmn_bench.sizing.question import REACH, Basis, Latency
from lmn_bench.sizing.work import Work, work_of
from lmn_bench.units import format_length

_CONFIDENCE = 0.975
# Of one operation, whatever it does: torch takes 3 to 5 µs to start it on a GPU; decoding at width
# 64, where next to nothing else is done, takes 2 µs an operation on a server's core.
_LAUNCH_S, _DISPATCH_S = 4e-6, 2e-6
# What a median says is no surer than this, whatever the processes agree on.
_LEAST_SPREAD = 0.01


@lru_cache(maxsize=512)
def latency_model(evidence: Evidence) -> LatencyModel:
    """The model of one series, made once."""
    return LatencyModel(evidence)


class LatencyModel:
    """Foretells latencies from one series.

    Args:
        evidence: the series.

    Attributes:
        spread: standard deviation of a length foretold from its neighbours (relative); None with
            fewer than three lengths.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._lengths = list(evidence.medians)
        self._x = np.log(np.array(self._lengths, dtype=np.float64))
        self._y = np.log(np.array(list(evidence.medians.values())))
        self.spread, self._errors = self._left_out()
        self._laws: Scaling | None = None

    def at(self, case: Case) -> Latency | None:
        """The latency of a case; None beyond `REACH` times the longest measured length."""
        if not self._lengths or not self._lengths[0] <= case.length <= REACH * self._lengths[-1]:
            return None
        if case.length <= self._lengths[-1]:
            found = self._between(case.length)
        else:
            found = self._beyond(case.length)
        return found if is_exact(self._evidence, case) else _scaled(found, self._evidence, case)

    def why_not(self, case: Case) -> str:
        """Why there is no latency."""
        if not self._lengths:
            return "its latency was not measured"
        low, high = self._lengths[0], self._lengths[-1]
        return (
            f"measured from {format_length(low)} to {format_length(high)} tokens: nothing is "
            f"promised below, or above {REACH} times that, {format_length(REACH * high)}"
        )

    def _left_out(self) -> tuple[float | None, int]:
        inner = range(1, len(self._lengths) - 1)
        if not inner:
            return None, 0
        errors = []
        for at in inner:
            share = (self._x[at] - self._x[at - 1]) / (self._x[at + 1] - self._x[at - 1])
            between = self._y[at - 1] + share * (self._y[at + 1] - self._y[at - 1])
            errors.append(float(self._y[at] - between))
        spread = max(_LEAST_SPREAD, math.sqrt(float(np.mean(np.square(errors)))))
        return spread, len(errors)

    def _between(self, length: int) -> Latency:
        middle = float(np.interp(math.log(length), self._x, self._y))
        basis = Basis.MEASURED if length in self._evidence.medians else Basis.BETWEEN
        return Latency(self._interval(middle, middle, middle), basis)

    def _interval(self, middle: float, low: float, high: float) -> Interval:
        """`low` to `high`, widened by the spread of what was left out (logarithms)."""
        if self.spread is None:
            return Interval(math.exp(middle), None, None)
        reach = float(special.stdtrit(self._errors, _CONFIDENCE)) * self.spread
        return Interval(math.exp(middle), math.exp(low - reach), math.exp(high + reach))

    def _beyond(self, length: int) -> Latency:
        found = self._scaling()
        if found is None or not found.plausible:
            # Two lengths, or no law fits: nothing but the last slope to go by.
            slope = (
                (self._y[-1] - self._y[-2]) / (self._x[-1] - self._x[-2]) if len(self._x) > 1 else 1
            )
            middle = float(self._y[-1] + slope * (math.log(length) - self._x[-1]))
            return Latency(Interval(math.exp(middle), None, None), Basis.LAW)
        values = {
            fit.law: math.log(
                fit.floor.estimate + fit.growing.estimate * _grown(found, fit.law, length)
            )
            for fit in found.fits
            if fit.member
        }
        low, high = min(values.values()), max(values.values())
        middle = values[found.plausible[0]]
        return Latency(self._interval(middle, low, high), Basis.LAW)

    def _scaling(self) -> Scaling | None:
        if self._laws is None and self._evidence.sample is not None:
            self._laws = scaling(self._evidence.sample, advice=False)
        return self._laws


def _grown(found: Scaling, law: str, length: int) -> float:
    """g(length) / g(longest) of a law."""
    row = growth_functions([1.0, found.last, float(length)])[LAWS.index(law)]
    return float(row[2] / row[1]) if row[1] else 0.0


def _scaled(found: Latency, evidence: Evidence, case: Case) -> Latency:
    """A latency at another size or batch, from that of the measured one at the same length."""
    measured = Case(**{**vars(evidence.series), "length": case.length})
    old, new = work_of(measured), work_of(case)
    if old is None or new is None:
        return Latency(Interval(found.seconds.estimate, None, None), Basis.SCALED)
    layers = case.model.layers / measured.model.layers
    amount = max(new.flops / old.flops, new.bytes / old.bytes)
    low, high = sorted((layers, amount))
    seconds = found.seconds
    return Latency(
        Interval(
            seconds.estimate * math.sqrt(low * high),
            (seconds.low or seconds.estimate) * low,
            (seconds.high or seconds.estimate) * high,
        ),
        Basis.SCALED,
    )


def on_device(
    found: Latency, evidence: Evidence, case: Case, profile: DeviceProfile
) -> Latency | None:
    """What a latency measured here says of another device; None without a peak for the dtype."""
    work = work_of(case)
    if work is None:
        return None
    bound = roofline_s(work, profile.peak_flops_per_s, profile.bandwidth_bytes_per_s, case.dtype)
    if bound is None:
        return None
    ceiling = evidence.ceiling
    if ceiling is None:
        return Latency(Interval(bound, bound, None), Basis.BOUND)
    peaks = {ceiling.dtype: ceiling.matrix_flops_per_s}
    own = roofline_s(work, peaks, ceiling.copy_bytes_per_s, case.dtype)
    if own is None:
        return Latency(Interval(bound, bound, None), Basis.BOUND)
    share = min(1.0, own / found.seconds.estimate)
    estimate = bound / share
    if profile.runs_python:
        start_s = _LAUNCH_S if profile.kind == "gpu" else _DISPATCH_S
        estimate = max(estimate, _operations(evidence, case) * start_s)
    return Latency(Interval(estimate, bound, None), Basis.ROOFLINE)


def _operations(evidence: Evidence, case: Case) -> float:
    """Operations of a call, by the nearest length at which they were counted, layer by layer."""
    counted = evidence.work["operations"]
    if not counted:
        return 0.0
    nearest = min(counted, key=lambda length: abs(math.log(length / case.length)))
    return counted[nearest] * case.model.layers / evidence.series.model.layers


def roofline_s(
    work: Work, peaks: Mapping[str, float], bytes_per_s: float, dtype: str
) -> float | None:
    """The least time that work can take (s); None where the peak of the dtype isn't known."""
    # A device without units for a narrow type computes in float32.
    peak = peaks.get(dtype) or (peaks.get("float32") if dtype != "float64" else None)
    return None if peak is None else max(work.flops / peak, work.bytes / bytes_per_s)
