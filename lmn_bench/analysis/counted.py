"""What needs no statistics: counters, number by number, and how cases ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lmn_bench.analysis.comparison import OUTCOME, Row, Verdict
from lmn_bench.analysis.measured import better, worse
from lmn_bench.analysis.side import values_of
from lmn_bench.metrics import METRICS
from lmn_bench.schema import Case, Outcome, Record
from lmn_bench.units import format_change

# How a case ends without regard to how fast or large the machine is.
_OF_THE_CODE = frozenset({Outcome.ERROR, Outcome.INCORRECT})


def counter_rows(
    case: Case, base: Sequence[Record], new: Sequence[Record], allowed: Mapping[str, float]
) -> list[Row]:
    """A row for each counter that the base has; it gates, but where neither way is better.

    Args:
        case: what was counted.
        base: the case's records of one side.
        new: of the other.
        allowed: by how much a counter may grow (0.01: 1 %); none at all where it isn't named.
    """
    rows = []
    for key, metric in METRICS.items():
        before = values_of(base, key) if metric.exact else ()
        if before:
            after = values_of(new, key)
            rows.append(_counter_row(case, key, before, after, allowed.get(key, 0.0)))
    return rows


def _counter_row(
    case: Case, key: str, before: Sequence[float], after: Sequence[float], allowed: float
) -> Row:
    row = Row(case, key, Verdict.CANNOT_TELL, passes=False, exact=True, base=before[0],
              base_processes=len(before), new_processes=len(after), allowed=allowed)  # fmt: skip
    if not after:
        return replace(row, reason="no longer counted")
    old, now = before[0], after[0]
    row = replace(row, new=now)
    if len(set(before)) > 1 or len(set(after)) > 1:
        return replace(row, reason="differs between processes of one side")
    ratio = 1.0 if now == old else now / old if old else math.inf
    changed = worse(key) if now > old else better(key)
    verdict = Verdict.SAME if now == old else changed
    grew = now > old and METRICS[key].better == "lower"
    red = grew and now > old * (1 + allowed)
    reason = ""
    if grew and not red:
        verdict = Verdict.MORE_ALLOWED
        reason = f"{format_change(ratio)}, where {format_change(1 + allowed)} is allowed"
    return replace(row, verdict=verdict, regression=red, passes=not red, ratio=ratio, low=ratio,
                   high=ratio, reason=reason)  # fmt: skip


def outcome_row(
    case: Case, base: Sequence[Record], new: Sequence[Record], *, same_machine: bool = True
) -> Row | None:
    """How the case ended on both sides, if not well on one of them; None where all went well.

    Args:
        case: what was run.
        base: its records of one side, of which at least one was no skip.
        new: of the other.
        same_machine: another machine may well have less memory or be slower: then only errors and
            wrong outputs count.
    """
    before, after = _ending(base), _ending(new)
    if before.all_well and after.all_well:
        return None
    verdict, passes, regression = Verdict.SAME, True, False
    if before.all_well:
        failed = after.outcome
        certain = not after.any_well or failed in _OF_THE_CODE
        regression = certain and (same_machine or failed in _OF_THE_CODE)
        verdict = Verdict.BROKEN if certain else Verdict.CANNOT_TELL
        passes = certain and not regression
    elif before.any_well:
        # It fails now and then: nobody can tell whether more often than before.
        verdict, passes = Verdict.CANNOT_TELL, False
    elif after.any_well:
        verdict = Verdict.MENDED if after.all_well else Verdict.NOT_WORSE
    elif after.outcome is not before.outcome:
        # Neither ended well, though not alike.
        verdict = Verdict.NOT_WORSE
    return Row(
        case, OUTCOME, verdict, regression=regression, passes=passes,
        base_processes=before.tried, new_processes=after.tried,
        base_outcome=before.outcome, new_outcome=after.outcome, reason=after.words or before.words,
    )  # fmt: skip


def nothing_of_base(records: Sequence[Record]) -> str:
    """Why nothing can be compared, if no process of the base ended well; else empty."""
    if any(record.outcome is Outcome.OK for record in records):
        return ""
    first = next((record for record in records if record.reason), None)
    why = f": {first.case_id}: {first.reason}" if first is not None else ""
    return f"nothing of the base could be measured{why}"


@dataclass(frozen=True)
class _Ending:
    """How the processes of one side ended: how many were tried, whether any and all went well."""

    tried: int
    any_well: bool
    all_well: bool
    outcome: Outcome
    words: str


def _ending(records: Sequence[Record]) -> _Ending:
    tried = [record for record in records if record.outcome is not Outcome.SKIPPED]
    failed = [record for record in tried if record.outcome is not Outcome.OK]
    if not failed:
        return _Ending(len(tried), bool(tried), True, Outcome.OK, "")
    any_well = len(failed) < len(tried)
    share = f"{len(failed)} of {len(tried)} processes: " if any_well else ""
    words = f"{share}{failed[0].reason or failed[0].outcome.value}"
    return _Ending(len(tried), any_well, False, failed[0].outcome, words)
