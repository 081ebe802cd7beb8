"""The words and signs that all reports of a comparison share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Gate, Row, Verdict
from lmn_bench.errors import ExitCode
from lmn_bench.metrics import METRICS
from lmn_bench.report.compared.names import CaseNames
from lmn_bench.schema import Outcome
from lmn_bench.units import format_change, format_change_range, format_share, format_value

NOTHING = "–"
_MAX_DIGITS = 15
# Counts below this are written out; larger ones take a prefix.
_LARGE = 1e9


class Kind(StrEnum):
    """What a verdict means to who reads it, from the worst to the least telling.

    Kinds have signs and colours; the words of a row are those of its `Verdict` alone.
    """

    REGRESSION = "regression"
    WORSE = "worse"
    CHANGED = "changed"
    CANNOT_TELL = "cannot tell"
    NOT_WORSE = "not worse"
    BETTER = "better"
    SAME = "same"


# A sign for each, so that nothing is told by colour alone.
SIGNS = {
    Kind.REGRESSION: "✗", Kind.WORSE: "!", Kind.CHANGED: "≠", Kind.CANNOT_TELL: "?",
    Kind.NOT_WORSE: "≤", Kind.BETTER: "✓", Kind.SAME: "=",
}  # fmt: skip
_PLAIN = {
    Verdict.FASTER: Kind.BETTER, Verdict.MENDED: Kind.BETTER, Verdict.SLOWER: Kind.WORSE,
    Verdict.BROKEN: Kind.WORSE, Verdict.SAME: Kind.SAME, Verdict.CANNOT_TELL: Kind.CANNOT_TELL,
    Verdict.NOT_WORSE: Kind.NOT_WORSE, Verdict.MORE_ALLOWED: Kind.WORSE,
}  # fmt: skip
_BETTER = {Verdict.LESS: "lower", Verdict.MORE: "higher"}


def kind(row: Row) -> Kind:
    """What a row's verdict means; less and more are better or worse by the metric."""
    if row.regression:
        return Kind.REGRESSION
    if row.verdict in _PLAIN:
        return _PLAIN[row.verdict]
    better = METRICS[row.metric].better
    if better == "neither":
        return Kind.CHANGED
    return Kind.BETTER if better == _BETTER[row.verdict] else Kind.WORSE


def verdict_words(row: Row) -> str:
    """A verdict with its sign: "✗ slower", "✓ faster", "≤ not worse", "? cannot tell"."""
    return f"{SIGNS[kind(row)]} {row.verdict}"


def counted_verdicts(rows: Sequence[Row]) -> str:
    """How many rows have which verdict, the worst first: "2 slower (regression), 28 same"."""
    order = {one: place for place, one in enumerate(Kind)}
    counts: dict[tuple[int, str], int] = {}
    for row in rows:
        word = f"{row.verdict} (regression)" if row.regression else row.verdict.value
        key = (order[kind(row)], word)
        counts[key] = counts.get(key, 0) + 1
    return ", ".join(f"{count:,} {word}" for (_, word), count in sorted(counts.items()))


def metric_title(key: str) -> str:
    """A metric as people call it."""
    return "outcome" if key == OUTCOME else METRICS[key].title


def change_words(row: Row) -> str:
    """The change: "+4.9 %"."""
    ratio = finite(row.ratio)
    return NOTHING if ratio is None else format_change(ratio)


def interval_words(row: Row) -> str:
    """The interval of the change: "+3.1 to +6.8 %"."""
    low, high = finite(row.low), finite(row.high)
    return NOTHING if low is None or high is None else format_change_range(low, high)


def value_words(value: float | None, key: str) -> str:
    """A measured value with its unit."""
    return format_value(finite(value), METRICS[key].unit)


def exact_words(row: Row) -> tuple[str, str, str]:
    """Base, new and difference of a counter, with as many digits as tell the two apart."""
    base, new, unit = finite(row.base), finite(row.new), METRICS[row.metric].unit
    if unit == "" and base is not None and new is not None and _are_counts(base, new):
        return f"{base:,.0f}", f"{new:,.0f}", f"{new - base:+,.0f}"
    most = 3 if base == new else _MAX_DIGITS
    for digits in range(3, most + 1):
        told = format_value(base, unit, digits), format_value(new, unit, digits)
        if told[0] != told[1]:
            break
    if base is None or new is None:
        return (*told, NOTHING)
    sign = "+" if new > base else "-" if new < base else ""
    return (*told, f"{sign}{format_value(abs(new - base), unit)}")


def _are_counts(*values: float) -> bool:
    return all(float(value).is_integer() and abs(value) < _LARGE for value in values)


def outcome_words(outcome: Outcome) -> str:
    """How a case ended: "out of memory"."""
    return outcome.value.replace("_", " ")


