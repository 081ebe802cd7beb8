"""How the reference of a setting stands against the others in time, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lmn_bench.analysis.crossover import (
    AHEAD,
    BEHIND,
    CANNOT_TELL,
    LEVEL,
    Comparison,
    Standing,
)
from lmn_bench.report.phrases import say
from lmn_bench.report.standing_lengths import (
    MARGIN,
    length_of,
    listed,
    stretch,
    times_of,
    where_of,
)
from lmn_bench.report.standing_others import at_longest
from lmn_bench.report.standing_reasons import (
    ended_at,
    missing_reasons,
    missing_words,
    partly,
    whys,
)
from lmn_bench.report.standings import Versus
from lmn_bench.report.words import crossing_words
from lmn_bench.units import format_ratio


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
        yield say("others", place=place, own=others[0].reference, standings=at_longest(others))


def _sentence(place: str, one: Versus) -> str:
    found, names = one.found, {"place": place, "own": one.reference, "other": one.other}
    if not found.comparisons:
        return say("never compared", **names, why=listed(missing_reasons(one)))
    missing = missing_words(one)
    unclear = found.at(CANNOT_TELL)
    if len(unclear) == len(found.comparisons):
        return say("undecided", **names, why=listed(whys(one, unclear)), missing=missing)
    return say(
        "standing", **names, standing=_standing(one), missing=missing,
        partly="".join(f"; {text}" for text in partly(one, found.sure)),
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
        why = listed(whys(one, unclear))
        unclear_words = say("cannot tell", stretch=where, why=why)
        said = f"{said}; {unclear_words}"
    return said


def _ahead(one: Versus, other: str, some: Sequence[Comparison]) -> str:
    by = []
    measured = [c for c in some if c.ratio is not None]
    if measured:
        ratio = measured[-1].ratio or 0.0
        by.append(say("factor", factor=format_ratio(ratio), where=where_of(measured[-1], some)))
    for ended in ended_at((c.b, c.length) for c in some if c.ratio is None):
        by.append(say("only finisher", other=one.other, ended=ended))
    return say("ahead", other=other, stretch=stretch(one, some), by=_bracketed(by))


def _behind(one: Versus, other: str, some: Sequence[Comparison]) -> str:
    by = []
    worst = min((c for c in some if c.ratio), key=lambda c: c.ratio or 0.0, default=None)
    if worst is not None:
        factor = format_ratio(1 / (worst.ratio or 1.0))
        key = "by" if len(some) == 1 else "by up to"
        by.append(say(key, factor=factor, length=length_of(worst)))
    for ended in ended_at((c.a, c.length) for c in some if c.ratio is None):
        by.append(say("unfinished", ended=ended))
    return say("behind", other=other, stretch=stretch(one, some), by=_bracketed(by))


def _level(one: Versus, other: str, some: Sequence[Comparison]) -> str:
    sure = [c for c in some if c.differs]
    differs = ""
    if sure:
        differs = say("differs", times=times_of(sure[-1]), where=where_of(sure[-1], some))
    return say("level", other=other, stretch=stretch(one, some), margin=MARGIN, differs=differs)


_PART: dict[Standing, Callable[[Versus, str, Sequence[Comparison]], str]] = {
    AHEAD: _ahead, BEHIND: _behind, LEVEL: _level,
}  # fmt: skip


def _bracketed(parts: Sequence[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""
