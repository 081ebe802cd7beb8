"""Why a comparison ends as it does, in the sentences of `sayings`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lmn_bench.analysis.comparison import OUTCOME, Row, Verdict
from lmn_bench.analysis.measured import MEMORY_RESOLUTION_BYTES
from lmn_bench.analysis.paired import ALARM, MISS, Rules
from lmn_bench.analysis.sayings import Red, Saying
from lmn_bench.metrics import METRICS
from lmn_bench.units import format_bytes, format_change, format_share

# Kinds of counts named where several grew.
_NAMED = 3


def is_measured(row: Row) -> bool:
    """Whether a row's numbers vary from process to process."""
    return not row.exact and row.metric != OUTCOME


def null_sentences(fired: Sequence[Row]) -> Iterator[str]:
    """That identical code differed."""
    if fired:
        ratios = [row.ratio for row in fired if row.ratio is not None]
        most = max((abs(ratio - 1) for ratio in ratios), default=0.0)
        told = _count(len(fired), "comparison")
        yield Saying.NULL_DIFFERED(most=format_share(most), comparisons=told)


def red_sentences(red: Sequence[Row], rules: Rules) -> Iterator[str]:
    """What regressed."""
    ends = sum(row.metric == OUTCOME for row in red)
    exact = sum(row.exact for row in red)
    measured = len(red) - ends - exact
    told = []
    if ends:
        told.append(Red.ENDED_BADLY(some=_count(ends, "case")))
    if exact:
        told.append(Red.GREW(some=_count(exact, "count")))
    if measured:
        some, margin = _count(measured, "measured value"), format_share(rules.margin)
        told.append(Red.WORSE(some=some, margin=margin, alarm=format_share(ALARM)))
    if told:
        cases = len({row.case for row in red})
        yield Saying.REGRESSED(cases=_count(cases, "case"), what="; ".join(told))


def green_sentences(rows: Sequence[Row], rules: Rules) -> Iterator[str]:
    """What was shown, where all of it passes."""
    judged = [row for row in rows if is_measured(row) and not _too_small(row)]
    exact = [row for row in rows if row.exact]
    if judged:
        values, margin = _count(len(judged), "measured value"), format_share(rules.margin)
        yield Saying.NONE_WORSE(values=values, margin=margin, miss=format_share(MISS))
    if exact and not any(_grew(row) for row in exact):
        yield Saying.NO_COUNT_GREW(counts=_count(len(exact), "exact count"))


def other_sentences(rows: Sequence[Row]) -> Iterator[str]:
    """What changed and decides nothing: too small to measure, allowed, neither better nor worse."""
    small = sum(_too_small(row) for row in rows)
    if small:
        yield Saying.TOO_SMALL(some=f"{small:,}", values=_values(rows),
                               resolution=format_bytes(MEMORY_RESOLUTION_BYTES))  # fmt: skip
    total = _count(sum(row.exact for row in rows), "exact count")
    grew = [row for row in rows if _grew(row) and not row.regression]
    for saying, of in (
        (Saying.GREW_ALLOWED, [r for r in grew if r.verdict is Verdict.MORE_ALLOWED]),
        (Saying.GREW_NEUTRAL, [r for r in grew if METRICS[r.metric].better == "neither"]),
    ):
        if of:
            yield saying(some=f"{len(of):,}", counts=total, most=_most(of))


def failed_sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Cases of which nothing is compared, because they ended badly on both sides."""
    failed = [row for row in rows if row.metric == OUTCOME and row.verdict is Verdict.SAME]
    if failed:
        ways = dict.fromkeys(row.base_outcome.value.replace("_", " ") for row in failed)
        yield Saying.FAILED_ALIKE(cases=_count(len(failed), "case"), ways=", ".join(ways))


def undecided_sentences(rows: Sequence[Row], rules: Rules) -> Iterator[str]:
    """What is neither red nor passes."""
    undecided = [row for row in rows if not row.passes and not row.regression]
    measured = [row for row in undecided if is_measured(row)]
    unclear = sum(row.verdict is Verdict.CANNOT_TELL for row in measured)
    others = len(undecided) - len(measured)
    words = {"values": _values(rows), "margin": format_share(rules.margin)}
    if len(measured) > unclear:
        yield Saying.MAY_BE_WORSE(**words, some=f"{len(measured) - unclear:,}")
    if unclear:
        yield Saying.CANNOT_TELL(**words, some=f"{unclear:,}")
    if others:
        told = _count(others, "count or outcome", "counts or outcomes")
        yield Saying.NOT_COMPARED(some=told)


def _too_small(row: Row) -> bool:
    """Of what is the same, only what is below resolution has a reason to be."""
    return is_measured(row) and row.verdict is Verdict.SAME and bool(row.reason)


def _grew(row: Row) -> bool:
    return row.exact and row.verdict in {Verdict.MORE, Verdict.MORE_ALLOWED}


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


def _values(rows: Sequence[Row]) -> str:
    return _count(sum(is_measured(row) for row in rows), "measured value")


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
