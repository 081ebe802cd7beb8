"""Axes: their labels tell units the way tables do."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from lmn_bench.report.charts.holes import hole, list_hole
from lmn_bench.report.charts.scales import decimal_ticks, powers_of_two

_STEPS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
}
# Pixels of "131,072" and some air.
_LABEL_WIDTH = 50
_THIN = 0.9995  # 999.6 µs is 1 ms


def length_axis() -> alt.X:
    """Lengths on a logarithmic axis with a mark at every power of two."""
    axis = alt.Axis(
        values=list_hole("x_ticks"), labelExpr=hole("x_label"), labelOverlap=False,
        title=hole("x_title"),
    )  # fmt: skip
    scale = alt.Scale(type="log", base=2, domain=list_hole("x_domain"), nice=False)
    return alt.X("n:Q", scale=scale, axis=axis)


def length_values(title: str, domain: tuple[float, float], width: str) -> dict[str, Any]:
    """What fills `length_axis`; `width` is that of the plot: a number, or the signal of it.

    As many octaves are labelled as there is room for, the longest always.
    """
    ticks = powers_of_two(*domain)
    last = math.log2(ticks[-1]) if ticks else 0
    step = f"ceil({len(ticks) * _LABEL_WIDTH} / {width})"
    shown = f"round({last:g} - log(datum.value) / LN2) % {step} == 0"
    label = f"{shown} ? format(datum.value, ',d') : ''"
    return {"x_ticks": ticks, "x_label": label, "x_title": title, "x_domain": domain}


def value_axis(field: str) -> alt.Y:
    """Values on a logarithmic axis: bytes and counts by powers of two, others by 1, 2, 5, 10."""
    axis = alt.Axis(values=list_hole("y_ticks"), labelExpr=hole("y_label"), title=hole("y_title"))
    scale = alt.Scale(type="log", domain=list_hole("y_domain"), nice=False)
    return alt.Y(f"{field}:Q", scale=scale, axis=axis)


def value_values(title: str, unit: str, domain: tuple[float, float]) -> dict[str, Any]:
    """What fills `value_axis`."""
    binary = unit in {"B", ""}
    ticks = powers_of_two(*domain, most=9) if binary else decimal_ticks(*domain)
    return {"y_ticks": ticks, "y_label": label_expression(unit), "y_title": title,
            "y_domain": domain}  # fmt: skip


def label_expression(unit: str) -> str:
    """A Vega expression that writes `datum.value` with its unit."""
    if unit == "share":
        return "format(datum.value * 100, '~g') + '%'"
    if unit == "":
        return "format(datum.value, ',~r')"
    if unit not in _STEPS:
        return f"replace(format(datum.value, '~s'), /([a-zA-Z]?)$/, ' $1') + '{unit}'"
    *larger, (smallest, name) = _STEPS[unit]
    text = f"format(datum.value / {smallest!r}, '.4~g') + ' {name}'"
    for scale, name in reversed(larger):
        shown = f"format(datum.value / {scale!r}, '.4~g') + ' {name}'"
        text = f"datum.value >= {scale * _THIN!r} ? {shown} : {text}"
    return text
