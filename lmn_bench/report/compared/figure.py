"""The forest plot: every change with its interval, worst first."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.analysis.comparison import Row
from lmn_bench.metrics import METRICS
from lmn_bench.report.chart import Chart, Effect, Panel, Series
from lmn_bench.report.compared.names import CaseNames
from lmn_bench.report.compared.words import (
    Kind,
    change_words,
    finite,
    harm,
    interval_words,
    kind,
    metric_title,
    value_words,
)
from lmn_bench.units import format_share

# Rows of a panel: more are no longer read, and taller than any screen.
MOST_ROWS = 60
# Places in the palette: orange against blue and green, that all eyes tell apart; grey is nothing.
_PLACES = {
    Kind.REGRESSION: 1, Kind.WORSE: 4, Kind.CHANGED: 6, Kind.CANNOT_TELL: 3, Kind.NOT_WORSE: 5,
    Kind.BETTER: 2, Kind.SAME: 7,
}  # fmt: skip


def forest_chart(rows: Sequence[Row], names: CaseNames, margin: float) -> Chart | None:
    """A panel per metric; None where no row has a ratio above 0.

    Args:
        rows: measured ones.
        names: of their cases.
        margin: changes up to this share count as the same.
    """
    drawn = [row for row in rows if finite(row.ratio) is not None and (row.ratio or 0) > 0]
    panels: list[tuple[str, list[Row]]] = []
    left_out = 0
    for key in dict.fromkeys(row.metric for row in drawn):
        own = [row for row in drawn if row.metric == key]
        # Those that are left out are the least changed.
        kept = sorted(own, key=lambda row: (not row.regression, -abs(harm(row))))[:MOST_ROWS]
        left_out += len(own) - len(kept)
        kept.sort(key=lambda row: (not row.regression, -harm(row)))
        panels.append((key, kept))
    if not panels:
        return None
    names_of = _series_names([row for _, kept in panels for row in kept])
    return Chart(
        key="changes",
        title="Changes",
        reading=_reading(margin, len(rows) - len(drawn), left_out),
        kind="forest",
        x_title="change of new against base",
        y_title="",
        unit="change",
        series=tuple(Series(names_of[one], _PLACES[one]) for one in names_of),
        panels=tuple(
            Panel(_title(key), effects=tuple(_effect(row, names, names_of) for row in kept))
            for key, kept in panels
        ),
        band=margin,
    )


def _title(key: str) -> str:
    way = {"lower": " (less is better)", "higher": " (more is better)", "neither": ""}
    return f"{metric_title(key)}{way[METRICS[key].better]}"


def _series_names(rows: Sequence[Row]) -> dict[Kind, str]:
    """What the legend calls a kind: the verdicts of its rows, red ones as such."""
    found = {one: dict.fromkeys(r.verdict.value for r in rows if kind(r) is one) for one in Kind}
    return {
        one: ", ".join(verdicts) + " (regression)" * (one is Kind.REGRESSION)
        + ", not gated" * (one is Kind.WORSE)
        for one, verdicts in found.items()
        if verdicts
    }  # fmt: skip


def _effect(row: Row, names: CaseNames, series: dict[Kind, str]) -> Effect:
    ratio = finite(row.ratio)
    assert ratio is not None  # rows without one are not drawn
    low, high = finite(row.low), finite(row.high)
    return Effect(
        name=names[row.case],
        series=series[kind(row)],
        ratio=ratio,
        low=low if low is not None and low > 0 else None,
        high=high,
        change=f"{change_words(row)} ({row.verdict})",
        interval=interval_words(row),
        values=f"{value_words(row.base, row.metric)} → {value_words(row.new, row.metric)}",
    )


def _reading(margin: float, without: int, left_out: int) -> str:
    words = [
        "Points are ratios of new to base with their 95 % intervals, on a logarithmic axis, worst "
        f"first. Shaded: changes up to {format_share(margin)}, which count as none. An interval "
        "that reaches the edge goes on beyond it."
    ]
    if left_out:
        words.append(
            f"{left_out:,} rows with the smallest changes are left out: a panel has at most "
            f"{MOST_ROWS}. The data of this page have all."
        )
    if without:
        words.append(f"{without:,} rows without a ratio are not drawn.")
    return " ".join(words)
