"""The charts of memory: what a peak is made of, and what fits under a cap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.results import FITS, CaseResult
from lmn_bench.report.chart import Chart, Panel, Point, Series
from lmn_bench.report.sources import Source, stop
from lmn_bench.report.words import cap_label, cap_mechanisms, setting_title, without_cap
from lmn_bench.schema import Outcome
from lmn_bench.units import format_bytes

FLOOR, PARAMETERS, STATE, WORKING, REST = (
    "process floor", "parameters", "state", "working set", "other",
)  # fmt: skip
PARTS = (FLOOR, REST, PARAMETERS, STATE, WORKING)


def memory_chart(sources: Sequence[Source], key: str) -> Chart | None:
    """Peak memory against length, split into its parts, a panel per subject."""
    panels = []
    for source in sources:
        for subject in source.subjects:
            series = source.findings.series(source.setting, subject)
            points = tuple(point for result in series.values() for point in _parts(result))
            if points:
                panels.append(Panel(source.name(subject), points))
    if not panels:
        return None
    setting = sources[0].setting
    return Chart(
        key=f"{key}-memory",
        title=f"Peak memory and what it is made of · {setting_title(setting)}",
        reading=(
            "The height of a bar is the highest resident memory of one call; “other” is what the "
            "process took beyond its floor before that call: its input, libraries loaded since."
        ),
        kind="stack",
        x_title="context (tokens)" if setting.mode == "decode" else "length (tokens)",
        y_title="peak memory",
        unit="B",
        series=tuple(Series(part, place) for place, part in enumerate(PARTS)),
        panels=tuple(panels),
    )


def _parts(result: CaseResult) -> Iterator[Point]:
    """The parts of a peak in the order they are stacked; they add up to it.

    A state that a call makes (all but decode) is part of what that call needs on top.
    """
    sizes: dict[str, float] = {}
    for metric in ("peak_memory_bytes", "floor_bytes", "parameter_bytes", "state_bytes",
                   "working_memory_bytes"):  # fmt: skip
        estimate = result.estimate(metric)
        sizes[metric] = 0.0 if estimate is None else estimate.value
    peak = sizes["peak_memory_bytes"]
    if peak <= 0:
        return
    left = peak
    parts = {}
    working = sizes["working_memory_bytes"]
    if result.case.mode != "decode":
        working = max(working - sizes["state_bytes"], 0.0)
    # What the medians of the parts exceed the median peak by is taken off the last ones.
    for part, size in ((FLOOR, sizes["floor_bytes"]), (PARAMETERS, sizes["parameter_bytes"]),
                       (STATE, sizes["state_bytes"]), (WORKING, working)):  # fmt: skip
        parts[part] = min(size, left)
        left -= parts[part]
    parts[REST] = left
    hint = f"of a peak of {format_bytes(peak)}"
    for part in PARTS:
        yield Point(part, result.case.length, parts[part], hint=hint)


def caps_charts(groups: Sequence[Sequence[Source]], key: str) -> Iterator[Chart]:
    """Which lengths fit under which cap: for every group of settings that differ in their cap."""
    for number, group in enumerate(groups, start=1):
        panels = tuple(_cap_panel(source) for source in group)
        names = dict.fromkeys(
            (source.name(subject), source.places.index(subject), source.run)
            for source in group
            for subject in source.subjects
        )
        first = group[0].setting
        yield Chart(
            key=f"{key}{number}-fits",
            title=f"What fits under a memory cap · {setting_title(without_cap(first))}",
            reading=(
                "A filled mark is a length that fits under the cap, × one that does not, with how "
                "it ended; a small hollow mark was not tried any more."
            ),
            kind="strip",
            x_title="context (tokens)" if first.mode == "decode" else "length (tokens)",
            y_title="model",
            unit="",
            series=tuple(Series(*name) for name in names),
            panels=panels,
        )


def _cap_panel(source: Source) -> Panel:
    points, stops = [], []
    cases = list(source.cases())
    for name, result in cases:
        if result.outcome is Outcome.OK:
            points.append(Point(name, result.case.length, 1.0, hint=FITS))
        else:
            stops.append(stop(name, result))
    label = f" · {source.label}" if source.label else ""
    by = cap_mechanisms(result for _, result in cases)
    cap = cap_label(source.setting.memory_cap_bytes, by)
    return Panel(f"cap {cap}{label}", tuple(points), stops=tuple(stops))
