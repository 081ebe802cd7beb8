"""The rows of a chart's data: short keys, and numbers written out for hovering.

s series, n length, y value, lo and hi its interval, t the value in words, i the interval in words,
k the law, w the label of a failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmn_bench.report.chart import LawPoint, Panel
from lmn_bench.units import format_number, format_value

# Digits of a number in a chart: a thousandth of its height is less than a pixel.
_DIGITS = 5
# How far along it a line that bears its name does so.
_NAMED_AT = 0.7


def point_rows(panel: Panel, unit: str) -> list[dict[str, Any]]:
    """Medians with their intervals; without one the ends are the value itself."""
    return [
        {"s": p.series, "n": p.length, "y": _short(p.value),
         "lo": _short(p.low if p.low is not None and p.low > 0 else p.value),
         "hi": _short(p.value if p.high is None else p.high),
         "t": words(p.value, unit), "i": p.hint}
        for p in panel.points
    ]  # fmt: skip


def law_rows(laws: Sequence[LawPoint], unit: str) -> list[dict[str, Any]]:
    """Fitted laws with their bands, where both can stand on a logarithmic axis."""
    rows = []
    for p in laws:
        if not math.isfinite(p.value) or p.value <= 0:
            continue
        low = p.low if p.low is not None and p.low > 0 else p.value
        high = p.high if p.high is not None and math.isfinite(p.high) else p.value
        row = {"s": p.series, "n": p.length, "y": _short(p.value), "lo": _short(low),
               "hi": _short(high), "t": words(p.value, unit), "k": p.law,
               "i": f"{words(low, unit)} to {words(high, unit)}"}  # fmt: skip
        rows.append(row)
    for series in dict.fromkeys(row["s"] for row in rows):
        own = [row for row in rows if row["s"] == series]
        own[int(len(own) * _NAMED_AT)]["named"] = True
    return rows


def stop_rows(panel: Panel, places: Mapping[str, float], middle: float) -> list[dict[str, Any]]:
    """A mark at every length where something was tried and failed; words at a series' first."""
    rows = []
    told: set[tuple[str, str]] = set()
    for stop in panel.stops:
        if not stop.tried:
            continue
        first = (stop.series, stop.word) not in told
        told.add((stop.series, stop.word))
        rows.append(
            {"s": stop.series, "n": stop.length, "y": _short(places[stop.series]),
             "t": stop.word, "i": stop.reason, "flip": stop.length > middle,
             "w": f"{stop.series}: {stop.word}" if first else ""}
        )  # fmt: skip
    return rows


def words(value: float, unit: str) -> str:
    """A value as tables write it."""
    if unit == "share":
        return f"{format_number(value * 100)}%"
    return format_value(value, unit)


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
