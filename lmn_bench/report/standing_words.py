"""How the reference of a setting stands against the others in time, in sentences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from lmn_bench.analysis.crossover import (
    AHEAD,
    BEHIND,
    CANNOT_TELL,
    LEVEL,
    LEVEL_MARGIN,
    Comparison,
    NotCompared,
    Standing,
)
from lmn_bench.analysis.endings import Ending
from lmn_bench.report.phrases import say
from lmn_bench.report.standings import Versus
from lmn_bench.report.words import crossing_words
from lmn_bench.units import format_length, format_ratio, format_ratio_interval, format_share

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

MARGIN = format_share(LEVEL_MARGIN)
_HAS_VALUES = ("finished", "partly")


def standing_answers(place: str, every: Sequence[Versus]) -> Iterator[str]:
    """A sentence on each rival that is told alone, and one on the others.

    Args:
        place: the mode, and the setting where there are several.
        every: how one reference stands, against each other subject.
    """
    for one in every:
        if one.alone:
            yield _sentence(place, one)
    others = [one for one in every if not one.alone]
    if others:
        yield say("others", place=place, own=others[0].reference, standings=_at_longest(others))


def _sentence(place: str, one: Versus) -> str:
    found, names = one.found, {"place": place, "own": one.reference, "other": one.other}
    if not found.comparisons:
        return say("never compared", **names, why=_listed(_missing_reasons(one)))
    missing = _missing(one)
    unclear = found.at(CANNOT_TELL)
    if len(unclear) == len(found.comparisons):
        return say("undecided", **names, why=_listed(_whys(one, unclear)), missing=missing)
    return say(
        "standing", **names, standing=_standing(one), missing=missing,
        partly="".join(f"; {text}" for text in _partly(one, found.sure)),
        overtakes="" if found.crossing is None
        else say("overtakes", crossing=crossing_words(found.crossing)),
    )  # fmt: skip


def _standing(one: Versus) -> str:
    """For example: ahead of X from 2,048 tokens on (24× at 32,768), behind it up to 512 (…)."""
    order: list[Standing] = [AHEAD, BEHIND, LEVEL]
    last = one.found.comparisons[-1].standing
    order.sort(key=lambda standing: standing != last)
    parts: list[str] = []
    for standing in order:
        some = one.found.at(standing)
        if some:
            parts.append(_PART[standing](one, "it" if parts else one.other, some))
    said = ", ".join(parts)
    unclear = one.found.at(CANNOT_TELL)
    if unclear:
        where = stretch(one, unclear)
        why = _listed(_whys(one, unclear))
        unclear_words = say("cannot tell", stretch=where, why=why)
        said = f"{said}; {unclear_words}"
    return said


def _ahead(one: Versus, other: str, some: Sequence[Comparison]) -> str:
    by = []
    measured = [c for c in some if c.ratio is not None]
    if measured:
        ratio = measured[-1].ratio or 0.0
        by.append(say("factor", factor=format_ratio(ratio), where=_where(measured[-1], some)))
    for ended in _ended_at((c.b, c.length) for c in some if c.ratio is None):
        by.append(say("only finisher", other=one.other, ended=ended))
    return say("ahead", other=other, stretch=stretch(one, some), by=_bracketed(by))


def _behind(one: Versus, other: str, some: Sequence[Comparison]) -> str:
    by = []
    worst = min((c for c in some if c.ratio), key=lambda c: c.ratio or 0.0, default=None)
    if worst is not None:
        factor = format_ratio(1 / (worst.ratio or 1.0))
        key = "by" if len(some) == 1 else "by up to"
        by.append(say(key, factor=factor, length=_length(worst)))
    for ended in _ended_at((c.a, c.length) for c in some if c.ratio is None):
        by.append(say("unfinished", ended=ended))
    return say("behind", other=other, stretch=stretch(one, some), by=_bracketed(by))


def _level(one: Versus, other: str, some: Sequence[Comparison]) -> str:
    sure = [c for c in some if c.differs]
    differs = say("differs", times=_times(sure[-1]), where=_where(sure[-1], some)) if sure else ""
    return say("level", other=other, stretch=stretch(one, some), margin=MARGIN, differs=differs)


_PART: dict[Standing, Callable[[Versus, str, Sequence[Comparison]], str]] = {
    AHEAD: _ahead, BEHIND: _behind, LEVEL: _level,
}  # fmt: skip


def _whys(one: Versus, unclear: Sequence[Comparison]) -> Iterator[str]:
    """Why it cannot be told, each reason once, by the longest length that it holds at."""
    last = {(c.why, c.processes if c.why == "few processes" else None): c for c in unclear}
    for (why, _), comparison in last.items():
        if why == "few processes":
            yield say("no interval", processes=_processes(one, comparison),
                      medians=_medians(comparison))  # fmt: skip
        elif why == "wide interval":
            where = _where(comparison, unclear)
            yield say("holds 1", times=_times(comparison), where=where, margin=MARGIN)
    yield from _partly(one, [c for c in unclear if c.why == "partly finished"])
    for name, ends in _ends(one, [c for c in unclear if c.why == "unproved"]):
        ran_out = ((end, length) for end, length in ends if end.kind != "finished")
        for ended in _ended_at(ran_out):
            yield say("ended so", name=name, ended=ended)


def _processes(one: Versus, comparison: Comparison) -> str:
    own, others = comparison.processes
    if own == others:
        return say("one each") if own == 1 else say("few each", count=own)
    counted = [f"{count} process{'es' * (count != 1)}" for count in (own, others)]
    return say("few", count=counted[0], own=one.reference, others=counted[1], other=one.other)


def _medians(comparison: Comparison) -> str:
    assert comparison.ratio is not None
    faster = comparison.ratio >= 1
    ratio = comparison.ratio if faster else 1 / comparison.ratio
    key = "medians faster" if faster else "medians slower"
    return say(key, factor=format_ratio(ratio), length=_length(comparison))


def _where(comparison: Comparison, some: Sequence[Comparison]) -> str:
    """The length of one of several; a single one's is told already."""
    return "" if len(some) == 1 else say("where", length=_length(comparison))


