"""Values against length on logarithmic axes: the numbers of such a chart in its definition."""

from __future__ import annotations

import math
from typing import Any

from lmn_bench.report.chart import Chart, Panel
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.axes import length_values, value_values
from lmn_bench.report.charts.holes import fill
from lmn_bench.report.charts.line_layers import WIDTH, Shape, definition
from lmn_bench.report.charts.rows import law_rows, point_rows, stop_rows
from lmn_bench.report.charts.scales import length_domain, log_domain, spread_labels

HEIGHT = 300
_ROW = 14  # pixels of a line of text


def line_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel."""
    low, high = _value_domain(chart)
    most = max(len(_stop_names(panel)) for panel in chart.panels)
    # Failures stand in rows of their own above all values.
    per_pixel = math.log(high / low) / HEIGHT
    top = high * math.exp(per_pixel * _ROW * most)
    across = length_domain([length for panel in chart.panels for length in panel.lengths])
    series = chart.series
    values = {
        **length_values(chart.x_title, across, "width" if interactive else f"{WIDTH}"),
        **value_values(chart.y_title, chart.unit, (low, top)),
        "names": [one.name for one in series],
        "colours": [theme.colour(one.place) for one in series],
        "shapes": [theme.shape(one.place, one.run) for one in series],
        "dashes": [theme.dash(one.run) for one in series],
        "hint": "achieved" if chart.unit == "share" else "interval",
    }
    shape = Shape(
        interactive=interactive,
        legend=len(series) > 1,
        several_runs=any(one.run for one in series),
        laws=any(panel.laws for panel in chart.panels),
        bounds=any(panel.bounds for panel in chart.panels),
        stops=any(panel.stops for panel in chart.panels),
    )
    filled = {**fill(definition(shape), values), "height": HEIGHT + _ROW * most}
    middle = math.sqrt(math.prod(across))
    return [
        {**filled, "datasets": _datasets(panel, chart.unit, high, per_pixel, middle)}
        for panel in chart.panels
    ]


def _value_domain(chart: Chart) -> tuple[float, float]:
    values = [value for panel in chart.panels for value in panel.values]
    ends = [end for panel in chart.panels for p in panel.points
            for end in (p.low, p.high) if end is not None and end > 0]  # fmt: skip
    return log_domain(values, [*ends, 1.0] if chart.unit == "share" else ends)


def _datasets(
    panel: Panel, unit: str, high: float, per_pixel: float, middle: float
) -> dict[str, Any]:
    rows = {name: at for at, name in enumerate(_stop_names(panel))}
    places = {name: high * math.exp(per_pixel * _ROW * (at + 0.3)) for name, at in rows.items()}
    return {
        "points": point_rows(panel, unit),
        "laws": law_rows(panel.laws, unit),
        "bounds": law_rows(panel.bounds, unit),
        "names": _name_rows(panel, per_pixel * (_ROW - 2)),
        "stops": stop_rows(panel, places, middle),
    }


def _name_rows(panel: Panel, gap: float) -> list[dict[str, Any]]:
    """The name of every series at the end of its line, moved apart where lines end together."""
    ends: dict[str, tuple[int, float]] = {}
    for p in panel.points:
        if p.series not in ends or p.length > ends[p.series][0]:
            ends[p.series] = (p.length, p.value)
    by_length: dict[int, dict[str, float]] = {}
    for name, (length, value) in ends.items():
        by_length.setdefault(length, {})[name] = math.log(value)
    return [
        {"s": name, "n": length, "y": math.exp(at)}
        for length, places in by_length.items()
        for name, at in spread_labels(places, gap).items()
    ]


def _stop_names(panel: Panel) -> list[str]:
    return list(dict.fromkeys(stop.series for stop in panel.stops if stop.tried))
