"""A plan as a document: `run --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.plan import PlannedCase, left_out, on_this_machine
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.learned.planned import planned_answers, planned_tables
from lmn_bench.report.left_out import left_out_sentences
from lmn_bench.schema import Case, Environment, Suite
from lmn_bench.units import format_bytes, format_cap, format_duration, format_lengths


def plan_document(
    suite: Suite, planned: Sequence[PlannedCase], environment: Environment
) -> Document:
    """What a run would measure, series by series, and what it would take."""
    learns = suite.learning is not None
    absent = left_out_sentences(left_out(planned))
    planned = on_this_machine(planned)
    answers = planned_answers(suite, planned) if learns else _answers(suite, planned)
    answers += absent
    skipped = sum(item.skip is not None for item in planned)
    if skipped:
        answers.append(f"{skipped:,} case{'s are' if skipped > 1 else ' is'} skipped, see below.")
    tables = planned_tables(planned) if learns else (_series_table(planned),)
    sections = [Section("Plan", tables=tables)]
    reasons: dict[str, list[str]] = {}
    for item in planned:
        if item.skip:
            reasons.setdefault(item.skip, []).append(item.case.id)
    if reasons:
        rows = tuple((reason, f"{len(ids):,}", ids[0]) for reason, ids in reasons.items())
        skips = Table("", ("reason", "cases", "for example"), rows, wraps=True)
        sections.append(Section("Skipped", tables=(skips,)))
    subtitle = f"{environment.cpu_model}, {environment.logical_cores} cores"
    return Document(f"Plan of {suite.name}", subtitle, tuple(answers), tuple(sections))


def _answers(suite: Suite, planned: Sequence[PlannedCase]) -> list[str]:
    """How many measurements there are, and how long they take."""
    todo = [item for item in planned if item.skip is None]
    seconds = sum(item.seconds or 0.0 for item in todo)
    unknown = sum(item.seconds is None for item in todo)
    measuring = suite.measuring
    extra = measuring.timing * measuring.quiet_extra_s
    return [
        f"{len(todo):,} cases × {measuring.processes} processes = "
        f"{len(todo) * measuring.processes:,} measurements, "
        f"about {format_duration(seconds)} in all"
        + (f", and up to {format_duration(extra)} for disturbed cases" if extra else "")
        + (f", not counting {unknown:,} cases of models of your own" if unknown else "")
        + ".",
    ]


def _series_table(planned: Sequence[PlannedCase]) -> Table:
    series: dict[Case, list[PlannedCase]] = {}
    for item in planned:
        series.setdefault(item.case.series, []).append(item)
    return Table(
        "Series",
        ("model", "mode", "lengths", "device", "cap", "memory", "time"),
        tuple(_row(case, items) for case, items in series.items()),
        "Memory: forecast for the longest length. Time: forecast for all processes. "
        "First-order formulas; nothing was measured.",
    )


def _row(case: Case, items: Sequence[PlannedCase]) -> tuple[str, ...]:
    todo = [item for item in items if item.skip is None]
    memory = [item.memory_bytes for item in todo if item.memory_bytes is not None]
    seconds = [item.seconds for item in todo if item.seconds is not None]
    return (
        case.subject,
        case.mode,
        format_lengths([item.case.length for item in items]),
        (f"{case.device}, {case.threads} thr" if case.device == "cpu" else case.device)
        + "".join(f", {form}" for form in case.forms),
        format_cap(case.memory_cap_bytes),
        format_bytes(max(memory)) if memory else ("?" if todo else "skipped"),
        format_duration(sum(seconds)) if seconds else ("?" if todo else "–"),
    )
