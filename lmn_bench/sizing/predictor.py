"""Memory and latency of one subject, foretold from the series nearest to a case.

A size between two that were measured is foretold from both, each scaled to it, and lies between
them by its number of parameters: at a measured size that size alone counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmn_bench.analysis.intervals import Interval
from lmn_bench.schema import Case
from lmn_bench.sizing.evidence import Evidence, nearest
from lmn_bench.sizing.latency import latency_model, on_device
from lmn_bench.sizing.memory import memory_need, need_model
from lmn_bench.sizing.native import native_need
from lmn_bench.sizing.question import REACH, Basis, Latency, MemoryNeed, Question
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.subjects.sizes import parameters
from lmn_bench.units import format_length

# Of a GPU that was not measured: CUDA's context and libraries. 300 to 600 MiB are usual.
CUDA_CONTEXT_BYTES = 512 * 2**20
# Of another device: Python and PyTorch are built for another processor there, and CUDA's context
# depends on driver and card; the working memory is that of other kernels.
_FLOOR_SPREAD, _WORK_SPREAD = 0.25, 0.20


@dataclass(frozen=True)
class Predictor:
    """Foretells memory and latency of one subject.

    Attributes:
        evidence: the series nearest to what is asked.
        other: of the same subject, on the other side of what is asked; None without one.
        question: its floor and its device count.
    """

    evidence: Evidence
    other: Evidence | None
    question: Question

    def memory(self, case: Case) -> MemoryNeed:
        """Memory of a process that runs `case`."""
        here, profile = self._memory_here(case), self.question.profile
        if profile is None:
            return here
        if not profile.runs_python:
            return native_need(case, here)
        known_floor = self.question.floor_bytes is not None
        return _elsewhere(here, 0.0 if known_floor else _FLOOR_SPREAD * here.floor)

    def _memory_here(self, case: Case) -> MemoryNeed:
        mine = self._memory(self.evidence, case)
        if self.other is None:
            return mine
        share, theirs = self._share(self.other, case), self._memory(self.other, case)

        def mixed(one: float, another: float) -> float:
            return (1 - share) * one + share * another

        return replace(
            mine,
            floor=mixed(mine.floor, theirs.floor),
            working=mixed(mine.working, theirs.working),
            low=mixed(mine.low, theirs.low),
            high=mixed(mine.high, theirs.high),
        )

    def latency(self, case: Case) -> Latency | None:
        """Time of one call of `case`; None where nothing is promised."""
        found = self._latency(case)
        profile = self.question.profile
        if found is None or profile is None:
            return found
        return on_device(found, self.evidence, case, profile)

    def why_not(self, case: Case) -> str:
        """Why there is no latency."""
        profile = self.question.profile
        if profile is not None and self._latency(case) is not None:
            if case.subject not in BUILTIN:
                return "a model of your own has no formula for the work that another device has"
            return f"the peak of {profile.title} in {case.dtype} isn't known"
        return latency_model(self.evidence).why_not(case)

    @property
    def range_words(self) -> str:
        """What was measured, and how far anything is promised."""
        measured = self.evidence.longest
        return (
            f"measured up to {format_length(measured)} tokens: nothing is promised above "
            f"{REACH} times that, {format_length(self.longest)}"
        )

    @property
    def longest(self) -> int:
        """The longest context that anything is promised for."""
        return REACH * self.evidence.longest

    def _memory(self, evidence: Evidence, case: Case) -> MemoryNeed:
        return memory_need(evidence, need_model(evidence), case, self._floor())

    def _floor(self) -> int | None:
        floor, profile = self.question.floor_bytes, self.question.profile
        if floor is not None or profile is None:
            return floor
        if profile.kind == "gpu":
            return CUDA_CONTEXT_BYTES
        return None if profile.runs_python else 0

    def _latency(self, case: Case) -> Latency | None:
        mine = latency_model(self.evidence).at(case)
        if mine is None or self.other is None:
            return mine
        theirs = latency_model(self.other).at(case)
        if theirs is None:
            return mine
        share = self._share(self.other, case)
        ends = zip(_ends(mine.seconds), _ends(theirs.seconds), strict=True)
        estimate, low, high = (_mixed(one, another, share) for one, another in ends)
        assert estimate is not None  # there always is one
        return replace(mine, seconds=Interval(estimate, low, high))

    def _share(self, other: Evidence, case: Case) -> float:
        """How far a case is from the nearest series on the way to the other: 0 to 1."""
        mine, theirs, asked = (
            parameters(case.subject, model)
            for model in (self.evidence.series.model, other.series.model, case.model)
        )
        return min(1.0, max(0.0, math.log(asked / mine) / math.log(theirs / mine)))


def predictor(
    subject: str, question: Question, found: Sequence[Evidence], case: Case | None = None
) -> Predictor | None:
    """What foretells a subject at the case of a question, or at another; None without evidence."""
    asked = replace(case or question.case, subject=subject)
    evidence = nearest(found, asked)
    if evidence is None:
        return None
    return Predictor(evidence, _on_the_other_side(found, asked, evidence), question)


def _elsewhere(need: MemoryNeed, floor_reach: float) -> MemoryNeed:
    """A need measured on one machine, as that of another: known less well."""
    working = need.total - need.floor - need.parameters
    least = need.floor - floor_reach + need.parameters + need.state
    work_reach = _WORK_SPREAD * working
    low = min(need.low, need.total - floor_reach - work_reach)
    return replace(
        need,
        low=max(low, least),
        high=max(need.high, need.total + floor_reach + work_reach),
        basis=Basis.ELSEWHERE,
    )


def _on_the_other_side(found: Sequence[Evidence], case: Case, near: Evidence) -> Evidence | None:
    if case.subject not in BUILTIN:
        return None
    asked = parameters(case.subject, case.model)
    mine = parameters(case.subject, near.series.model)
    if asked == mine:
        return None
    alike = replace(near.series, model=case.model)
    beyond = [
        one
        for one in found
        if one.here == near.here
        and replace(one.series, model=case.model) == alike
        and _differ_in_size_alone(one.series, near.series)
        and (parameters(case.subject, one.series.model) - asked) * (asked - mine) > 0
    ]
    return nearest(beyond, case)


def _differ_in_size_alone(one: Case, other: Case) -> bool:
    return one.model == replace(other.model, width=one.model.width, layers=one.model.layers)


def _ends(one: Interval) -> tuple[float, float | None, float | None]:
    return one.estimate, one.low, one.high


def _mixed(one: float | None, another: float | None, share: float) -> float | None:
    if one is None or another is None:
        return None
    return math.exp((1 - share) * math.log(one) + share * math.log(another))
