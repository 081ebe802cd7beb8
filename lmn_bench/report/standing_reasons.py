"""Why a standing cannot be told, or nothing is compared, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lmn_bench.analysis.crossover import (
    Comparison,
    NotCompared,
)
from lmn_bench.analysis.endings import Ending
from lmn_bench.report.phrases import say
from lmn_bench.report.standing_lengths import (
    MARGIN,
    grouped,
    length_of,
    lengths_of,
    listed,
    times_of,
    where_of,
)
from lmn_bench.report.standings import Versus
from lmn_bench.units import format_ratio

_HAS_VALUES = ("finished", "partly")


def whys(one: Versus, unclear: Sequence[Comparison]) -> Iterator[str]:
    """Why it cannot be told, each reason once, by the longest length that it holds at."""
    last = {(c.why, c.processes if c.why == "few processes" else None): c for c in unclear}
    for (why, _), comparison in last.items():
        if why == "few processes":
            yield say("no interval", processes=processes_words(one, comparison),
                      medians=_medians(comparison))  # fmt: skip
        elif why == "wide interval":
            where = where_of(comparison, unclear)
            yield say("holds 1", times=times_of(comparison), where=where, margin=MARGIN)
    yield from partly(one, [c for c in unclear if c.why in ("partly finished", "few processes")])
    for name, ends in _ends(one, [c for c in unclear if c.why == "unproved"]):
        ran_out = ((end, length) for end, length in ends if end.kind != "finished")
        for ended in ended_at(ran_out):
            yield say("ended so", name=name, ended=ended)


def processes_words(one: Versus, comparison: Comparison) -> str:
    """How few processes there are: one process each; 2 processes of X and 5 processes of Y."""
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
    return say(key, factor=format_ratio(ratio), length=length_of(comparison))


def partly(one: Versus, some: Sequence[Comparison]) -> Iterator[str]:
    """Where only some processes of a subject finished."""
    for name, ends in _ends(one, some):
        found = grouped((end.words, length) for end, length in ends if end.kind == "partly")
        for ended, lengths in found.items():
            yield say("partly", lengths=lengths_of(lengths), name=name, ended=ended)


def _ends(
    one: Versus, some: Sequence[Comparison]
) -> Iterator[tuple[str, list[tuple[Ending, int]]]]:
    """How the cases of either subject ended, with their lengths."""
    yield one.reference, [(c.a, c.length) for c in some]
    yield one.other, [(c.b, c.length) for c in some]


def ended_at(ends: Iterable[tuple[Ending, int]]) -> Iterator[str]:
    """For example: did not finish within 60 s in each of 3 processes at 512, and was skipped …."""
    found = grouped((end.words, (end.at or length, length)) for end, length in ends)
    for ended, pairs in found.items():
        places = dict.fromkeys(place for place, _ in pairs)
        after = [length for place, length in pairs if length != place]
        skipped = say("skipped for that", lengths=lengths_of(after)) if after else ""
        yield say("ended at", ended=ended, lengths=lengths_of(list(places)), skipped=skipped)


def missing_words(one: Versus) -> str:
    """Lengths that nothing is compared at, with the reasons."""
    reasons = grouped((_missing_reason(one, gap), gap.length) for gap in one.found.missing)
    return "".join(
        say("missing", lengths=lengths_of(lengths), why=why) for why, lengths in reasons.items()
    )


def missing_reasons(one: Versus) -> Iterable[str]:
    """Why nothing is compared at some lengths, each reason once."""
    return dict.fromkeys(_missing_reason(one, gap) for gap in one.found.missing)


def _missing_reason(one: Versus, gap: NotCompared) -> str:
    both = ((one.reference, gap.a), (one.other, gap.b))
    said = [_ended(name, end) for name, end in both if end.kind not in _HAS_VALUES]
    return listed(said) if said else say("no time")


def _ended(name: str, end: Ending) -> str:
    return say("ended so", name=name, ended=end.words)