def _partly(one: Versus, some: Sequence[Comparison]) -> Iterator[str]:
    """Where only some processes of a subject finished."""
    for name, ends in _ends(one, some):
        partly = _grouped((end.words, length) for end, length in ends if end.kind == "partly")
        for ended, lengths in partly.items():
            yield say("partly", lengths=_lengths(lengths), name=name, ended=ended)


def _ends(
    one: Versus, some: Sequence[Comparison]
) -> Iterator[tuple[str, list[tuple[Ending, int]]]]:
    """How the cases of either subject ended, with their lengths."""
    yield one.reference, [(c.a, c.length) for c in some]
    yield one.other, [(c.b, c.length) for c in some]


def _ended_at(ends: Iterable[tuple[Ending, int]]) -> Iterator[str]:
    """For example: did not finish within 60 s in each of 3 processes at 512, and was skipped …."""
    found = _grouped((end.words, (end.at or length, length)) for end, length in ends)
    for ended, pairs in found.items():
        places = dict.fromkeys(place for place, _ in pairs)
        after = [length for place, length in pairs if length != place]
        skipped = say("skipped for that", lengths=_lengths(after)) if after else ""
        yield say("ended at", ended=ended, lengths=_lengths(list(places)), skipped=skipped)


def _missing(one: Versus) -> str:
    """Lengths that nothing is compared at, with the reasons."""
    reasons = _grouped((_missing_reason(one, gap), gap.length) for gap in one.found.missing)
    return "".join(
        say("missing", lengths=_lengths(lengths), why=why) for why, lengths in reasons.items()
    )


def _missing_reasons(one: Versus) -> Iterable[str]:
    return dict.fromkeys(_missing_reason(one, gap) for gap in one.found.missing)


def _missing_reason(one: Versus, gap: NotCompared) -> str:
    both = ((one.reference, gap.a), (one.other, gap.b))
    said = [_ended(name, end) for name, end in both if end.kind not in _HAS_VALUES]
    return _listed(said) if said else say("no time")


