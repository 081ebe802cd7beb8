"""A comparison as a document: the verdict first, then what changed, then what did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Row, Verdict
from lmn_bench.report.compared.figure import forest_chart
from lmn_bench.report.compared.names import CaseNames, case_names
from lmn_bench.report.compared.tables import (
    counters_table,
    measured_table,
    outcomes_table,
    reasons_table,
)
from lmn_bench.report.compared.words import (
    Kind,
    by_change,
    change_words,
    extent_words,
    harm,
    kind,
    metric_title,
    verdict_sentence,
)
from lmn_bench.report.document import Document, Section

# As many unchanged rows stand among the others; more have a place of their own.
_FEW = 8


def comparison_document(comparison: Comparison, *, everything: bool = False) -> Document:
    """What a comparison says.

    Args:
        comparison: the verdict and its rows.
        everything: list unchanged rows too, where there are many; else they are counted.
    """
    names = case_names(row.case for row in (*comparison.rows, *comparison.null))
    sections = list(_sections(comparison, names, everything))
    if names.shared and sections:
        said = (f"All cases: {names.shared}.", *sections[0].sentences)
        sections[0] = replace(sections[0], sentences=said)
    return Document(
        title=f"{comparison.new} against {comparison.base}",
        subtitle=extent_words(comparison),
        answers=(verdict_sentence(comparison), *comparison.reasons),
        sections=tuple(sections),
    )


def measured(comparison: Comparison) -> list[Row]:
    """Rows of what varies from process to process."""
    return [row for row in comparison.rows if not row.exact and row.metric != OUTCOME]


def counters(comparison: Comparison) -> list[Row]:
    """Rows of what is counted."""
    return [row for row in comparison.rows if row.exact and row.metric != OUTCOME]


def outcomes(comparison: Comparison) -> list[Row]:
    """Rows of how cases ended."""
    return [row for row in comparison.rows if row.metric == OUTCOME]


def _sections(comparison: Comparison, names: CaseNames, everything: bool) -> Iterator[Section]:
    rows = by_change(measured(comparison))
    same = [row for row in rows if row.verdict is Verdict.SAME]
    apart = len(same) > _FEW
    if rows:
        yield _measured_section(comparison, names, rows, same if apart else [])
    changed = [row for row in outcomes(comparison) if row.verdict is not Verdict.SAME]
    if changed:
        yield Section("How cases ended", tables=(outcomes_table(by_change(changed), names),))
    if counters(comparison):
        yield _counters_section(counters(comparison), names)
    if apart and everything:
        table = measured_table(same, names, "")
        yield Section("Unchanged", (_same_sentence(len(same)),), (table,), folded=True)
    if comparison.null:
        yield _null_section(comparison.null, names)
    if comparison.notes:
        yield Section("Notes", comparison.notes)


def _measured_section(
    comparison: Comparison, names: CaseNames, rows: Sequence[Row], apart: Sequence[Row]
) -> Section:
    shown = [row for row in rows if row not in set(apart)]
    sentences = (_same_sentence(len(apart)),) if apart else ()
    unclear = [row for row in rows if kind(row) is Kind.CANNOT_TELL and row.reason]
    side = comparison.side_by_side
    tables = [measured_table(shown, names, comparison.base, side_by_side=side)] if shown else []
    if unclear:
        tables.append(reasons_table(unclear, names))
    chart = forest_chart(rows, names, comparison.margin)
    return Section("Measured", sentences, tuple(tables), (chart,) if chart else ())


def _same_sentence(count: int) -> str:
    return f"{count:,} comparisons came out the same: no change beyond the margin."


def _counters_section(rows: Sequence[Row], names: CaseNames) -> Section:
    changed = [row for row in by_change(rows) if row.verdict is not Verdict.SAME]
    equal = len(rows) - len(changed)
    sentence = (
        f"{equal:,} of {len(rows):,} counters {'is' if equal == 1 else 'are'} equal."
        if equal
        else ""
    )
    tables = [counters_table(changed, names)] if changed else []
    unclear = [row for row in changed if row.verdict is Verdict.CANNOT_TELL]
    if unclear:
        tables.append(reasons_table(unclear, names))
    return Section("Exact counters", (sentence,) if sentence else (), tuple(tables))


def _null_section(rows: Sequence[Row], names: CaseNames) -> Section:
    """The comparison of base with itself: what it fires on would be a false alarm."""
    fired = [row for row in rows if not row.passes]
    count = f"{len(rows):,} comparison{'s' * (len(rows) != 1)}"
    said = [f"{count} of base with itself, measured among the others."]
    told = [row for row in rows if change_words(row) != "–" and not row.exact]
    if told:
        most = max(told, key=lambda row: abs(harm(row)))
        where = f"{metric_title(most.metric)} of {names[most.case]}"
        said.append(f"The largest difference is {change_words(most)} ({where}).")
    said.append(
        f"{len(fired):,} came out as a change: noise of this size is not told from a change here."
        if fired
        else "None came out as a change, as it should be."
    )
    tables = (measured_table(by_change(fired), names, ""),) if fired else ()
    return Section("Base against base", tuple(said), tables)
