"""Memory and latency against context, with the limits drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lmn_bench.report.chart import Chart, LawPoint, Panel, Point, Series
from lmn_bench.report.sized.words import unit_of
from lmn_bench.sizing.question import Answer, CurvePoint
from lmn_bench.units import format_bytes, format_length, format_seconds

_MARKED = "Marks were measured; dashed lines are foretold, with their 95 % bands"
_UNMARKED = "Dashed lines are foretold, with their bands; nothing of it was measured"
_LEVEL = "; grey across is the limit"


def memory_chart(answer: Answer) -> Chart | None:
    """Memory of the whole process against context; None where none is taken."""
    limit = answer.question.limits.memory_bytes
    named = f"limit {format_bytes(limit)}" if limit is not None else ""
    laws = tuple(
        LawPoint(
            name,
            point.length,
            point.memory.total,
            max(1.0, point.memory.low),
            point.memory.high,
            "",
        )
        for name, curve in answer.curves.items()
        for point in curve
        # Axes are logarithmic: nothing has no place on them, and next to nothing a low end of 1.
        if point.memory.total > 0
    )
    if not laws:
        return None
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
    level = tuple(_level(laws, limit, named))
    upright = tuple(_upright(answer.question.case.length, Panel("", points, tuple(laws)).values))
    context = "context" if answer.question.case.mode == "decode" else "length"
    across = _LEVEL if level else ""
    marks = _MARKED if points else _UNMARKED
    return Chart(
        key=f"sizing-{key}",
        title=title,
        reading=f"{marks}; grey upright is the {context} asked about{across}.",
        kind="lines",
        x_title=f"{context} (tokens)",
        y_title=y_title,
        unit=unit,
        series=tuple(Series(name, place) for place, name in enumerate(answer.curves)),
        panels=(Panel("", points, tuple(laws), (*level, *upright)),),
    )


def _level(laws: Sequence[LawPoint], limit: float | None, named: str) -> Iterator[LawPoint]:
    """A level line as long as the laws; nothing where there is no limit."""
    if limit is not None:
        lengths = [law.length for law in laws]
        for length in (min(lengths), max(lengths)):
            yield LawPoint(named, length, float(limit), None, None, named)


def _upright(length: int, values: Sequence[float]) -> Iterator[LawPoint]:
    """A line at one length along these values, which leaves room for the name of a limit above."""
    named = f"asked: {format_length(length)}"
    for value in (min(values), max(values)):
        yield LawPoint(named, length, value, None, None, named)


def _points(answer: Answer, measured: Callable[[CurvePoint], float | None]) -> Iterator[Point]:
    for name, curve in answer.curves.items():
        for point in curve:
            value = measured(point)
            if value:
                yield Point(name, point.length, value, hint="measured")
