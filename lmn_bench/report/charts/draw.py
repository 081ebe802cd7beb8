"""A chart's plain data as Vega-Lite: a specification per panel, or all panels as one picture."""

from __future__ import annotations

from typing import Any

from lmn_bench.report.chart import Chart
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.areas import area_specs
from lmn_bench.report.charts.forest import forest_specs
from lmn_bench.report.charts.lines import line_specs
from lmn_bench.report.charts.scores import curve_specs, score_specs
from lmn_bench.report.charts.stacks import stack_specs
from lmn_bench.report.charts.strips import strip_specs

_SPECS = {"lines": line_specs, "stack": stack_specs, "strip": strip_specs, "forest": forest_specs,
          "area": area_specs, "curves": curve_specs, "scores": score_specs}  # fmt: skip
_COLUMNS = {"lines": 2, "stack": 4, "strip": 2, "forest": 2, "area": 1, "curves": 2,
            "scores": 2}  # fmt: skip


def panel_specs(chart: Chart) -> list[dict[str, Any]]:
    """One specification per panel for a page: as wide as its place, without common looks."""
    return [
        {**{key: value for key, value in spec.items() if key not in {"config", "width"}},
         "width": "container", "autosize": {"type": "fit-x", "contains": "padding"},
         "padding": {"left": 2, "top": 8, "right": 6, "bottom": 2}}
        for spec in _SPECS[chart.kind](chart, interactive=True)
    ]  # fmt: skip


def picture_spec(chart: Chart) -> dict[str, Any]:
    """All panels side by side, for SVG and PNG."""
    panels, datasets = [], {}
    for number, spec in enumerate(_SPECS[chart.kind](chart, interactive=False)):
        title = chart.panels[number].title
        panel = {k: v for k, v in spec.items() if k not in {"config", "$schema", "datasets"}}
        renamed = _renamed(panel, {name: f"{name}{number}" for name in spec["datasets"]})
        datasets.update({f"{name}{number}": rows for name, rows in spec["datasets"].items()})
        panels.append({**renamed, **({"title": {"text": title, "fontSize": 11}} if title else {})})
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": theme.config(background=theme.PAGE),
        "title": chart.title,
        "datasets": datasets,
        "concat": panels,
        "columns": _COLUMNS[chart.kind],
        "spacing": 20,
        "padding": 8,
    }


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """The same with every `data: {name: …}` under its new name."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {"name": names[item["name"]]} if key == "data" else _renamed(item, names)
        for key, item in value.items()
    }
