"""What a run says in sentences, above all tables."""

from __future__ import annotations

from collections.abc import Iterator

from lmn_bench.analysis.results import UNUSABLE, ResultSet
from lmn_bench.report.courses import course
from lmn_bench.report.findings import Findings
from lmn_bench.report.limit_words import limit_answers
from lmn_bench.report.memory_words import memory_answer
from lmn_bench.report.size_words import size_answers
from lmn_bench.report.standing_words import standing_answers
from lmn_bench.report.words import (
    MAX_NAMES,
    MODE_WORD,
    SEE_FAILURES,
    cap_label,
    cap_mechanisms,
    free_settings,
    span,
    where,
)
from lmn_bench.schema import Case, Outcome
from lmn_bench.units import format_length

# How a case ends that needs more than its memory cap; which of them depends on the mechanism.
_END_AT_A_CAP = {Outcome.OUT_OF_MEMORY: "ran out of memory", Outcome.KILLED: "was killed"}


def answers(findings: Findings, *, timed: bool = True) -> Iterator[str]:
    """How decode grows, and against whom and from where on our subject is ahead, or isn't.

    `timed`: whether the run takes times at all (`Measuring.timing`).
    """
    results = findings.results
    if not results.cases:
        yield "Nothing was measured yet: no case of this run has ended."
        return
    if not any(result.values for result in results.cases):
        yield _nothing_finished(results)
        return
    if not timed:
        yield "Nothing was timed, as asked: cases were checked, called for memory, and counted."
    for setting in free_settings(results):
        yield from _disturbed_answer(results, setting)
        if setting.mode == "decode":
            yield from _growth_answer(findings, setting)
        place = f"{MODE_WORD[setting.mode]}{where(results, setting)}"
        yield from standing_answers(place, findings.standings(setting))
        yield from memory_answer(place, findings, setting)
    yield from limit_answers(findings)
    yield from size_answers(findings)
    yield from _lacking(results, timed)


def _disturbed_answer(results: ResultSet, setting: Case) -> Iterator[str]:
    """For example: Prefill: cannot tell how times grow; the machine was disturbed: …."""
    disturbed = results.disturbed(setting)
    if disturbed is not None:
        place = f"{MODE_WORD[setting.mode]}{where(results, setting)}"
        several = len(results.subjects(setting)) > 1
        what = "which model is ahead in time, nor how times grow" if several else "how times grow"
        if disturbed.by_machine:
            why = f"the machine was disturbed: {disturbed.words}. Measure again when it is quiet"
        else:
            why = (
                f"{disturbed.words}, far beyond the usual: the machine was busy, or a model's time "
                "varies by itself. Measure again when it is quiet, or with more processes"
            )
        yield f"{place}: cannot tell {what}; {why}."


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
        return f"Nothing was measured: no case of this run finished ({SEE_FAILURES})."
    said = [
        f"{subject} {mode} at {span(sorted(set(lengths)))} tokens {end} under {cap}"
        for (subject, mode, end, cap), lengths in ends.items()
    ]
    unsaid = sum(map(len, list(ends.values())[MAX_NAMES:])) + others
    more = [f"{unsaid} more: {SEE_FAILURES}"] if unsaid else []
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
        yield f"Values that are no finite numbers were left out ({SEE_FAILURES})."


def _growth_answer(findings: Findings, setting: Case) -> Iterator[str]:
    """For example: … with lmn the time per token stays flat within the noise (1.0× …); …."""
    spans: dict[tuple[int, int], list[str]] = {}
    for subject in findings.told_alone(setting):
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
