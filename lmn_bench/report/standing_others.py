"""How the reference of a setting stands against many others, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    grouped,
    listed,
)
from lmn_bench.report.standing_reasons import (
    ended_at,
    missing_reasons,
    processes_words,
    whys,
)
from lmn_bench.report.standings import Versus
from lmn_bench.units import format_length, format_ratio


def at_longest(others: Sequence[Versus]) -> str:
    """For example: at 32,768 tokens ahead of gru, rnn; behind lstm."""
    compared = grouped(
        (one.found.comparisons[-1].length, one) for one in others if one.found.comparisons
    )
    parts = [
        say("others at", length=format_length(length), standings="; ".join(_named(of)))
        for length, of in sorted(compared.items(), reverse=True)
    ]
    never = [
        f"{one.other} ({listed(missing_reasons(one))})"
        for one in others
        if not one.found.comparisons
    ]
    if never:
        parts.append(say("others missing", names=", ".join(never)))
    return "; ".join(parts)


def _named(others: Sequence[Versus]) -> Iterator[str]:
    """Who is ahead of whom at their longest length, those together that stand alike."""
    last = [(one, one.found.comparisons[-1]) for one in others]
    few = grouped((processes_words(*pair), pair) for pair in last if pair[1].why == "few processes")
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
        return f"{one.other} ({listed(whys(one, [last]))})"
    if last.ratio is None:
        end = last.b if last.standing == AHEAD else last.a
        return f"{one.other} ({listed(ended_at([(end, last.length)]))})"
    return one.other
