"""A comparison as GitHub workflow commands, which GitHub shows beside a change."""

from lmn_bench.analysis.comparison import Comparison, Gate, Verdict
from lmn_bench.report.compared.names import case_names
from lmn_bench.report.compared.words import by_change, row_words, verdict_sentence
from lmn_bench.safe import annotation

# GitHub shows this many errors of a step and drops the others.
MOST_ERRORS = 10
_TITLE = "lmn-bench"


def annotations(comparison: Comparison) -> list[str]:
    """Commands to print on stdout, one per line: an error per regression, then how it ended."""
    incomparable = comparison.verdict is Gate.INCOMPARABLE
    red = [row for row in comparison.rows if row.regression and not incomparable]
    found = by_change(red)
    names = case_names(row.case for row in comparison.rows)
    shown = found if len(found) <= MOST_ERRORS else found[: MOST_ERRORS - 1]
    lines = [
        annotation("error", f"{_TITLE}: {row.verdict}: {names[row.case]}", row_words(row, names))
        for row in shown
    ]
    if len(shown) < len(found):
        more = f"{len(found) - len(shown):,} more regressions are not shown here."
        lines.append(annotation("error", f"{_TITLE}: and more", more))
    said = "; ".join((verdict_sentence(comparison), *comparison.reasons))
    title = f"{_TITLE}: {comparison.verdict}"
    match comparison.verdict:
        case Gate.INCOMPARABLE:
            lines.append(annotation("error", title, said))
        case Gate.REGRESSION if not found:
            lines.append(annotation("error", title, said))
        case Gate.INCONCLUSIVE:
            lines.append(annotation("warning", title, said))
        case _:
            unclear = sum(row.verdict is Verdict.CANNOT_TELL for row in comparison.rows)
            told = f"{said}; {unclear:,} cannot be told" if unclear else said
            lines.append(annotation("notice", title, told))
    return lines
