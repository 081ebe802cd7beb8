"""Colours, shapes and dashes of charts, in light and dark, and their common looks."""

from __future__ import annotations

from typing import Any

# (light, dark) per subject, told apart by people with any kind of colour vision (after Okabe and
# Ito, "Color Universal Design", darkened or lightened to 3 : 1 against the page and beyond).
SERIES_COLOURS = (
    ("#0072b2", "#5ab0ea"),
    ("#c84e00", "#ff8f57"),
    ("#00775a", "#35c79a"),
    ("#c0398f", "#f08fd0"),
    ("#6b46c1", "#b9a0ff"),
    ("#6b7a00", "#c3cf3f"),
    ("#3b3b3b", "#f2f2f2"),
    ("#777777", "#a9a9a9"),
)
# Parts of a stack differ in lightness, so that they do in print and without colour too.
PART_COLOURS = (
    ("#8f979e", "#59616a"),
    ("#c3cad0", "#8b949e"),
    ("#0f5c3f", "#2f9e72"),
    ("#d9770a", "#ffb454"),
    ("#1f6fb0", "#6fb7f0"),
)
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right",
    "triangle-left",
)  # fmt: skip
# Of the measured lines, per run; laws have the shortest dash.
DASHES = ((1, 0), (10, 3), (10, 3, 2, 3), (2, 2))
LAW_DASH = (4, 3)
# Curves of so many subjects are told apart by hue; the next ones are dashed too.
_SOLID = 4

INK, SOFT_INK, GRID, PAGE = "#1f2328", "#59636e", "#e2e6ea", "#ffffff"
_DARK_OF = {INK: "#e6edf3", SOFT_INK: "#9aa4af", GRID: "#2b3138", PAGE: "#14181d"}


def dark_of() -> dict[str, str]:
    """Every colour of a light chart with the one that takes its place in the dark."""
    return {**_DARK_OF, **dict((*SERIES_COLOURS, *PART_COLOURS))}


def colour(place: int) -> str:
    """The light colour of a subject."""
    return SERIES_COLOURS[place % len(SERIES_COLOURS)][0]


def shape(place: int, run: int) -> str:
    """Shape of a subject's marks: past the last colour the same colours meet other shapes."""
    return SHAPES[(place + place // len(SERIES_COLOURS) * 3 + run) % len(SHAPES)]


def dash(run: int) -> list[int]:
    """Dash of a run's lines."""
    return list(DASHES[run % len(DASHES)])


def learned_dash(place: int, run: int) -> list[int]:
    """Dash of a training's curve: past four subjects hues alone are hard to tell apart."""
    return list(DASHES[(place // _SOLID + run) % len(DASHES)])


def config(font: str = "sans-serif", background: str | None = None) -> dict[str, Any]:
    """The looks that all charts share, as Vega-Lite has them."""
    text = {"labelColor": SOFT_INK, "titleColor": SOFT_INK, "labelFontSize": 11,
            "titleFontSize": 11, "titleFontWeight": "normal"}  # fmt: skip
    return {
        "font": font,
        "background": background,
        "view": {"stroke": None},
        "axis": {**text, "gridColor": GRID, "domainColor": SOFT_INK, "tickColor": SOFT_INK,
                 "labelOverlap": "greedy", "labelSeparation": 8},
        "legend": {**text, "labelColor": INK, "labelLimit": 260, "symbolSize": 70,
                   "columns": 4},
        "title": {"color": INK, "fontSize": 13, "subtitleColor": SOFT_INK, "anchor": "start"},
    }  # fmt: skip