def _ended(name: str, end: Ending) -> str:
    return say("ended so", name=name, ended=end.words)


def stretch(one: Versus, some: Sequence[Comparison]) -> str:
    """Where some of the comparisons are; lengths that are missing are never said to be in it."""
    every, missing = one.found.comparisons, one.found.missing
    first, last = every.index(some[0]), every.index(some[-1])
    if len(some) == len(every) > 1:
        return say("every length compared") if missing else say("every length")
    if last - first + 1 != len(some) or first == last:
        return say("at", lengths=", ".join(runs(one, some)))
    if last == len(every) - 1:
        gaps = any(gap.length > some[0].length for gap in missing)
        return say("from on compared" if gaps else "from on", length=_length(some[0]))
    if first == 0:
        return say("up to", length=_length(some[-1]))
    return say("from to", first=_length(some[0]), last=_length(some[-1]))


def runs(one: Versus, some: Sequence[Comparison]) -> Iterator[str]:
    """Lengths, three or more that follow each other as one: 128; 512 to 4,096.

    No length that is missing, or that stands otherwise, lies within what is told as one.
    """
    found = one.found
    every = sorted([c.length for c in found.comparisons] + [gap.length for gap in found.missing])
    places = [every.index(comparison.length) for comparison in some]
    for _, group in itertools.groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
        lengths = [every[place] for _, place in group]
        if len(lengths) > 2:
            yield say("run", first=format_length(lengths[0]), last=format_length(lengths[-1]))
        else:
            yield from map(format_length, lengths)


def _at_longest(others: Sequence[Versus]) -> str:
    """For example: at 32,768 tokens ahead of gru, rnn; behind lstm."""
    compared = _grouped(
        (one.found.comparisons[-1].length, one) for one in others if one.found.comparisons
    )
    parts = [
        say("others at", length=format_length(length), standings="; ".join(_named(of)))
        for length, of in sorted(compared.items(), reverse=True)
    ]
    never = [
        f"{one.other} ({_listed(_missing_reasons(one))})"
        for one in others
        if not one.found.comparisons
    ]
    if never:
        parts.append(say("others missing", names=", ".join(never)))
    return "; ".join(parts)


def _named(others: Sequence[Versus]) -> Iterator[str]:
    """Who is ahead of whom at their longest length, those together that stand alike."""
    last = [(one, one.found.comparisons[-1]) for one in others]
    few = _grouped((_processes(*pair), pair) for pair in last if pair[1].why == "few processes")
    for standing, key in _OTHERS.items():
        names = [
            _name(one, comparison)
            for one, comparison in last
            if comparison.standing == standing and comparison.why != "few processes"
        ]
        if names:
            yield say(key, names=", ".join(names), margin=MARGIN)
    for processes, pairs in few.items():
        told = ", ".join(f"{one.other} ({format_ratio(c.ratio or 0.0)})" for one, c in pairs)
        yield say("others few", names=told, processes=processes, own=others[0].reference)


_OTHERS: dict[Standing, str] = {
    AHEAD: "others ahead", BEHIND: "others behind", LEVEL: "others level",
    CANNOT_TELL: "others cannot tell",
}  # fmt: skip


def _name(one: Versus, last: Comparison) -> str:
    """The other's name, with what its standing rests on where that is no interval beside 1."""
    if last.standing == CANNOT_TELL:
        return f"{one.other} ({_listed(_whys(one, [last]))})"
    if last.ratio is None:
        end = last.b if last.standing == AHEAD else last.a
        return f"{one.other} ({_listed(_ended_at([(end, last.length)]))})"
    return one.other


def _times(comparison: Comparison) -> str:
    assert comparison.ratio is not None
    return format_ratio_interval(comparison.ratio, comparison.low, comparison.high)


def _grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    found: dict[_Key, list[_Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _length(comparison: Comparison) -> str:
    return format_length(comparison.length)


def _lengths(lengths: Sequence[int]) -> str:
    return ", ".join(map(format_length, lengths))


def _bracketed(parts: Sequence[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""


def _listed(parts: Iterable[str]) -> str:
    return "; ".join(parts)
