"""Two versions from stored runs: what can be set side by side, and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmn_bench.analysis.comparison import Comparison, Row
from lmn_bench.analysis.counted import counter_rows, nothing_of_base, outcome_row
from lmn_bench.analysis.gate import conclude, incomparable
from lmn_bench.analysis.leaning import judged_apart, middles
from lmn_bench.analysis.measured import Measured, costs, log_cost, measured_rows
from lmn_bench.analysis.options import UNTIMED, Options
from lmn_bench.analysis.paired import Rules
from lmn_bench.analysis.side import StoredSide, any_ok, unlike, values_of
from lmn_bench.analysis.unpaired import RUN_SPREAD, runs_differ
from lmn_bench.differences import measuring_differences, renamed_hosts
from lmn_bench.disturbance import ENOUGH, LOOP, SlowLoops, is_disturbed, slow_loops
from lmn_bench.metrics import METRICS, TIME_UNITS
from lmn_bench.schema import Case, Record
from lmn_bench.units import format_share

_APART = (
    "the sides were measured one after the other: what the machine did in between is part of the "
    f"difference (with fewer than three runs a side, {format_share(RUN_SPREAD)} between runs is "
    "put in for it); `lmn-bench ab` measures them in alternation"
)
# Cases that are named where several are left out.
_NAMED = 3


def compare(base: StoredSide, new: StoredSide, options: Options) -> Comparison:
    """The comparison of two stored sides.

    Runs measured one after the other differ by what happened to the machine in between; where its
    reference loop shows that, times are not judged.
    """
    apart = unlike(base, new)
    if apart and not options.across_machines:
        reasons = ["measured on unlike machines or software", *apart]
        return incomparable(base.name, new.name, reasons, options.rules)
    shared = [case for case in base.measured if case in new.measured]
    if not shared:
        return incomparable(base.name, new.name, [_nothing_shared(base, new)], options.rules)
    nothing = nothing_of_base([record for case in shared for record in base.records[case]])
    if nothing:
        return incomparable(base.name, new.name, [nothing], options.rules)
    metrics = () if options.across_machines else options.metrics
    rows: list[Row] = []
    measured: list[Measured] = []
    slow_machine = _machine_moved(base, new, shared, options.rules)
    slow = slow_loops(record for side in (base, new) for case in shared
                          for record in side.records[case])  # fmt: skip
    for case in shared:
        before, after = base.records[case], new.records[case]
        ending = outcome_row(case, before, after, same_machine=not apart)
        rows += [] if ending is None else [ending]
        if not (any_ok(before) and any_ok(after)):
            continue
        rows += counter_rows(case, before, after, options.allowed)
        for metric in metrics:
            one = _measured(case, metric, base, new, slow, slow_machine, options.rules)
            measured += [] if one is None else [one]
    rows += measured_rows(measured, options.rules)
    lacking = options.lacking(one.metric for one in measured) if metrics else []
    return conclude(
        base=base.name, new=new.name, rows=rows, rules=options.rules,
        lacking=[*_missing(base, new), *lacking],
        notes=_notes(base, new, apart, slow_machine, measured),
    )  # fmt: skip


def _measured(
    case: Case, metric: str, base: StoredSide, new: StoredSide, slow: SlowLoops,
    slow_machine: str, rules: Rules,
) -> Measured | None:  # fmt: skip
    """One metric of one case; None where the base hasn't got it."""
    timed = METRICS[metric].unit in TIME_UNITS
    sides, names = [], []
    for side in (base, new):
        kept = [
            [r for r in run.get(case, ()) if not (timed and is_disturbed(r, slow))]
            for run in side.per_run
        ]
        sides.append([values_of(records, metric) for records in kept])
        names.append(_names(side, kept, metric))
    before, after = (tuple(value for run in runs for value in run) for runs in sides)
    if not values_of(base.records[case], metric):
        return None
    reason = ""
    if case.mode == "decode" and len(base.decode_windows | new.decode_windows) > 1:
        reason = "decode was averaged over windows of different lengths"
    elif timed and slow_machine:
        reason = slow_machine
    elif timed and len({bool(values_of(side.records[case], LOOP)) for side in (base, new)}) > 1:
        reason = "one side lacks the reference loop that tells of a slow machine"
    elif not values_of(new.records[case], metric):
        reason = f"{new.name} has no {metric}"
    elif min(len(before), len(after)) < ENOUGH:
        quiet = " on a quiet machine" if timed else ""
        reason = (
            f"{len(before)} and {len(after)} processes{quiet}: {ENOUGH} on either side are needed"
        )
    elif any(value <= 0 or not math.isfinite(value) for value in (*before, *after)):
        reason = "a value is not above 0, or no finite number"
    elif any(runs_differ([log_cost(metric, run) for run in runs]) for runs in sides):
        reason = "runs of the same side differ from one another"
    if reason:
        return Measured(case, metric, before, after, None, reason)
    base_logs, new_logs = ([log_cost(metric, run) for run in runs if run] for runs in sides)
    judgement, reason = judged_apart(base_logs, new_logs, rules, metric, (names[0], names[1]))
    levels = costs(metric, np.array(middles(base_logs, new_logs)))
    return Measured(case, metric, before, after, judgement, reason, levels=(levels[0], levels[1]))


