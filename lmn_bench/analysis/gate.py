"""From rows to the verdict on all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Gate, Row, Verdict
from lmn_bench.analysis.paired import ALARM, MISS, Rules
from lmn_bench.metrics import METRICS
from lmn_bench.units import format_change, format_share

# What noise may be taken for; what is shown to be the same, or not worse, stands.
_CHANGES = frozenset({Verdict.FASTER, Verdict.SLOWER, Verdict.LESS, Verdict.MORE})
_NOISY = "identical code differed too"
# Counts named where several grew.
_NAMED = 3


def conclude(
    *,
    base: str,
    new: str,
    rows: Sequence[Row],
    rules: Rules,
    lacking: Sequence[str] = (),
    null: Sequence[Row] = (),
    notes: Sequence[str] = (),
    side_by_side: bool = False,
) -> Comparison:
    """The verdict on all rows.

    Args:
        base: in words.
        new: in words.
        rows: of all cases.
        rules: by which measured rows were judged.
        lacking: what keeps the gate from passing beside the rows, as sentences.
        null: base against base; rows that don't pass are those where identical code differed.
        notes: what else a reader has to know, as sentences.
        side_by_side: measured in alternation.
    """
    fired = [row for row in null if not row.passes]
    if fired:
        # Counts and outcomes need no quiet machine; times do.
        rows = [_withdrawn(row) if is_measured(row) and row.verdict in _CHANGES else row
                for row in rows]  # fmt: skip
    red = [row for row in rows if row.regression]
    undecided = [row for row in rows if not row.passes and not row.regression]
    reasons = [*_null_sentences(fired), *_red_sentences(red, rules)]
    if red:
        verdict = Gate.REGRESSION
    elif fired or undecided or lacking:
        verdict = Gate.INCONCLUSIVE
    else:
        verdict = Gate.PASS
        reasons += _green_sentences(rows, rules)
    reasons += [*_grown_sentences(rows), *_undecided_sentences(undecided, rows, rules), *lacking]
    return Comparison(
        base, new, verdict, tuple(reasons), by_change(rows), rules.margin, tuple(null),
        (*notes, *_failed_sentences(rows)), side_by_side,
    )  # fmt: skip


def incomparable(
    base: str, new: str, reasons: Sequence[str], rules: Rules, notes: Sequence[str] = ()
) -> Comparison:
    """The comparison of what cannot be compared."""
    return Comparison(base, new, Gate.INCOMPARABLE, tuple(reasons), (), rules.margin, (),
                      tuple(notes))  # fmt: skip


def is_measured(row: Row) -> bool:
    """Whether a row's numbers vary from process to process."""
    return not row.exact and row.metric != OUTCOME


def _withdrawn(row: Row) -> Row:
    """A change that noise would have shown as well."""
    return replace(row, verdict=Verdict.CANNOT_TELL, regression=False, passes=False, reason=_NOISY)


