"""Two versions measured in alternation: which cases need more blocks, and what all of them say.

Everything is read off the records of the three arms base, null and new: a block's two processes of
an arm are its replicates 2 b and 2 b + 1, and blocks from number `Rules.screen_attempts` on came
after the screening. So a stored gate can be judged again, by other rules too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lmn_bench.analysis.comparison import Comparison, Row
from lmn_bench.analysis.counted import counter_rows, nothing_of_base, outcome_row
from lmn_bench.analysis.gate import conclude, incomparable
from lmn_bench.analysis.measured import (
    Measured,
    costs,
    is_below_resolution,
    log_cost,
    measured_rows,
)
from lmn_bench.analysis.options import UNTIMED, Options
from lmn_bench.analysis.paired import (
    SUSPICION,
    Judgement,
    Rules,
    block_minima,
    confirmed,
    described,
    is_settled,
    null_fires,
    pairs,
    screened,
)
from lmn_bench.analysis.side import StoredSide, any_ok, values_of
from lmn_bench.analysis.signed_rank import Floats
from lmn_bench.disturbance import is_steady
from lmn_bench.metrics import METRICS
from lmn_bench.schema import Case, Outcome, Record
from lmn_bench.units import format_change, format_value

_TOO_SHORT = "time was up before it was measured often enough"
_OPEN = "more blocks would tell"
_IGNORED = (
    "the base is a clean checkout: what git ignores, submodules and builds are not in it; name a "
    "folder that has them with --base"
)
_NO_BLOCK = "no block was measured whole: a process of it failed"
# Of a whole block.
_PROCESSES = 6
_UNSTEADY = "the machine changed its speed during every block"


@dataclass(frozen=True)
class Arms:
    """The records of a gate so far."""

    base: StoredSide
    null: StoredSide
    new: StoredSide

    @property
    def all(self) -> tuple[StoredSide, StoredSide, StoredSide]:
        """In the order base, null, new."""
        return self.base, self.null, self.new

    @cached_property
    def cases(self) -> list[Case]:
        """Every case that was tried on both sides."""
        return [case for case in self.base.measured if case in self.new.measured]


@dataclass(frozen=True)
class Logs:
    """Logarithms of costs in whole blocks, (blocks, 2) for each arm."""

    base: Floats
    null: Floats
    new: Floats


@dataclass(frozen=True)
class Trial:
    """One measured metric of one case, block by block.

    Attributes:
        screen: logarithms of costs in the blocks of the screening.
        fresh: those measured after it.
    """

    case: Case
    metric: str
    screen: Logs
    fresh: Logs
    options: Options

    @cached_property
    def screened(self) -> Judgement:
        """What the screening says."""
        return screened(self.screen.new, self.screen.base, self.options.rules)

    @property
    def can_alarm(self) -> bool:
        """Whether the screening points to enough for the fresh data to make it red."""
        return self.screened.middle > SUSPICION * self.options.rules.log_margin

    @property
    def confirming(self) -> Floats:
        """What decides on a suspect: a difference for each fresh block."""
        return block_minima(self.fresh.new, self.fresh.base)

    def measured(
        self, logs: Logs, judgement: Judgement, reason: str = "", *, can_alarm: bool = False
    ) -> Measured:
        """What these blocks of it say, new against base."""
        base, new = costs(self.metric, logs.base), costs(self.metric, logs.new)
        # Processes side by side tell the change, whatever the machine did from block to block; so
        # what is shown is the level of a usual block, half the change below and above it.
        level = float(np.median((logs.base.mean(axis=1) + logs.new.mean(axis=1)) / 2))
        half = judgement.middle / 2
        levels = costs(self.metric, np.array([level - half, level + half]))
        return Measured(self.case, self.metric, base, new, judgement, reason, can_alarm,
                        (levels[0], levels[1]))  # fmt: skip


def trials(arms: Arms, options: Options) -> list[Trial]:
    """All that can be judged: the metrics of cases that all arms have whole blocks of."""
    found = []
    end = options.rules.screen_attempts
    for case in arms.cases:
        steady = [number for number, steady in blocks_of(case, arms).items() if steady]
        for metric in options.metrics:
            blocks = _logs(case, metric, arms, steady)
            early = [logs for number, logs in blocks.items() if number < end]
            late = [logs for number, logs in blocks.items() if number >= end]
            base = values_of(arms.base.records[case], metric)
            new = values_of(arms.new.records[case], metric)
            if early and not is_below_resolution(metric, base, new):
                found.append(Trial(case, metric, _stacked(early), _stacked(late), options))
    return found


def blocks_of(case: Case, arms: Arms) -> dict[int, bool]:
    """Whether the machine kept its speed, by number of block; but for blocks that failed.

    A block that it did not keep it through was not measured to its end.
    """
    found: dict[int, list[Record]] = {}
    for side in arms.all:
        for record in side.records.get(case, ()):
            found.setdefault(record.replicate // 2, []).append(record)
    return {
        number: len(records) == _PROCESSES and is_steady(records)
        for number, records in sorted(found.items())
        if all(record.outcome is Outcome.OK for record in records)
    }


def counted_blocks(case: Case, arms: Arms, rules: Rules) -> tuple[int, int]:
    """Blocks that count: of the screening, and after it."""
    steady = [number for number, steady in blocks_of(case, arms).items() if steady]
    early = sum(number < rules.screen_attempts for number in steady)
    return early, len(steady) - early


def unsteady_blocks(arms: Arms) -> tuple[int, int]:
    """Blocks during which the machine changed its speed, and all blocks."""
    kept = [steady for case in arms.cases for steady in blocks_of(case, arms).values()]
    return kept.count(False), len(kept)


def _logs(
    case: Case, metric: str, arms: Arms, numbers: Sequence[int]
) -> dict[int, list[list[float]]]:
    """Logarithms of costs of base, null and new, by number of block, where none is missing."""
    values = [
        {
            record.replicate: float(record.metrics[metric])
            for record in side.records.get(case, ())
            if record.outcome is Outcome.OK and record.metrics.get(metric, 0) > 0
        }
        for side in arms.all
    ]
    blocks = {}
    for number in numbers:
        pair = (2 * number, 2 * number + 1)
        if all(replicate in of_arm for of_arm in values for replicate in pair):
            blocks[number] = [log_cost(metric, [arm[r] for r in pair]) for arm in values]
    return blocks


def _stacked(blocks: Sequence[list[list[float]]]) -> Logs:
    stacked = np.array(blocks).reshape(len(blocks), 3, 2)
    return Logs(*(stacked[:, arm] for arm in range(3)))


def suspects(arms: Arms, options: Options) -> list[Case]:
    """Cases that did not pass the screening, the most suspicious first."""
    found: dict[Case, float] = {}
    for trial in trials(arms, options):
        if not trial.screened.passes:
            found[trial.case] = max(trial.screened.middle, found.get(trial.case, -math.inf))
    return sorted(found, key=lambda case: -found[case])


def unsettled(arms: Arms, options: Options) -> list[Case]:
    """Suspects that more blocks would tell more about, the most suspicious first."""
    suspected = [trial for trial in trials(arms, options) if not trial.screened.passes]
    family = sum(trial.can_alarm for trial in suspected)
    still = {
        trial.case
        for trial in suspected
        if not is_settled(trial.confirming, options.rules, family, can_alarm=trial.can_alarm)
    }
    return [case for case in suspects(arms, options) if case in still]


def judge(arms: Arms, options: Options, notes: Sequence[str] = ()) -> Comparison:
    """The comparison, as far as it has been measured."""
    records = [record for case in arms.cases for record in arms.base.records[case]]
    nothing = nothing_of_base(records)
    if nothing:
        reasons = [nothing, _IGNORED]
        return incomparable(arms.base.name, arms.new.name, reasons, options.rules, notes)
    found = trials(arms, options)
    others = _without_trial(found, arms, options)
    there = [*(trial.metric for trial in found), *(one.metric for one in others)]
    rows: list[Row] = []
    for case in arms.cases:
        before, after = arms.base.records[case], arms.new.records[case]
        ending = outcome_row(case, before, after)
        rows += [] if ending is None else [ending]
        if any_ok(before) and any_ok(after):
            rows += counter_rows(case, before, after, options.allowed)
    rows += measured_rows([measured(trial) for trial in found], options.rules)
    rows += measured_rows(others, options.rules)
    return conclude(
        base=arms.base.name, new=arms.new.name, rows=rows, rules=options.rules,
        lacking=[*_lacking(arms), *options.lacking(there)],
        null=null_rows(found, options.rules),
        notes=(*notes, *unlike_medians(rows), *([] if found or others else [UNTIMED])),
        side_by_side=True,
    )  # fmt: skip


def measured(trial: Trial) -> Measured:
    """What is known of a trial: after the screening, or from fresh data if it was suspected."""
    if trial.screened.passes:
        return trial.measured(trial.screen, trial.screened)
    judgement = confirmed(trial.confirming, trial.options.rules)
    if judgement is None:
        return trial.measured(trial.screen, trial.screened, _TOO_SHORT)
    return trial.measured(trial.fresh, judgement, _OPEN, can_alarm=trial.can_alarm)


def unlike_medians(rows: Sequence[Row]) -> list[str]:
    """Where medians over all processes say other than processes side by side, as a sentence."""
    apart: list[tuple[float, Row]] = []
    for row in rows:
        if row.low is None or row.high is None or not row.base_median or not row.new_median:
            continue
        ratio = row.new_median / row.base_median
        if not row.low <= ratio <= row.high:
            apart.append((ratio, row))
    if not apart:
        return []
    ratio, most = max(apart, key=lambda one: abs(math.log(one[0] / (one[1].ratio or 1))))
    unit = METRICS[most.metric].unit
    medians = [format_value(value, unit) for value in (most.base_median, most.new_median)]
    return [
        f"in {len(apart)} row{'s' * (len(apart) != 1)} the medians over all processes are apart "
        f"otherwise than processes side by side (most: {most.case.id}, {METRICS[most.metric].title}"
        f", {medians[0]} and {medians[1]}, {format_change(ratio)} against "
        f"{format_change(most.ratio or 1)}): the machine's speed changed from block to block; "
        "the change told is the one side by side"
    ]


def null_rows(found: Sequence[Trial], rules: Rules) -> list[Row]:
    """Base against base in every trial; those that fire don't pass.

    Each is told by the data that its verdict rests on: the screening's are tested as one family,
    the fresh data of the suspects as another.
    """
    suspected = sum(not trial.screened.passes for trial in found)
    fired, nulls = [], []
    for trial in found:
        logs, apart = trial.screen, pairs(trial.screen.null, trial.screen.base)
        fires = null_fires(apart, rules, len(found))
        if trial.fresh.base.size and not trial.screened.passes:
            logs, apart = trial.fresh, block_minima(trial.fresh.null, trial.fresh.base)
            fires = null_fires(apart, rules, suspected)
        fired.append(fires)
        nulls.append(trial.measured(replace(logs, new=logs.null), described(apart, rules)))
    return [
        replace(row, passes=not fires, reason="identical code differed" if fires else "")
        for row, fires in zip(measured_rows(nulls, rules), fired, strict=True)
    ]


def _without_trial(found: Sequence[Trial], arms: Arms, options: Options) -> list[Measured]:
    """Values that could not be judged: no whole block of them, or a difference below resolution."""
    judged = {(trial.case, trial.metric) for trial in found}
    others = []
    for case in arms.cases:
        for metric in options.metrics:
            base = values_of(arms.base.records[case], metric)
            new = values_of(arms.new.records[case], metric)
            if (case, metric) not in judged and base and any_ok(arms.new.records[case]):
                reason = _UNSTEADY if blocks_of(case, arms) else _NO_BLOCK
                others.append(Measured(case, metric, base, new, None, reason))
    return others


def _lacking(arms: Arms) -> list[str]:
    gone = [case for case in arms.base.measured if case not in arms.new.measured]
    if not gone:
        return []
    return [f"{len(gone)} case{'s' * (len(gone) != 1)} of the base could not be measured in new"]
