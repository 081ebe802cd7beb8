"""Records put in order: one value per process, summed up per case and metric."""

from __future__ import annotations

import math
import statistics
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from lmn_bench.analysis.disturbed import Disturbance, disturbances
from lmn_bench.analysis.stats import Estimate, median_estimate
from lmn_bench.disturbance import ENOUGH, SlowLoops, is_disturbed, slow_loops
from lmn_bench.metrics import METRICS, TIME_UNITS
from lmn_bench.schema import Case, Outcome, Record, SeriesLimit

# What is said of a case that ended well under its memory cap.
FITS = "fits"
# What is said of values that are NaN or infinite.
UNUSABLE = "is no finite number"
_CAP_FLOOR = "cap_floor_bytes"


@dataclass(frozen=True)
class CapResult:
    """How a case fared under its memory cap.

    Attributes:
        budget_bytes: what it was allowed on top of what its process held.
        mechanism: what enforced that (see `Record.cap_mechanism`); None where no record tells.
        floor_bytes: what its processes held when the cap was set, the median; None likewise.
        verdict: "fits", or how it ended: "out_of_memory", "killed", …
    """

    budget_bytes: int
    mechanism: str | None
    floor_bytes: float | None
    verdict: str


@dataclass(frozen=True)
class CaseResult:
    """All replicates of one case.

    Attributes:
        case: the case.
        outcome: `ok` if any process was; otherwise the first thing that went wrong.
        reason: why it wasn't ok, or which of its processes or values weren't.
        values: metric -> one value per ok process, in order of replicates; all finite.
        cap: how it fared under its memory cap; None without one.
        ends: how many of its processes ended in which way, in order of their first; those that
            were never started are `skipped`.
        limit: where its series had ended, if it was skipped for that.
        disturbed: why nothing is to be said of its times; None where nothing speaks against it.
    """

    case: Case
    outcome: Outcome
    reason: str | None
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cap: CapResult | None = None
    ends: Mapping[Outcome, int] = field(default_factory=dict)
    limit: SeriesLimit | None = None
    disturbed: Disturbance | None = None

    def estimate(self, metric: str) -> Estimate | None:
        """Median over processes with its interval; a count that is exact has no interval."""
        values = self.values.get(metric)
        if not values:
            return None
        if METRICS[metric].exact and len(set(values)) == 1:
            return Estimate(values[0], values[0], values[0], len(values), 1.0)
        return median_estimate(values)

    @property
    def salt(self) -> int:
        """A stable number of this case, for its own bootstrap stream."""
        return zlib.crc32(self.case.id.encode(errors="surrogatepass"))


Series = dict[int, CaseResult]


@dataclass(frozen=True)
class ResultSet:
    """The cases of a run, each once, with the ways to group them."""

    cases: tuple[CaseResult, ...]

    def settings(self) -> list[Case]:
        """The distinct settings (device, mode, cap, sizes …) in order of appearance."""
        return list(self._of_setting)

    def disturbed(self, setting: Case) -> Disturbance | None:
        """Why nothing is to be said of the times of a setting, or None."""
        found = (result.disturbed for result in self._of_setting.get(setting, []))
        return next((one for one in found if one is not None), None)

    def subjects(self, setting: Case | None = None) -> list[str]:
        """Subjects in order of appearance, of one setting or of all."""
        chosen = self.cases if setting is None else self._of_setting.get(setting, [])
        return list(dict.fromkeys(result.case.subject for result in chosen))

    def series(self, setting: Case, subject: str) -> Series:
        """The results of one subject in one setting by rising length."""
        found = {
            result.case.length: result
            for result in self._of_setting.get(setting, [])
            if result.case.subject == subject
        }
        return dict(sorted(found.items()))

    def lengths(self, setting: Case) -> list[int]:
        """All lengths of a setting, rising."""
        return sorted({result.case.length for result in self._of_setting.get(setting, [])})

    @cached_property
    def _of_setting(self) -> Mapping[Case, Sequence[CaseResult]]:
        """The cases of every setting, put in order once: reports ask for them many times."""
        found: dict[Case, list[CaseResult]] = {}
        for result in self.cases:
            found.setdefault(result.case.setting, []).append(result)
        return found