def finite(value: float | None) -> float | None:
    """The value where it is a number that can be written down, else None."""
    return value if value is not None and math.isfinite(value) else None


def harm(row: Row) -> float:
    """How much worse new is, as a logarithm: above 0 worse, below 0 better, 0 without a ratio."""
    ratio = finite(row.ratio)
    if ratio is None or ratio <= 0:
        return 0.0
    higher = row.metric != OUTCOME and METRICS[row.metric].better == "higher"
    return -math.log(ratio) if higher else math.log(ratio)


def by_change(rows: Sequence[Row]) -> list[Row]:
    """Regressions first, then by the size of the change, whichever way it goes."""
    return sorted(rows, key=lambda row: (not row.regression, -abs(harm(row))))


def row_words(row: Row, names: CaseNames) -> str:
    """What a row says, in one line: "latency of lmn decode 1,024: slower, +12 % (+9 to +15 %)"."""
    about = f"{metric_title(row.metric)} of {names[row.case]}: {row.verdict}"
    if row.metric == OUTCOME:
        ends = f"{outcome_words(row.base_outcome)} before, {outcome_words(row.new_outcome)} now"
        return f"{about}, {ends}{_because(row)}"
    if row.exact:
        base, new, difference = exact_words(row)
        return f"{about}, from {base} to {new} ({difference}){_because(row)}"
    if change_words(row) == NOTHING:
        return f"{about}{_because(row)}"
    values = f"from {value_words(row.base, row.metric)} to {value_words(row.new, row.metric)}"
    interval = interval_words(row)
    ends = f" ({interval})" if interval != NOTHING else ""
    return f"{about}, {change_words(row)}{ends}, {values}{_because(row)}"


def _because(row: Row) -> str:
    return f"; {row.reason}" if row.reason else ""


def verdict_sentence(comparison: Comparison) -> str:
    """The gate's verdict in words: "regression: 2 of 34 comparisons regressed"."""
    count = len(comparison.rows)
    many = f"{count:,} comparison{'s' * (count != 1)}"
    found = sum(row.regression for row in comparison.rows)
    unclear = sum(row.verdict is Verdict.CANNOT_TELL for row in comparison.rows)
    unsure = sum(not row.passes and not row.regression for row in comparison.rows) - unclear
    match comparison.verdict:
        case Gate.REGRESSION:
            said = f"{found:,} of {many} regressed"
        case Gate.INCONCLUSIVE:
            told = {
                f"{unclear:,} of {many} cannot be told": unclear,
                f"{unsure:,} of {many} may be worse, not surely enough": unsure,
            }
            said = "; ".join(text for text, holds in told.items() if holds)
            noisy = any(not row.passes for row in comparison.null)
            why = "identical code differed" if noisy else "not all could be compared"
            said = said or f"none of {many} regressed, but {why}"
        case Gate.INCOMPARABLE:
            said = f"{comparison.new} cannot be set against {comparison.base}"
        case Gate.PASS:
            said = f"none of {many} regressed" if count else "there was nothing to compare"
    return f"{comparison.verdict}: {said}"


def extent_words(comparison: Comparison) -> str:
    """How much was compared, and from which change on it counts."""
    cases = len({row.case for row in comparison.rows})
    rows = len(comparison.rows)
    return (
        f"{rows:,} comparison{'s' * (rows != 1)} of {cases:,} case{'s' * (cases != 1)}"
        f"{_processes(comparison)}; changes up to {format_share(comparison.margin)} count as none"
    )


def _processes(comparison: Comparison) -> str:
    counts = [
        count
        for row in comparison.rows
        if not row.exact and row.metric != OUTCOME
        for count in (row.base_processes, row.new_processes)
        if count
    ]
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    span = f"{low}" if low == high else f"{low} to {high}"
    return f", {span} process{'es' * (high != 1)} on either side"


_MEANING = {
    ExitCode.OK: "nothing is shown to be worse",
    ExitCode.CASES_FAILED: "something got worse",
    ExitCode.USAGE: "a report could not be written",
    ExitCode.INCONCLUSIVE: "whether anything got worse is open",
    ExitCode.INCOMPARABLE: "nothing could be compared",
}


def closing_sentence(comparison: Comparison, code: ExitCode) -> str:
    """The verdict once more, with what the exit code says: the last line of a terminal."""
    gate, _, said = verdict_sentence(comparison).partition(": ")
    meaning = _MEANING[code]
    if comparison.verdict is Gate.PASS and code is ExitCode.OK:
        meaning = "nothing got worse by more than is allowed"
    elif code is ExitCode.OK:
        meaning += f"; with --fail-on inconclusive it is {ExitCode.INCONCLUSIVE.value}"
    return f"{gate.upper()}: {said} (exit code {code.value}: {meaning})"
