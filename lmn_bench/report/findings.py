"""What analysis finds in a run, computed once however often a report asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmn_bench.analysis.growth import Growth, growth
from lmn_bench.analysis.results import ResultSet, Series
from lmn_bench.analysis.sample import Sample
from lmn_bench.analysis.scaling import Scaling, scaling, series_sample
from lmn_bench.report.standings import Versus, reference_of, rivals, versus
from lmn_bench.schema import Case

_LATENCY = "latency_s"


@dataclass(frozen=True)
class Findings:
    """Growth and laws of every series of a run.

    Attributes:
        results: the cases.
        asked: the subject that the suite or the user wants the others compared with.
    """

    results: ResultSet
    asked: str | None = None
    _standings: dict[Case, tuple[Versus, ...]] = field(default_factory=dict)
    _scalings: dict[tuple[Case, str], Scaling | None] = field(default_factory=dict)

    def series(self, setting: Case, subject: str) -> Series:
        """The results of one subject in one setting by rising length."""
        return self.results.series(setting, subject)

    def reference(self, setting: Case) -> str:
        """The subject that the others of a setting are compared with."""
        return reference_of(self.results, setting, self.asked)

    def told_alone(self, setting: Case) -> list[str]:
        """The reference, and the rivals that have sentences of their own."""
        reference = self.reference(setting)
        others = rivals(reference, self.results.subjects(setting))
        return [reference, *(name for name, alone in others if alone)]

    def standings(self, setting: Case) -> tuple[Versus, ...]:
        """How the reference stands in time against every other subject of a setting.

        The one place where two models' times are compared: sentences, tables and JSON ask here.
        """
        if setting not in self._standings:
            reference = self.reference(setting)
            self._standings[setting] = versus(self.results, setting, reference, _LATENCY)
        return self._standings[setting]

    def growth(self, setting: Case, subject: str) -> Growth | None:
        """How the time grows; None with fewer than two lengths, or where it was disturbed."""
        sample = self._sample(setting, subject)
        return None if sample is None else growth(sample)

    def scaling(self, setting: Case, subject: str) -> Scaling | None:
        """Which laws the times allow, without advice; None with fewer than three lengths."""
        key = (setting, subject)
        if key not in self._scalings:
            sample = self._sample(setting, subject)
            self._scalings[key] = None if sample is None else scaling(sample, advice=False)
        return self._scalings[key]

    def _sample(self, setting: Case, subject: str) -> Sample | None:
        # Neither growth nor a law is to be said of times that the machine disturbed.
        if self.results.disturbed(setting) is not None:
            return None
        return series_sample(self.series(setting, subject), _LATENCY)
