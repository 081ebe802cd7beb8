"""A document as one page that needs no network."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from lmn_bench import __version__, safe
from lmn_bench.report.chart import Chart
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.vega import bundle, missing_package
from lmn_bench.report.words import BAD_WORDS, GOOD_WORDS
from lmn_bench.units import read_value

_VERDICTS = {"supported": "supported", "compatible": "compatible", "cannot tell": "cannot",
             "rejected": "rejected"}  # fmt: skip
# Colours of the page beside those of the charts, (light, dark), at least 4.5 : 1 on the page.
PAGE_COLOURS = {
    "--page": ("#ffffff", "#14181d"), "--ink": ("#1f2328", "#e6edf3"),
    "--soft": ("#59636e", "#9aa4af"), "--grid": ("#e2e6ea", "#2b3138"),
    "--tint": ("#fff8e6", "#2a2413"), "--warn": ("#b07800", "#d9a531"),
    "--link": ("#0560b0", "#7cc0ff"), "--good": ("#0c6b40", "#58c997"),
    "--bad": ("#b3261e", "#ff958c"),
}  # fmt: skip


@dataclass(frozen=True)
class Download:
    """A file that the page carries: its name, type and title, and its text."""

    name: str
    type: str
    title: str
    text: str

    @property
    def base64(self) -> str:
        """The text as gzip in base64, the same for the same text."""
        return base64.b64encode(gzip.compress(self.text.encode(), 9, mtime=0)).decode()


def render_html(document: Document, downloads: Sequence[Download], warnings: Sequence[str]) -> str:
    """The whole document as a page.

    Args:
        document: what it says, its charts included.
        downloads: files that it carries.
        warnings: what makes the numbers less sure, told before them.

    Raises:
        ReportError: altair, vl-convert or jinja2 is missing or broken.
    """
    # The script is put together outside Python: the charts are described meanwhile.
    with ThreadPoolExecutor(1) as pool:
        script = pool.submit(bundle)
        try:
            import jinja2

            from lmn_bench.report.charts import theme
            from lmn_bench.report.charts.draw import panel_specs
        except ImportError as error:
            raise missing_package(error) from error
        specs = {chart.key: _shared(panel_specs(chart)) for chart in document.charts}
        vega = script.result()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lmn_bench.report", "templates"),
        autoescape=True,
        finalize=safe.html,
        undefined=jinja2.StrictUndefined,
    )
    folder = files("lmn_bench.report") / "templates"
    static = {name: (folder / f"report.{name}").read_text("utf-8") for name in ("css", "js")}
    data = {
        "config": theme.config("system-ui, sans-serif"),
        "darkOf": theme.dark_of(),
        "charts": specs,
    }
    return environment.get_template("report.html").render(
        **static,
        document=document,
        sections=document.sections,
        nav_titles=_short_titles(document.sections),
        warnings=warnings,
        has_laws=any(panel.laws for chart in document.charts for panel in chart.panels),
        downloads=downloads,
        charts=safe.script_json(data),
        colours=_colour_rules(theme.PART_COLOURS, theme.SERIES_COLOURS),
        vega=vega,
        version=__version__,
        chart_title=_chart_title,
        sort_value=lambda cell: _attribute("data-v", _sort_value(cell)),
        cell_class=lambda table, place, cell: _attribute("class", _classes(table, place, cell)),
    )


def _shared(specs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The panels of a chart, which differ in their data only, as one specification and the data."""
    spec = {key: value for key, value in specs[0].items() if key != "datasets"}
    return {"spec": spec, "data": [one["datasets"] for one in specs]}


def _short_titles(sections: Sequence[Section]) -> list[str]:
    """Titles up to their first comma, where that tells them apart."""
    short = [section.title.partition(",")[0] for section in sections]
    return [
        word if short.count(word) == 1 else section.title
        for word, section in zip(short, sections, strict=True)
    ]


def _chart_title(chart: Chart) -> str:
    """The title without the setting, which heads the section already."""
    return chart.title.partition(" · ")[0]


def _attribute(name: str, value: str) -> Any:
    from markupsafe import Markup

    # Markup's own % escapes what it is given.
    return Markup(' %s="%s"') % (name, value) if value else ""


def _sort_value(cell: str) -> str:
    value = read_value(cell)
    return "" if value is None else f"{value:.12g}"


def _classes(table: Table, place: int, cell: str) -> str:
    return " ".join(filter(None, (_class_of(cell), "word" if place in table.words else "")))


def _class_of(cell: str) -> str:
    for verdict, name in _VERDICTS.items():
        if cell in {verdict, f"{verdict} exactly"}:
            return name
    if cell.startswith(GOOD_WORDS):
        return "good"
    return "bad" if cell.startswith(BAD_WORDS) else ""


def _colour_rules(parts: Sequence[tuple[str, str]], series: Sequence[tuple[str, str]]) -> str:
    """Custom properties in light and dark; print is always light."""
    both = {**PAGE_COLOURS, **{f"--part{at}": pair for at, pair in enumerate(parts)}}
    both |= {f"--series{at}": pair for at, pair in enumerate(series)}
    light, dark = ("".join(f"{name}:{pair[at]};" for name, pair in both.items()) for at in (0, 1))
    swatches = "".join(f".part{at}{{background:var(--part{at})}}" for at in range(len(parts)))
    swatches += "".join(f".c{at}{{--c:var(--series{at})}}" for at in range(len(series)))
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{swatches}"
    )
