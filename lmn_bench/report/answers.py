"""What a run says in sentences, above all tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lmn_bench.analysis.crossover import Comparison, Crossover, crossover
from lmn_bench.analysis.results import UNUSABLE, CaseResult, ResultSet
from lmn_bench.report.courses import course
from lmn_bench.report.findings import Findings
from lmn_bench.report.words import (
    MAX_NAMES,
    cap_label,
    cap_mechanisms,
    crossing_words,
    free_settings,
    own_subject,
    span,
    where,
)
from lmn_bench.schema import Case, Outcome
from lmn_bench.units import format_length, format_ratio

# The rival that every mode is answered against first; the others share a sentence.
RIVAL = "transformer"
_STANDING_WORD = {"ahead": "ahead of", "behind": "behind", "even": "level with"}
# How a case ends that needs more than its memory cap; which of them depends on the mechanism.
_END_AT_A_CAP = {Outcome.OUT_OF_MEMORY: "ran out of memory", Outcome.KILLED: "was killed"}
_MODE_WORD = {
    "decode": "Decode",
    "prefill": "Prefill",
    "train": "Training",
    "read": "Reading",
    "stream": "Streaming",
}


def answers(findings: Findings, *, timed: bool = True) -> Iterator[str]:
    """How decode grows, and against whom and from where on our subject is ahead, or isn't.

    `timed`: whether the run takes times at all (`Measuring.timing`).
    """
    results = findings.results
    if not any(result.values for result in results.cases):
        yield _nothing_finished(results)
        return
    if not timed:
        yield "Nothing was timed, as asked: cases were checked, called for memory, and counted."
    for setting in free_settings(results):
        own = own_subject(results.subjects(setting))
        yield from _disturbed_answer(results, setting)
        if setting.mode == "decode":
            yield from _growth_answer(findings, setting, own)
        yield from _standing_answers(results, setting, own)
    yield from _limit_answers(results)
    yield from _lacking(results, timed)


def _disturbed_answer(results: ResultSet, setting: Case) -> Iterator[str]:
    """For example: Prefill: cannot tell how the times stand or grow: other processes took …."""
    disturbed = results.disturbed(setting)
    if disturbed is not None:
        place = f"{_MODE_WORD[setting.mode]}{where(results, setting)}"
        yield (
            f"{place}: cannot tell which model is ahead in time, nor how times grow; the machine "
            f"was disturbed: {disturbed.words}. Measure again when it is quiet."
        )


def _nothing_finished(results: ResultSet) -> str:
    """For example: No case finished: lmn prefill at 4,096 tokens ran out of memory under 16MiB."""
    ends: dict[tuple[str, str, str, str], list[int]] = {}
    others = 0
    for result in results.cases:
        case, end = result.case, _END_AT_A_CAP.get(result.outcome)
        if case.memory_cap_bytes is not None and end is not None:
            cap = cap_label(case.memory_cap_bytes, cap_mechanisms([result]))
            ends.setdefault((case.subject, case.mode, end, cap), []).append(case.length)
        else:
            others += result.outcome is not Outcome.SKIPPED
    # Only at a cap is an end without a number what was asked for.
    if not ends:
        return "Nothing was measured: no case of this run finished (see Not measured, below)."
    said = [
        f"{subject} {mode} at {span(sorted(set(lengths)))} tokens {end} under {cap}"
        for (subject, mode, end, cap), lengths in ends.items()
    ]
    unsaid = sum(map(len, list(ends.values())[MAX_NAMES:])) + others
    more = [f"{unsaid} more: see Not measured, below"] if unsaid else []
    return f"No case finished: {'; '.join(said[:MAX_NAMES] + more)}."


def _lacking(results: ResultSet, timed: bool) -> Iterator[str]:
    """What a run is too small or too broken to tell."""
    measured = [result for result in results.cases if result.values]
    if len({result.case.length for result in measured}) == 1:
        yield "Only one length was measured: how anything grows cannot be told."
    alone = all(len(values) == 1 for result in measured for values in result.values.values())
    # Counts need no interval.
    if alone and timed:
        yield "One process per case: no interval, and no noise to judge a law or a lead by."
    if any(UNUSABLE in (result.reason or "") for result in measured):
        yield "Values that are no finite numbers were left out (see Not measured, below)."


def _limit_answers(results: ResultSet) -> Iterator[str]:
    """For example: under 16MiB by rlimit prefill takes 4,096 tokens with lmn, 512 with gru."""
    for setting in results.settings():
        if setting.memory_cap_bytes is None:
            continue
        said: list[str] = []
        tried: list[CaseResult] = []
        for subject in dict.fromkeys((own_subject(results.subjects(setting)), RIVAL)):
            series = results.series(setting, subject)
            tried += series.values()
            fitting = [n for n, result in series.items() if result.outcome is Outcome.OK]
            if any(result.outcome is not Outcome.SKIPPED for result in series.values()):
                most = f"{format_length(max(fitting))} tokens" if fitting else "none of the lengths"
                more = " or more" if fitting and max(fitting) == max(series) else ""
                said.append(f"{most}{more} with {subject}")
        if not said:
            continue
        cap = cap_label(setting.memory_cap_bytes, cap_mechanisms(tried))
        yield f"{_MODE_WORD[setting.mode]} under a cap of {cap} takes {', '.join(said)}."


def _growth_answer(findings: Findings, setting: Case, own: str) -> Iterator[str]:
    """For example: … with lmn the time per token stays flat within the noise (1.0× …); …."""
    spans: dict[tuple[int, int], list[str]] = {}
    for subject in dict.fromkeys((own, RIVAL)):
        grown = findings.growth(setting, subject)
        if grown is not None:
            said = spans.setdefault((int(grown.first), int(grown.last)), [])
            what = "it" if said else "the time per token"
            way = course(findings.scaling(setting, subject), grown)
            said.append(f"with {subject} {what} {way}")
    for (first, last), grown_of in spans.items():
        place = f"Decode{where(findings.results, setting)}"
        span = f"from a context of {format_length(first)} to {format_length(last)} tokens"
        yield f"{place}, {span}: {'; '.join(grown_of)}."


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
        phrase += f", behind it {behind}" if behind else ", level below that"
        if found.crossing is None:
            return phrase
        return f"{phrase}; it overtakes at about {crossing_words(found.crossing)}"
    ahead = [c for c in every if c.standing == "ahead"]
    if behind:
        return f"behind {other} {behind}" + (f", ahead {_stretch(ahead, every)}" if ahead else "")
    if ahead:
        return f"ahead of {other} {_stretch(ahead, every)}, level elsewhere"
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
    return f"{_stretch(behind, found.comparisons)}{by}"


def _stretch(some: Sequence[Comparison], every: Sequence[Comparison]) -> str:
    """Where some of the comparisons are: at every length, up to n, from m to n, at m, n."""
    if len(some) == len(every):
        return "at every length"
    first, last = every.index(some[0]), every.index(some[-1])
    if last - first + 1 != len(some) or first == last:
        return f"at {', '.join(format_length(c.length) for c in some)}"
    if first == 0:
        return f"up to {format_length(some[-1].length)}"
    return f"from {format_length(some[0].length)} to {format_length(some[-1].length)}"


def _factor_at(comparison: Comparison) -> str:
    if comparison.ratio is None:
        return f" (the only one to finish {format_length(comparison.length)})"
    return f" ({format_ratio(comparison.ratio)} at {format_length(comparison.length)})"