def by_change(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Regressions first, then outcomes, then by the size of the change."""

    def size(row: Row) -> float:
        if row.ratio is None or row.ratio == 1:
            return 0.0
        return abs(math.log(row.ratio)) if 0 < row.ratio < math.inf else math.inf

    return tuple(
        sorted(rows, key=lambda r: (not r.regression, r.metric != OUTCOME, -size(r), r.case.id))
    )


def _null_sentences(fired: Sequence[Row]) -> list[str]:
    if not fired:
        return []
    ratios = [row.ratio for row in fired if row.ratio is not None]
    most = max((abs(ratio - 1) for ratio in ratios), default=0.0)
    return [
        f"base differed from itself, by up to {format_share(most)}, in "
        f"{_count(len(fired), 'comparison')}: on this machine, now, no measured change counts"
    ]


def _red_sentences(red: Sequence[Row], rules: Rules) -> list[str]:
    cases = len({row.case for row in red})
    ends = sum(row.metric == OUTCOME for row in red)
    exact = sum(row.exact for row in red)
    measured = len(red) - ends - exact
    parts = [
        f"{_count(ends, 'case')} no longer end{'s' * (ends == 1)} well" if ends else "",
        f"{_count(exact, 'count')} grew" if exact else "",
        f"{_count(measured, 'measured value')} worse by more than {format_share(rules.margin)} "
        f"(any false alarm: {format_share(ALARM)} at most)"
        if measured
        else "",
    ]
    told = [part for part in parts if part]
    return [f"{_count(cases, 'case')} regressed: {'; '.join(told)}"] if told else []


def _green_sentences(rows: Sequence[Row], rules: Rules) -> list[str]:
    measured = [row for row in rows if is_measured(row)]
    exact = [row for row in rows if row.exact]
    sentences = []
    if measured:
        sentences.append(
            f"none of {_count(len(measured), 'measured value')} is worse by "
            f"{format_share(rules.margin)} or more (one that is would pass in "
            f"{format_share(MISS)} of gates at most)"
        )
    if exact and not any(_grew(row) for row in exact):
        sentences.append(f"none of {_count(len(exact), 'exact count')} grew")
    return sentences


def _grew(row: Row) -> bool:
    return row.exact and row.verdict in {Verdict.MORE, Verdict.MORE_ALLOWED}


def _grown_sentences(rows: Sequence[Row]) -> list[str]:
    """What grew and makes nothing red: within an allowance, or where more is not worse."""
    total = _count(sum(row.exact for row in rows), "exact count")
    grew = [row for row in rows if _grew(row) and not row.regression]
    allowed = [row for row in grew if row.verdict is Verdict.MORE_ALLOWED]
    neutral = [row for row in grew if METRICS[row.metric].better == "neither"]
    told = {
        f"{len(allowed):,} of {total} grew, by no more than was allowed "
        f"({_most(allowed)})": allowed,
        f"{len(neutral):,} of {total} grew, where more is neither better nor worse "
        f"({_most(neutral)})": neutral,
    }
    return [sentence for sentence, holds in told.items() if holds]


def _most(grew: Sequence[Row]) -> str:
    """By how much each kind of count grew at most: FLOPs by up to 300 %."""
    most: dict[str, float] = {}
    for row in grew:
        most[row.metric] = max(row.ratio or 1.0, most.get(row.metric, 1.0))
    told = [
        f"{METRICS[key].title} by up to {format_change(ratio).lstrip('+')}"
        if math.isfinite(ratio)
        else f"{METRICS[key].title} from none"
        for key, ratio in sorted(most.items(), key=lambda item: -item[1])
    ]
    more = [f"{len(told) - _NAMED} more kinds"] if len(told) > _NAMED else []
    return ", ".join([*told[:_NAMED], *more])


def _failed_sentences(rows: Sequence[Row]) -> list[str]:
    """Cases of which nothing is compared, because they ended badly on both sides."""
    failed = [row for row in rows if row.metric == OUTCOME and row.verdict is Verdict.SAME]
    if not failed:
        return []
    ways = dict.fromkeys(row.base_outcome.value.replace("_", " ") for row in failed)
    return [
        f"{_count(len(failed), 'case')} ended badly on both sides alike ({', '.join(ways)}): "
        "nothing of what they do is compared"
    ]


def _undecided_sentences(undecided: Sequence[Row], rows: Sequence[Row], rules: Rules) -> list[str]:
    measured = [row for row in undecided if is_measured(row)]
    worse = [row for row in measured if row.verdict is not Verdict.CANNOT_TELL]
    others = len(undecided) - len(measured)
    total = _count(sum(is_measured(row) for row in rows), "measured value")
    margin = format_share(rules.margin)
    told = {
        f"{len(worse)} of {total} look worse by more than {margin}, not surely enough": worse,
        f"{len(measured) - len(worse)} of {total} cannot be told: neither worse by more than "
        f"{margin} nor shown not to be": len(measured) - len(worse),
        f"{_count(others, 'count or outcome', 'counts or outcomes')} cannot be compared": others,
    }
    return [sentence for sentence, holds in told.items() if holds]


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
