"""Decides what a report says: from results to a document of sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.analysis.claims import judge
from lmn_bench.analysis.results import ResultSet, quiet_settings
from lmn_bench.disturbance import DISTURBED, ENOUGH, is_disturbed, slow_loop_s
from lmn_bench.report.answers import answers
from lmn_bench.report.claims import claims_answer, claims_sections
from lmn_bench.report.document import Document, Section
from lmn_bench.report.tables import (
    failures_section,
    limits_section,
    mode_sections,
    models_section,
)
from lmn_bench.report.words import machine_line
from lmn_bench.schema import Environment, Record, RunInfo


def build_report(
    info: RunInfo, results: ResultSet, records: Sequence[Record], planned: int
) -> Document:
    """The whole report of a run.

    Args:
        info: what the run knows about itself.
        results: its cases.
        records: its records, for warnings and counts.
        planned: replicates that the suite asks for.
    """
    judged = judge(results, info.suite.claims)
    sections = [*claims_sections(judged), *mode_sections(results, info)]
    for section in (limits_section(results), models_section(results), failures_section(results)):
        if section is not None:
            sections.append(section)
    sections.append(_method(info, records, planned))
    return Document(
        title=f"{info.suite.name}: {info.run_id}",
        subtitle=machine_line(info.environment),
        answers=(*answers(results), *claims_answer(judged)),
        sections=tuple(sections),
    )


def _method(info: RunInfo, records: Sequence[Record], planned: int) -> Section:
    measuring, environment = info.suite.measuring, info.environment
    further = sum(record.replicate >= measuring.processes for record in records)
    sentences = [
        f"{measuring.processes} processes per case, each with its own check, memory pass and "
        f"timing pass; order shuffled in rounds with seed {info.seed}.",
        "A value is the median over processes; its interval runs between order statistics "
        f"({_interval_words(measuring.processes)}).",
        f"{len(records) - further:,} of {planned:,} planned processes recorded"
        + (
            f", and {further:,} further ones of cases that had been disturbed; "
            if further
            else "; "
        )
        + f"lmn-bench {environment.lmn_bench}, torch {environment.torch}, "
        f"Python {environment.python}{_git(environment)}.",
    ]
    limit_s = slow_loop_s(records)
    slow = sum(is_disturbed(record, limit_s) for record in records)
    timed = sum("latency_s" in record.metrics for record in records)
    if slow:
        quiet = {setting.mode for setting in quiet_settings(records)}
        where = ", ".join(sorted(quiet)) or "no mode"
        sentences.append(
            f"{slow:,} of {timed:,} processes ran while the machine itself was slow (reference "
            f"loop over {DISTURBED:g} times its fastest). Their times are left out where every "
            f"case of a mode has {ENOUGH} others: here in {where}."
        )
    sentences += [f"Noise: {w.message}; {w.hint}." for w in environment.warnings]
    warned: dict[str, int] = {}
    for record in records:
        for warning in record.warnings:
            kind = warning.split(":")[0]
            warned[kind] = warned.get(kind, 0) + 1
    sentences += [
        f"{count:,} replicates with the warning “{kind}” (see records.jsonl)."
        for kind, count in warned.items()
    ]
    if info.command:
        sentences.append(f"Repeat it: {' '.join(info.command)}")
    return Section("Method", sentences=tuple(sentences))


def _interval_words(processes: int) -> str:
    if processes == 1:
        return "one process: no interval"
    if processes < 6:
        return f"with {processes} processes their whole range, {1 - 2.0 ** (1 - processes):.1%}"
    return "at least 95%"


def _git(environment: Environment) -> str:
    if environment.git_commit is None:
        return ""
    return f", commit {environment.git_commit[:10]}{' (changed)' * bool(environment.git_dirty)}"
