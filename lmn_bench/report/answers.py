"""What a run says in sentences, above all tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lmn_bench.analysis.crossover import Comparison, Crossover, crossover
from lmn_bench.analysis.growth import growth
from lmn_bench.analysis.results import ResultSet
from lmn_bench.report.words import free_settings, own_subject, times, where
from lmn_bench.schema import Case
from lmn_bench.units import format_length, format_ratio

# The rival that every mode is answered against first; the others share a sentence.
RIVAL = "transformer"
_STANDING_WORD = {"ahead": "ahead of", "behind": "behind", "even": "level with"}
_MODE_WORD = {
    "decode": "Decode",
    "prefill": "Prefill",
    "train": "Training",
    "stream": "Streaming",
}


def answers(results: ResultSet) -> Iterator[str]:
    """How decode grows, and against whom and from where on our subject is ahead, or isn't."""
    if not any(result.values for result in results.cases):
        yield "Nothing was measured: no case of this run finished (see Not measured, below)."
        return
    for setting in free_settings(results):
        own = own_subject(results.subjects(setting))
        if setting.mode == "decode":
            yield from _growth_answer(results, setting, own)
        yield from _standing_answers(results, setting, own)


def _growth_answer(results: ResultSet, setting: Case, own: str) -> Iterator[str]:
    said = []
    for subject in dict.fromkeys((own, RIVAL)):
        found = growth(results.series(setting, subject), "latency_s")
        if found is not None:
            said.append(
                f"{subject} takes {times(found.ratio, found.ratio_low, found.ratio_high)} the "
                f"time per token at a context of {format_length(found.last)} that it takes at "
                f"{format_length(found.first)}"
            )
    if said:
        yield f"Decode{where(results, setting)}: {'; '.join(said)}."


def _standing_answers(results: ResultSet, setting: Case, own: str) -> Iterator[str]:
    found_of = {}
    for other in results.subjects(setting):
        found = crossover(results.series(setting, own), results.series(setting, other), "latency_s")
        if other != own and found is not None:
            found_of[other] = found
    place = f"{_MODE_WORD[setting.mode]}{where(results, setting)}"
    if RIVAL in found_of:
        yield f"{place}: {own} is {_standing(RIVAL, found_of.pop(RIVAL))}."
    if found_of:
        yield f"{place}, the others: {own} is {_at_the_longest(found_of)}."


def _at_the_longest(found_of: Mapping[str, Crossover]) -> str:
    """For example: at 32,768 tokens ahead of gru, rnn; behind lstm."""
    standings: dict[tuple[int, str], list[str]] = {}
    for other, found in found_of.items():
        last = found.comparisons[-1]
        standings.setdefault((last.length, _STANDING_WORD[last.standing]), []).append(other)
    lengths = {length for length, _ in standings}
    parts = []
    for length, word in sorted(standings):
        at = "" if len(lengths) == 1 else f" at {format_length(length)}"
        parts.append(f"{word} {', '.join(standings[length, word])}{at}")
    said = "; ".join(parts)
    return f"at {format_length(lengths.pop())} tokens {said}" if len(lengths) == 1 else said


def _standing(other: str, found: Crossover) -> str:
    """For example: ahead of X from n tokens on (4× at m), behind it up to k (by up to 2× at j)."""
    every = found.comparisons
    if found.ahead_from == every[0].length:
        return f"ahead of {other} at every length{_factor_at(every[-1])}"
    behind = _behind(found)
    if found.ahead_from is not None:
        from_there = format_length(found.ahead_from)
        phrase = f"ahead of {other} from {from_there} tokens on{_factor_at(every[-1])}"
        return f"{phrase}, behind it {behind}" if behind else f"{phrase}, level below that"
    if behind:
        return f"behind {other} {behind}"
    return f"level with {other}, as far as can be told"


def _behind(found: Crossover) -> str:
    """Where it is behind, and by how much at worst; empty if nowhere."""
    behind = [c for c in found.comparisons if c.standing == "behind"]
    if not behind:
        return ""
    measured = [c for c in behind if c.ratio]
    worst = min(measured, key=lambda c: c.ratio or 0.0, default=None)
    by = ""
    if worst is not None and worst.ratio:
        by = f" (by up to {format_ratio(1 / worst.ratio)} at {format_length(worst.length)})"
    if len(behind) == len(found.comparisons):
        return f"at every length{by}"
    return f"up to {format_length(behind[-1].length)}{by}"


def _factor_at(comparison: Comparison) -> str:
    if comparison.ratio is None:
        return f" (the only one to finish {format_length(comparison.length)})"
    return f" ({format_ratio(comparison.ratio)} at {format_length(comparison.length)})"