def result_set(records: Iterable[Record], order: Sequence[Case] = ()) -> ResultSet:
    """Sum up records per case; `order` says in which order cases appear (default: as recorded)."""
    grouped: dict[Case, list[Record]] = {case: [] for case in order}
    records = list(records)
    slow = slow_loops(records)
    for record in records:
        grouped.setdefault(record.case, []).append(record)
    quiet = quiet_settings(records)
    results = [
        _case_result(case, found, slow if case.setting in quiet else None)
        for case, found in grouped.items()
        if found
    ]
    counted = {result.case: result.values.get("latency_s", ()) for result in results}
    found = disturbances(records, counted)
    return ResultSet(
        tuple(replace(result, disturbed=found.get(result.case.setting)) for result in results)
    )


def quiet_settings(records: Iterable[Record]) -> frozenset[Case]:
    """Settings in which every case has `ENOUGH` undisturbed processes.

    Only there are the disturbed ones left out: leaving them out of some cases and not of others
    would set numbers of a quiet machine beside numbers of a slow one.
    """
    records = list(records)
    slow = slow_loops(records)
    quiet: dict[Case, int] = {}
    for record in records:
        if record.outcome is Outcome.OK:
            quiet[record.case] = quiet.get(record.case, 0) + (not is_disturbed(record, slow))
    lacking = {case.setting for case, count in quiet.items() if count < ENOUGH}
    return frozenset(case.setting for case in quiet) - lacking


def _case_result(case: Case, records: Sequence[Record], slow: SlowLoops | None) -> CaseResult:
    ordered = sorted(records, key=lambda record: record.replicate)
    ends = Counter(record.outcome for record in ordered)
    good = [record for record in ordered if record.outcome is Outcome.OK]
    if not good:
        # A later replicate may be skipped because of what the first one ran into.
        worst = next((r for r in ordered if r.outcome is not Outcome.SKIPPED), ordered[0])
        cap = _cap_result(case, ordered, worst.outcome)
        limit = next((r.limit for r in ordered if r.limit is not None), None)
        return CaseResult(case, worst.outcome, worst.reason, cap=cap, ends=ends, limit=limit)
    failed = next((record for record in ordered if record.outcome is not Outcome.OK), None)
    values: dict[str, list[float]] = {}
    unusable: dict[str, int] = {}
    for record in good:
        timed = slow is None or not is_disturbed(record, slow)
        for key, value in record.metrics.items():
            if key in METRICS and not math.isfinite(value):
                unusable[key] = unusable.get(key, 0) + 1
            elif key in METRICS and (METRICS[key].unit not in TIME_UNITS or timed):
                values.setdefault(key, []).append(float(value))
    reasons = []
    if failed is not None:
        reasons.append(f"{len(good)} of {len(ordered)} processes ok: {failed.reason}")
    reasons += [
        f"{METRICS[key].title} {UNUSABLE} in {count} of {len(good)} processes"
        for key, count in unusable.items()
    ]
    kept = {k: tuple(v) for k, v in values.items()}
    cap = _cap_result(case, ordered, Outcome.OK)
    return CaseResult(case, Outcome.OK, "; ".join(reasons) or None, kept, cap, ends)


def _cap_result(case: Case, records: Sequence[Record], outcome: Outcome) -> CapResult | None:
    if case.memory_cap_bytes is None:
        return None
    # Those that were skipped came to no cap.
    mechanism = next((r.cap_mechanism for r in records if r.cap_mechanism is not None), None)
    floors = [r.metrics[_CAP_FLOOR] for r in records if _CAP_FLOOR in r.metrics]
    return CapResult(
        case.memory_cap_bytes,
        mechanism,
        statistics.median(floors) if floors else None,
        FITS if outcome is Outcome.OK else outcome.value,
    )
