"""A comparison as a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Gate, Row
from lmn_bench.report.compared.names import CaseNames, case_names
from lmn_bench.report.compared.words import (
    NOTHING,
    SIGNS,
    Kind,
    by_change,
    change_words,
    counted_verdicts,
    exact_words,
    extent_words,
    interval_words,
    kind,
    metric_title,
    outcome_words,
    value_words,
    verdict_sentence,
)
from lmn_bench.safe import markdown, markdown_code

# GitHub refuses a comment of more than 65,536 characters; a bot may put a line of its own around.
MOST_CHARACTERS = 60_000
# Of it, what the rows may take; head and foot are bounded below this.
_ROWS_CHARACTERS = 42_000
_MOST_SENTENCES = 12
_SENTENCE, _NAME, _COMMAND = 500, 120, 500
GATE_SIGNS = {
    Gate.PASS: "✅", Gate.REGRESSION: "❌", Gate.INCONCLUSIVE: "⚠️", Gate.INCOMPARABLE: "⚠️",
}  # fmt: skip
# What isn't told before the fold, in the order in which it is told behind it.
_QUIET = (Kind.CANNOT_TELL, Kind.NOT_WORSE, Kind.SAME)
_ROW_SIGNS = {**SIGNS, Kind.REGRESSION: "❌", Kind.WORSE: "⚠️", Kind.BETTER: "✅"}
_HEAD = (
    "| case | metric | base | new | change | 95 % interval | verdict |\n"
    "| :-- | :-- | --: | --: | --: | --: | :-- |"
)


def comparison_markdown(comparison: Comparison, limit: int = 20, command: str = "") -> str:
    """GitHub-flavoured Markdown of at most `MOST_CHARACTERS` characters.

    Args:
        comparison: what it tells.
        limit: rows that stand open, the worst first; the others are folded.
        command: repeats it; left out where empty.
    """
    return "\n".join(_lines(comparison, limit, command)) + "\n"


def _lines(comparison: Comparison, limit: int, command: str) -> Iterator[str]:
    names = case_names(row.case for row in comparison.rows)
    sign = GATE_SIGNS[comparison.verdict]
    yield f"### {sign} {markdown(verdict_sentence(comparison), 2 * _SENTENCE)}"
    yield ""
    yield f"{markdown(comparison.new, _SENTENCE)} against {markdown(comparison.base, _SENTENCE)}"
    yield from _list(comparison.reasons)
    yield ""
    rows = by_change(comparison.rows)
    telling = [row for row in rows if kind(row) not in _QUIET]
    shown = telling[:limit]
    budget = _Budget(_ROWS_CHARACTERS)
    if shown:
        yield from _table(shown, names, budget)
        yield ""
    equal = [row for row in rows if row.exact and kind(row) is Kind.SAME]
    rest = [*telling[limit:], *(row for one in _QUIET for row in rows if kind(row) is one)]
    rest = [row for row in rest if row not in set(equal)]
    if equal:
        counters = sum(row.exact for row in rows)
        yield f"{len(equal):,} of {counters:,} exact counters are equal."
        yield ""
    if rest:
        yield f"<details><summary>{markdown(_rest_words(rest), _SENTENCE)}</summary>"
        yield ""
        yield from _table(rest, names, budget)
        yield ""
        yield "</details>"
        yield ""
    if comparison.notes:
        yield from _list(comparison.notes)
        yield ""
    yield from _foot(comparison, names, command)


def _foot(comparison: Comparison, names: CaseNames, command: str) -> Iterator[str]:
    null = comparison.null
    fired = [row for row in null if not row.passes]
    said = [f"{extent_words(comparison)}."]
    if names.shared:
        said.append(f"All cases: {names.shared}.")
    if null:
        said.append(f"Base against base: {len(fired):,} of {len(null):,} came out as a change.")
    repeat = f" Repeat it: {markdown_code(command, _COMMAND)}" if command else ""
    yield f"{markdown(' '.join(said), 2 * _SENTENCE)}{repeat}"


class _Budget:
    """Characters that are left for rows."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def takes(self, line: str) -> bool:
        """Whether a line still fits; once one doesn't, no further one does."""
        self._left -= len(line) + 1
        return self._left >= 0


def _table(rows: Sequence[Row], names: CaseNames, budget: _Budget) -> Iterator[str]:
    lines = []
    for row in rows:
        line = _row(row, names)
        if not budget.takes(line):
            break
        lines.append(line)
    if lines:
        yield _HEAD
        yield from lines
    if len(lines) < len(rows):
        yield ""
        yield (f"{len(rows) - len(lines):,} more rows do not fit into a comment; the report and "
               "its data have all.")  # fmt: skip


def _row(row: Row, names: CaseNames) -> str:
    if row.metric == OUTCOME:
        values = [outcome_words(row.base_outcome), outcome_words(row.new_outcome), NOTHING, NOTHING]
    elif row.exact:
        base, new, difference = exact_words(row)
        values = [base, new, difference, "exact"]
    else:
        values = [value_words(row.base, row.metric), value_words(row.new, row.metric),
                  change_words(row), interval_words(row)]  # fmt: skip
    because = f": {markdown(row.reason, _SENTENCE)}" if row.reason else ""
    verdict = f"{_ROW_SIGNS[kind(row)]} {row.verdict}{because}"
    name, metric = markdown(names[row.case], _NAME), markdown(metric_title(row.metric), _NAME)
    return f"| {name} | {metric} | {' | '.join(values)} | {verdict} |"


def _rest_words(rest: Sequence[Row]) -> str:
    return f"{len(rest):,} more: {counted_verdicts(rest)}"


def _list(sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield ""
    for sentence in sentences[:_MOST_SENTENCES]:
        yield f"* {markdown(sentence, _SENTENCE)}"
    if len(sentences) > _MOST_SENTENCES:
        yield f"* and {len(sentences) - _MOST_SENTENCES:,} more"
