"""Verdicts on what a suite claims: `judge(results, claims)`.

From the set of laws that the data can't tell apart (`selection`), a claim "~ g" is

* supported    if g is alone in the set, and the design would have shown another law: were g true,
               it would be alone in at least `POWER_NEEDED` of simulated runs;
* compatible   if g is in the set, which leaves at most half of all laws; or if it is in the set
               above a break that the data neither show nor exclude (`Scaling.beyond`);
* rejected     if g is not in the set;
* cannot tell  if the set leaves more than half of all laws; if the data look constant and g could
               not have been seen (it grows by less than `FLAT_RISE` over the range); if there are
               too few lengths or processes; or if no law fits, unless even the top exponent is
               above g's own, which rejects it.

A claim "at most g" is supported if every law of the set is g or slower, and each faster one would
have been excluded in at least `POWER_NEEDED` of simulated runs; rejected if every law of the set is
faster; otherwise compatible or cannot tell as above. Where no law fits, the exponent decides
between compatible, rejected and cannot tell.

Counters have no noise. A formula that gives every value exactly (`exact`) supports the claim of its
law, and rejects any other. Without a formula the laws within a hundredth of the values are the set,
and one of them alone is called compatible, not supported; a law whose formulas take more lengths
than were measured is not rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lmn_bench.analysis.counters import Counter, counter_of
from lmn_bench.analysis.laws import law_exponent, rank
from lmn_bench.analysis.power import POWER_NEEDED
from lmn_bench.analysis.results import ResultSet, Series
from lmn_bench.analysis.scaling import (
    DECIDING_LENGTHS,
    EXPONENT_SLACK,
    MIN_LENGTHS,
    TELLING,
    Scaling,
    scaling,
    series_sample,
)
from lmn_bench.analysis.sentences import counter_sentence, scaling_sentence
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import TIME_UNITS, metric
from lmn_bench.schema import LAWS, Case, Claim

Verdict = Literal["supported", "compatible", "rejected", "cannot tell"]


@dataclass(frozen=True)
class ClaimVerdict:
    """What the data say about one claim in one setting.

    Attributes:
        claim: the claim.
        setting: device, sizes and so on that it was judged in; None if nothing was measured.
        verdict: see above.
        sentence: why, in words.
        exact: whether a formula without noise decided.
        plausible: laws that the data can't tell apart, best first.
        counter: of a metric without noise.
        scaling: of a metric with noise: fits, exponents, power, range.
    """

    claim: Claim
    setting: Case | None
    verdict: Verdict
    sentence: str
    exact: bool = False
    plausible: tuple[str, ...] = ()
    counter: Counter | None = None
    scaling: Scaling | None = None


def judge(results: ResultSet, claims: Sequence[Claim]) -> list[ClaimVerdict]:
    """Judge every claim in every setting without a memory cap that has results for it."""
    return [verdict for claim in claims for verdict in _judge_claim(results, claim)]


def _judge_claim(results: ResultSet, claim: Claim) -> Iterator[ClaimVerdict]:
    judged = measured = False
    for setting in results.settings():
        if setting.mode != claim.mode or setting.memory_cap_bytes is not None:
            continue
        series = results.series(setting, claim.subject)
        if any(result.values.get(claim.metric) for result in series.values()):
            judged = True
            disturbed = results.disturbed(setting)
            if disturbed is not None and metric(claim.metric).unit in TIME_UNITS:
                said = f"The machine was disturbed: {disturbed.words}."
                yield ClaimVerdict(claim, setting, "cannot tell", said)
                continue
            yield _judge_series(series, claim, setting)
        measured = measured or any(result.values for result in series.values())
    if not judged:
        # A run may leave a metric out: without timing there is no latency.
        what = f"No {metric(claim.metric).title}" if measured else "Nothing"
        yield ClaimVerdict(claim, None, "cannot tell", f"{what} was measured for it.")


def _judge_series(series: Series, claim: Claim, setting: Case) -> ClaimVerdict:
    counter = counter_of(series, claim.metric)
    if counter is not None:
        verdict = _of_counter(claim, counter)
        said = counter_sentence(counter)
        return ClaimVerdict(
            claim, setting, verdict, said, counter.formula is not None, counter.plausible, counter
        )
    sample = series_sample(series, claim.metric)
    found = None if sample is None else scaling(sample)
    if found is None:
        lengths = 0 if sample is None else len(sample.lengths)
        said = f"Values at {lengths} length{'s' * (lengths != 1)}; it takes {MIN_LENGTHS} at least."
        return ClaimVerdict(claim, setting, "cannot tell", said)
    verdict = verdict_of(claim, found)
    said = scaling_sentence(found, advice=verdict != "supported")
    return ClaimVerdict(claim, setting, verdict, said, False, found.plausible, None, found)


def verdict_of(claim: Claim, found: Scaling) -> Verdict:
    """The verdict on a claim from measurements with noise."""
    if found.processes < ENOUGH:
        return "cannot tell"
    if not found.plausible:
        return _by_exponent(claim, found)
    fits = {fit.law: fit for fit in found.fits}
    allowed = LAWS[: rank(claim.law) + 1] if claim.at_most else (claim.law,)
    inside = [law for law in found.plausible if law in allowed]
    if not inside:
        if fits[claim.law].invisible:
            return "cannot tell"
        if set(found.beyond).isdisjoint(allowed):
            return "rejected"
        return "compatible" if len(found.beyond) <= TELLING else "cannot tell"
    if len(inside) == len(found.plausible) and found.power is not None:
        if not claim.at_most:
            if found.decided:
                return "supported"
        elif (
            len(found.curve) >= DECIDING_LENGTHS
            and set(found.beyond) <= set(allowed) | set(found.plausible)
            and all(p >= POWER_NEEDED for law, p in found.power.excludes if law not in allowed)
        ):
            return "supported"
    return "compatible" if len(found.plausible) <= TELLING else "cannot tell"


def _by_exponent(claim: Claim, found: Scaling) -> Verdict:
    """Where the noise rejects every law: only what the exponent excludes."""
    exponent = found.growth.exponent
    own = law_exponent(claim.law, (found.growth.top_from, found.last)) + EXPONENT_SLACK
    if exponent.low is None or exponent.high is None:
        return "cannot tell"
    if exponent.low > own:
        return "rejected"
    return "compatible" if claim.at_most and exponent.high <= own else "cannot tell"


def _of_counter(claim: Claim, counter: Counter) -> Verdict:
    if not counter.plausible:
        return "cannot tell"
    kept = [
        law == claim.law or (claim.at_most and rank(law) < rank(claim.law))
        for law in counter.plausible
    ]
    exact = counter.formula is not None
    if not any(kept):
        may_be = {claim.law, *(LAWS[: rank(claim.law)] if claim.at_most else ())}
        return "rejected" if exact or may_be.isdisjoint(counter.untried) else "cannot tell"
    if not all(kept):
        return "compatible"
    if exact:
        return "supported"
    faster = set(LAWS[rank(claim.law) + 1 :])
    return "supported" if claim.at_most and faster.isdisjoint(counter.untried) else "compatible"
