"""Where the numbers of a chart come from: one setting of one run, or of several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmn_bench.analysis.results import CaseResult
from lmn_bench.metrics import METRICS
from lmn_bench.report.chart import Point, Series, Stop
from lmn_bench.report.findings import Findings
from lmn_bench.schema import Case, Ceiling, Outcome
from lmn_bench.units import format_value

_WORDS = {
    Outcome.OUT_OF_MEMORY: "out of memory",
    Outcome.INCORRECT: "wrong output",
}


@dataclass(frozen=True)
class Source:
    """One setting of one run.

    Attributes:
        findings: of the run.
        setting: device, sizes and so on.
        ceiling: of the run's machine in this setting, where it was measured.
        label: names the run where there are several; else empty.
        run: its place among them.
        places: every subject of the report, each with its own colour and shape.
    """

    findings: Findings
    setting: Case
    ceiling: Ceiling | None
    label: str
    run: int
    places: tuple[str, ...]

    @property
    def subjects(self) -> list[str]:
        """The subjects of this setting."""
        return self.findings.results.subjects(self.setting)

    def name(self, subject: str) -> str:
        """A subject of this run, distinct from the same subject of another."""
        return f"{subject} · {self.label}" if self.label else subject

    def cases(self) -> Iterator[tuple[str, CaseResult]]:
        """Every case with its series' name, by subject and rising length."""
        for subject in self.subjects:
            for result in self.findings.series(self.setting, subject).values():
                yield self.name(subject), result


def series_of(sources: Sequence[Source]) -> tuple[Series, ...]:
    """The series that charts of these sources may show."""
    return tuple(
        Series(source.name(subject), source.places.index(subject), source.run)
        for source in sources
        for subject in source.subjects
    )


def points_of(sources: Sequence[Source], metric: str) -> tuple[Point, ...]:
    """Medians of one metric that can stand on a logarithmic axis."""
    found = (point(name, result, metric) for source in sources for name, result in source.cases())
    return tuple(one for one in found if one is not None)


def point(name: str, result: CaseResult, metric: str) -> Point | None:
    """One median with its interval; None without a finite value above 0."""
    estimate = result.estimate(metric)
    if estimate is None or not math.isfinite(estimate.value) or estimate.value <= 0:
        return None
    unit = METRICS[metric].unit
    if estimate.confidence == 1.0:
        return Point(name, result.case.length, estimate.value, hint="exact")
    processes = f"{estimate.count} process{'es' * (estimate.count != 1)}"
    if estimate.confidence == 0.0:
        return Point(name, result.case.length, estimate.value, hint=f"none: {processes}")
    ends = f"{format_value(estimate.low, unit)} to {format_value(estimate.high, unit)}"
    hint = f"{ends} ({estimate.confidence:.0%}, {processes})"
    return Point(name, result.case.length, estimate.value, estimate.low, estimate.high, hint)


def stops_of(sources: Sequence[Source]) -> tuple[Stop, ...]:
    """Cases that did not finish, those that were not even tried included."""
    return tuple(
        stop(name, result)
        for source in sources
        for name, result in source.cases()
        if result.outcome is not Outcome.OK
    )


def stop(name: str, result: CaseResult) -> Stop:
    """How one case ended."""
    outcome = result.outcome
    word = _WORDS.get(outcome, outcome.value)
    tried = outcome is not Outcome.SKIPPED
    return Stop(name, result.case.length, word, result.reason or "", tried)
