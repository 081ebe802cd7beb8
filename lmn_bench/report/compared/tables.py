"""The tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.analysis.comparison import OUTCOME, Row, Verdict
from lmn_bench.report.compared.names import CaseNames
from lmn_bench.report.compared.words import (
    NOTHING,
    change_words,
    exact_words,
    interval_words,
    metric_title,
    outcome_words,
    value_words,
    verdict_words,
)
from lmn_bench.report.document import Table
from lmn_bench.units import format_change

_MEDIANS = "base, new: medians over processes; change: their ratio."
_SIDE_BY_SIDE = (
    "change: of processes side by side; base, new: the level of all blocks, less and more half the "
    "change."
)
_LEGEND = (
    "Intervals hold 95 % or more. ✗ regression, ! worse but not gated, ≠ changed, ? cannot tell, "
    "≤ not worse by the margin, ✓ better, = same: the interval is within the margin."
)


def measured_table(
    rows: Sequence[Row], names: CaseNames, base: str, *, side_by_side: bool = False
) -> Table:
    """Measured rows in the order given; the metric has a column where there are several.

    Args:
        rows: at least one.
        names: of their cases.
        base: what they are set against; a table with it comes with a legend.
        side_by_side: whether changes come from processes side by side.
    """
    titled, several = _with_metric(rows)
    place = 1 + several
    cells = []
    for row in rows:
        if row.exact or row.metric == OUTCOME:
            values = (*_any_values(row), NOTHING, NOTHING)
        else:
            values = (value_words(row.base, row.metric), value_words(row.new, row.metric),
                      change_words(row), interval_words(row))  # fmt: skip
        cells.append((names[row.case], *_metric(row, several), *values, verdict_words(row)))
    return Table(
        f"{titled}, against {base}" if base else titled,
        ("case", *["metric"] * several, "base", "new", "change", "95 % interval", "verdict"),
        tuple(cells),
        f"{_SIDE_BY_SIDE if side_by_side else _MEDIANS} {_LEGEND}" if base else "",
        words=(*range(1, place), place + 4),
        whole=True,
    )


def counters_table(rows: Sequence[Row], names: CaseNames) -> Table:
    """Counters that differ, with their difference."""
    titled, several = _with_metric(rows)
    cells = tuple(
        (names[row.case], *_metric(row, several), *exact_words(row), verdict_words(row))
        for row in rows
    )
    allowed = dict.fromkeys(
        f"Allowed: {metric_title(row.metric)} {format_change(1 + row.allowed)}."
        for row in rows
        if row.verdict is Verdict.MORE_ALLOWED
    )
    return Table(
        titled,
        ("case", *["metric"] * several, "base", "new", "difference", "verdict"),
        cells,
        " ".join(["Counted, not measured: every difference is one.", *allowed]),
        words=(*range(1, 1 + several), 4 + several),
        whole=True,
    )


def outcomes_table(rows: Sequence[Row], names: CaseNames) -> Table:
    """Cases that ended well on one side only."""
    cells = tuple(
        (names[row.case], outcome_words(row.base_outcome), outcome_words(row.new_outcome),
         verdict_words(row), row.reason or NOTHING)
        for row in rows
    )  # fmt: skip
    return Table("", ("case", "base", "new", "verdict", "reason"), cells, wraps=True)


def reasons_table(rows: Sequence[Row], names: CaseNames) -> Table:
    """Why rows cannot be told, each reason once."""
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        reasons.setdefault(row.reason, []).append(row)
    cells = tuple(
        (reason, f"{len(of):,}", names[of[0].case])
        for reason, of in sorted(reasons.items(), key=lambda item: -len(item[1]))
    )
    return Table("Why it cannot be told", ("reason", "rows", "for example"), cells, wraps=True)


def _with_metric(rows: Sequence[Row]) -> tuple[str, bool]:
    """What a table is of, and whether its rows have to say their metric."""
    titles = list(dict.fromkeys(metric_title(row.metric) for row in rows))
    return (titles[0].capitalize() if len(titles) == 1 else "All metrics"), len(titles) > 1


def _metric(row: Row, several: bool) -> tuple[str, ...]:
    return (metric_title(row.metric),) if several else ()


def _any_values(row: Row) -> tuple[str, str]:
    if row.metric == OUTCOME:
        return outcome_words(row.base_outcome), outcome_words(row.new_outcome)
    return exact_words(row)[:2]