def _names(side: StoredSide, kept: Sequence[Sequence[Record]], metric: str) -> list[list[str]]:
    """Of every process whose value counts, by run, as far as runs have any."""
    several = len(side.runs) > 1
    named = [
        [
            f"process {record.replicate}" + (f" of {info.run_id}" if several else "")
            for record in records
            if values_of([record], metric)
        ]
        for (info, _), records in zip(side.runs, kept, strict=True)
    ]
    return [names for names in named if names]


def _machine_moved(base: StoredSide, new: StoredSide, cases: Sequence[Case], rules: Rules) -> str:
    """Whether the machine itself was faster on one side, by the margin or more; else empty."""
    ratios = []
    for case in cases:
        loops = [values_of(side.records[case], LOOP) for side in (base, new)]
        if all(loops):
            ratios.append(float(np.log(np.median(loops[1]) / np.median(loops[0]))))
    moved = float(np.median(ratios)) if ratios else 0.0
    if abs(moved) <= rules.log_margin:
        return ""
    how = "slower" if moved > 0 else "faster"
    return f"the machine itself was {format_share(abs(math.expm1(moved)))} {how} for NEW"


def _missing(base: StoredSide, new: StoredSide) -> list[str]:
    gone = [case for case in base.measured if case not in new.measured]
    if not gone:
        return []
    verb = "is" if len(gone) == 1 else "are"
    return [f"{_cases(gone)} of BASE {verb} not in NEW"]


def _notes(
    base: StoredSide, new: StoredSide, apart: Sequence[str], slow_machine: str,
    measured: Sequence[Measured],
) -> list[str]:  # fmt: skip
    notes = []
    if apart:
        notes.append(f"different machines: only counters gate ({'; '.join(apart)})")
    if slow_machine:
        notes.append(f"{slow_machine}: times are not judged; `lmn-bench ab` measures both sides "
                     "in alternation")  # fmt: skip
    elif measured:
        notes.append(_APART)
    elif not apart:
        notes.append(UNTIMED)
    renamed = renamed_hosts([*base.environments, *new.environments])
    if renamed:
        notes.append(renamed)
    ways = (info.suite.measuring for side in (base, new) for info, _ in side.runs)
    one, *others = ways
    told = dict.fromkeys(text for other in others for text in measuring_differences(one, other))
    if told:
        notes.append(f"not measured alike: {'; '.join(told)}")
    added = [case for case in new.measured if case not in base.measured]
    if added:
        notes.append(f"{_cases(added)} of NEW not in BASE")
    return notes


def _nothing_shared(base: StoredSide, new: StoredSide) -> str:
    if not base.measured or not new.measured:
        empty = [side for side, one in (("BASE", base), ("NEW", new)) if not one.measured]
        return f"nothing was measured in {' and '.join(empty)}"
    suites = [", ".join(dict.fromkeys(info.suite.name for info, _ in side.runs))
              for side in (base, new)]  # fmt: skip
    return (
        f"no case in common: BASE has {_cases(list(base.measured))} (suite {suites[0]}), "
        f"NEW {_cases(list(new.measured))} (suite {suites[1]})"
    )


def _cases(cases: Sequence[Case]) -> str:
    named = ", ".join(case.id for case in cases[:_NAMED])
    more = f" and {len(cases) - _NAMED} more" if len(cases) > _NAMED else ""
    return f"{len(cases)} case{'s' * (len(cases) != 1)} ({named}{more})"
