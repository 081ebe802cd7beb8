"""Memory and latency against context, with the limits drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lmn_bench.report.chart import Chart, LawPoint, Panel, Point, Series
from lmn_bench.report.sized.words import unit_of
from lmn_bench.sizing.question import Answer, CurvePoint
from lmn_bench.units import format_bytes, format_seconds

_READING = (
    "Marks were measured; dashed lines are foretold, with their 95 % bands; grey is the limit."
)


def memory_chart(answer: Answer) -> Chart:
    """Memory of the whole process against context."""
    limit = answer.question.limits.memory_bytes
    named = f"limit {format_bytes(limit)}" if limit is not None else ""
    laws = tuple(
        LawPoint(name, point.length, point.memory.total, point.memory.low, point.memory.high, "")
        for name, curve in answer.curves.items()
        for point in curve
    )
    return _chart(
        answer, "memory", "Memory of the process", "memory", "B", laws,
        lambda point: point.measured_memory, limit, named,
    )  # fmt: skip


def latency_chart(answer: Answer) -> Chart | None:
    """Latency against context; None where none is known."""
    limit = answer.question.limits.latency_s
    named = f"limit {format_seconds(limit)}" if limit is not None else ""
    laws = tuple(
        LawPoint(
            name, point.length, point.latency.seconds.estimate, point.latency.seconds.low,
            point.latency.seconds.high, point.latency.basis,
        )
        for name, curve in answer.curves.items()
        for point in curve
        if point.latency is not None
    )  # fmt: skip
    if not laws:
        return None
    title = f"Time of one {unit_of(answer.question.case)}"
    return _chart(
        answer, "latency", title, "latency", "s", laws,
        lambda point: point.measured_latency, limit, named,
    )  # fmt: skip


def _chart(
    answer: Answer, key: str, title: str, y_title: str, unit: str, laws: Sequence[LawPoint],
    measured: Callable[[CurvePoint], float | None], limit: float | None, named: str,
) -> Chart:  # fmt: skip
    points = tuple(_points(answer, measured))
    ends = sorted({law.length for law in laws})
    bounds = () if limit is None else tuple(
        LawPoint(named, length, float(limit), None, None, named) for length in (ends[0], ends[-1])
    )  # fmt: skip
    return Chart(
        key=f"sizing-{key}",
        title=title,
        reading=_READING,
        kind="lines",
        x_title="context (tokens)" if answer.question.case.mode == "decode" else "length (tokens)",
        y_title=y_title,
        unit=unit,
        series=tuple(Series(name, place) for place, name in enumerate(answer.curves)),
        panels=(Panel("", points, tuple(laws), bounds),),
    )


def _points(answer: Answer, measured: Callable[[CurvePoint], float | None]) -> Iterator[Point]:
    for name, curve in answer.curves.items():
        for point in curve:
            value = measured(point)
            if value is not None:
                yield Point(name, point.length, value, hint="measured")
