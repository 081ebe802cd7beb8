"""The longest length that a model takes under a memory cap, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from lmn_bench.analysis.endings import ending
from lmn_bench.analysis.results import CaseResult, Series
from lmn_bench.report.findings import Findings
from lmn_bench.report.phrases import say
from lmn_bench.report.words import MODE_WORD, cap_label, cap_mechanisms
from lmn_bench.schema import Outcome
from lmn_bench.units import format_length


def limit_answers(findings: Findings) -> Iterator[str]:
    """For example: Prefill under a cap of 16MiB takes 4,096 tokens with lmn, 512 with gru."""
    results = findings.results
    for setting in results.settings():
        if setting.memory_cap_bytes is None:
            continue
        said: list[str] = []
        tried: list[CaseResult] = []
        for subject in findings.told_alone(setting):
            series = results.series(setting, subject)
            tried += series.values()
            if any(result.outcome is not Outcome.SKIPPED for result in series.values()):
                said.append(_limit(series, subject))
        if said:
            cap = cap_label(setting.memory_cap_bytes, cap_mechanisms(tried))
            mode = MODE_WORD[setting.mode]
            yield say("under a cap", mode=mode, cap=cap, limits=", ".join(said))


def _limit(series: Series, subject: str) -> str:
    """The longest length that fits; that the cap ends there is said only where it does."""
    fitting = [n for n, result in series.items() if result.outcome is Outcome.OK]
    if not fitting:
        first = next(n for n, r in series.items() if r.outcome is not Outcome.SKIPPED)
        return say("none fits", name=subject, ended=ending(series, first).words)
    longest = max(fitting)
    longer = [n for n in series if n > longest]
    told = {"length": format_length(longest), "name": subject}
    at_longest = ending(series, longest)
    if at_longest.kind == "partly":
        return say("longest partly", **told, ended=at_longest.words)
    if not longer:
        return say("longest open", **told)
    beyond = ending(series, longer[0])
    if beyond.limit == "memory":
        return say("longest", **told)
    return say("longest ended", **told, ended=beyond.words)
