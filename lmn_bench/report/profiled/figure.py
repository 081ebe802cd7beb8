"""The pictures of a profile: a flame graph, memory by part over time, and the whole process."""

from __future__ import annotations

from collections.abc import Iterator

from lmn_bench.profiles import Function, Operator, Part, Profile
from lmn_bench.report.chart import Chart, Moment, Panel, Series
from lmn_bench.report.flame import Bar, Flame
from lmn_bench.report.profiled.words import BETWEEN, operator_title, part_title, title_of
from lmn_bench.units import format_bytes, format_seconds, format_share

# Parts with a colour of their own; further ones are small, and told as one.
MOST_PARTS = 7
SMALLER = "smaller parts"
# Bars under this share of what they lie in can be neither seen nor hit.
_LEAST_SHARE = 0.002


def flame_of(profile: Profile) -> Flame:
    """Parts, the functions in them, and the operators in those."""
    places = {part.name: place for place, part in enumerate(profile.parts)}
    bars = tuple(
        _part_bar(part, profile, places[part.name])
        for part in profile.parts
        if part.share >= _LEAST_SHARE
    )
    return Flame(
        title="Parts, functions, operators",
        reading=(
            "First row: parts, second: functions in them, both as wide as the time by the clock. "
            "Third row: what is in a function as torch's profiler divides it; the profiler makes "
            "short operations look longer than they are."
        ),
        bars=bars,
    )


def _part_bar(part: Part, profile: Profile, place: int) -> Bar:
    bars = tuple(
        _function_bar(part, function, profile, place)
        for function in part.functions
        if part.seconds > 0 and function.seconds / part.seconds >= _LEAST_SHARE
    )
    hint = f"{part_title(part.name)}: {format_seconds(part.seconds)}, {_percent(part.share)}"
    return Bar(part.name, part.share, hint, place, bars)


def _function_bar(part: Part, function: Function, profile: Profile, place: int) -> Bar:
    operators = [
        one for one in profile.operators
        if (one.part, one.function) == (part.name, function.name)
    ]  # fmt: skip
    whole = sum(one.self_s for one in operators) + function.between_s
    share = function.seconds / part.seconds
    hint = f"{function.name}: {format_seconds(function.seconds)}, {_percent(share)} of {part.name}"
    return Bar(function.name, share, hint, place, tuple(_inside(operators, function, whole, place)))


def _inside(
    operators: list[Operator], function: Function, whole: float, place: int
) -> Iterator[Bar]:
    inside = [(operator_title(one.name), one.self_s) for one in operators]
    inside.append((BETWEEN, function.between_s))
    for name, seconds in sorted(inside, key=lambda pair: -pair[1]):
        if whole > 0 and seconds / whole >= _LEAST_SHARE:
            share = seconds / whole
            hint = (
                f"{name}: {format_seconds(seconds)} under torch's profiler, {_percent(share)} of "
                f"{function.name}"
            )
            yield Bar(name, share, hint, place)


def _percent(share: float) -> str:
    return format_share(round(share, 3))


def memory_chart(profile: Profile) -> Chart | None:
    """Memory of tensors over time, by part, with its peak; None where nothing was allocated."""
    timeline = profile.memory_timeline
    if not timeline.bytes:
        return None
    order = sorted(timeline.bytes, key=lambda name: -max(timeline.bytes[name]))
    named, rest = order[:MOST_PARTS], order[MOST_PARTS:]
    columns = {name: timeline.bytes[name] for name in named}
    if rest:
        columns[SMALLER] = tuple(
            map(sum, zip(*(timeline.bytes[name] for name in rest), strict=True))
        )
    places = {part.name: place for place, part in enumerate(profile.parts)}
    moments = tuple(
        Moment(name, seconds, float(value))
        for name, values in columns.items()
        for seconds, value in zip(timeline.seconds, values, strict=True)
    )
    peak = sum(values[timeline.peak_at] for values in columns.values())
    return Chart(
        key="memory",
        title=f"Memory of tensors over time, by part · {title_of(profile)}",
        reading=(
            "Bytes from torch's allocator that are held, stacked by the part that allocated them; "
            "what was held before the call is not shown. Time is that of a call under torch's "
            f"profiler. The line marks the peak, {format_bytes(peak)}."
        ),
        kind="area",
        x_title="time since the call began",
        y_title="memory",
        unit="B",
        series=tuple(
            Series(name, min(places.get(name, MOST_PARTS), MOST_PARTS)) for name in columns
        ),
        panels=(Panel("", moments=moments,
                      peak=Moment("peak", timeline.seconds[timeline.peak_at], float(peak))),),
    )  # fmt: skip


def resident_chart(profile: Profile) -> Chart | None:
    """Resident memory of the whole process over time; None without at least two samples."""
    if len(profile.resident_timeline) < 2:
        return None
    moments = tuple(Moment("process", s, held) for s, held in profile.resident_timeline)
    return Chart(
        key="resident",
        title=f"Resident memory of the process over time · {title_of(profile)}",
        reading=(
            "Sampled by memory-profiler in a call of its own, Python and torch included. It misses "
            "whatever comes and goes between two samples: no peak is taken from it."
        ),
        kind="area",
        x_title="time since the call began",
        y_title="resident memory",
        unit="B",
        series=(Series("process", 7),),
        panels=(Panel("", moments=moments),),
    )
