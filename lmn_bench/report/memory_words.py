"""What the models of a setting take of memory, and which of them needs least, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.crossover import (
    AHEAD,
    BEHIND,
    CANNOT_TELL,
    LEVEL,
    Comparison,
    crossover,
)
from lmn_bench.analysis.results import Series
from lmn_bench.metrics import METRICS
from lmn_bench.report.findings import Findings
from lmn_bench.report.phrases import say
from lmn_bench.report.standing_lengths import MARGIN
from lmn_bench.schema import Case
from lmn_bench.units import format_bytes, format_length, format_ratio, format_ratio_interval

# Sizes that say nothing of who needs least.
_UNSURE = ("few processes", "partly finished")
_STATE, _WORKING, _PEAK = "state_bytes", "working_memory_bytes", "peak_memory_bytes"


def memory_answer(place: str, findings: Findings, setting: Case) -> Iterator[str]:
    """Sizes at the longest length that all who are named have and at the shortest; who needs least.

    In decode that is the state that is kept; in the other modes what one call needs.
    """
    metric = _STATE if setting.mode == "decode" else _WORKING
    every = {name: findings.series(setting, name) for name in findings.results.subjects(setting)}
    named = [name for name in findings.told_alone(setting) if _lengths(every[name], metric)]
    if findings.reference(setting) not in named:
        return
    lengths = sorted(set.intersection(*(_lengths(every[name], metric) for name in named)))
    if not lengths:
        return
    first, last = lengths[0], lengths[-1]
    key = "state" if metric == _STATE else "working set"
    sizes = say(
        key, length=format_length(last),
        sizes=", ".join(_size(every[name], name, metric, first, last) for name in named),
    )  # fmt: skip
    if metric == _WORKING and setting.device == "cpu":
        sizes += _peak(every, named, last)
    against = "".join(
        f"; {_against(every[named[0]], every[name], (named[0], name), metric, last)}"
        for name in named[1:]
    )
    least = _least(every, named, metric, last)
    yield say("memory", place=place, sizes=sizes, against=against, least=least)


def _lengths(series: Series, metric: str) -> set[int]:
    return {length for length, result in series.items() if result.values.get(metric)}


def _median(series: Series, metric: str, length: int) -> float:
    estimate = series[length].estimate(metric) if length in series else None
    return 0.0 if estimate is None else estimate.value


def _size(series: Series, name: str, metric: str, first: int, last: int) -> str:
    at_first, at_last = (format_bytes(_median(series, metric, n)) for n in (first, last))
    if first == last:
        return say("size", size=at_last, name=name)
    return say("size grown", size=at_last, name=name, first=at_first, length=format_length(first))


def _peak(every: dict[str, Series], named: Sequence[str], last: int) -> str:
    sizes = [(name, _median(every[name], _PEAK, last)) for name in named]
    if not all(size for _, size in sizes):
        return ""
    said = (say("size", size=format_bytes(size), name=name) for name, size in sizes)
    return say("peak", sizes=", ".join(said))


def _compared(a: Series, b: Series, metric: str, length: int) -> Comparison | None:
    """How A stands in memory at one length: ahead is who needs less."""
    found = crossover({length: a[length]}, {length: b[length]}, metric)
    return found.comparisons[0] if found is not None and found.comparisons else None


def _against(a: Series, b: Series, names: tuple[str, str], metric: str, length: int) -> str:
    own, name = names
    found = _compared(a, b, metric, length)
    if found is None or found.ratio is None:
        return say("incomparable memory", own=own, name=name)
    if METRICS[metric].exact and found.low == found.high == 1.0:
        return say("same memory", own=own, name=name)
    said = {"own": own, "name": name, "times": _times(found.ratio, found.low, found.high)}
    if found.standing == AHEAD:
        return say("more memory", **said)
    if found.standing == BEHIND:
        low, high = (1 / end if end else None for end in (found.high, found.low))
        return say("less memory", own=own, name=name, times=_times(1 / found.ratio, low, high))
    if found.standing == LEVEL:
        return say("level memory", **said, margin=MARGIN)
    return say("unsure memory few" if found.low is None else "unsure memory", **said)


def _times(ratio: float, low: float | None, high: float | None) -> str:
    """A ratio with its interval; that of counts has none."""
    return format_ratio(ratio) if low == high else format_ratio_interval(ratio, low, high)


def _least(every: dict[str, Series], named: Sequence[str], metric: str, length: int) -> str:
    """Which of three models or more needs least; those it can't be told apart from with it."""
    there = [name for name, series in every.items() if length in _lengths(series, metric)]
    if len(there) <= 2:
        return ""
    size = {name: _median(every[name], metric, length) for name in there}
    best = min(there, key=size.__getitem__)
    found = {name: _compared(every[best], every[name], metric, length)
             for name in there if name != best}  # fmt: skip
    if any(one is None or one.why in _UNSURE for one in found.values()):
        return ""
    tied = [n for n, one in found.items() if one is not None and not _needs_more(one)]
    if len(tied) == len(found):
        return ""
    if tied:
        alike = METRICS[metric].exact and all(one is not None and one.low == one.high == 1.0
                    for name, one in found.items() if name in tied)  # fmt: skip
        if alike:
            return say("least alike", names=", ".join((best, *tied)))
        return say("least shared", names=", ".join((best, *tied)))
    told = "" if best in named else f", {format_bytes(size[best])}"
    return say("least", name=best, size=told)


def _needs_more(one: Comparison) -> bool:
    """Whether the other one surely needs more, be it ever so little."""
    return one.standing != CANNOT_TELL and one.low is not None and one.low > 1
