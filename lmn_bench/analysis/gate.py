"""From rows to the verdict on all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Gate, Row, Verdict
from lmn_bench.analysis.gate_reasons import (
    failed_sentences,
    green_sentences,
    is_measured,
    null_sentences,
    other_sentences,
    red_sentences,
    undecided_sentences,
)
from lmn_bench.analysis.paired import Rules

# What noise may be taken for; what is shown to be the same, or not worse, stands.
_CHANGES = frozenset({Verdict.FASTER, Verdict.SLOWER, Verdict.LESS, Verdict.MORE})
_NOISY = "identical code differed too"


def conclude(
    *,
    base: str,
    new: str,
    rows: Sequence[Row],
    rules: Rules,
    lacking: Sequence[str] = (),
    null: Sequence[Row] = (),
    notes: Sequence[str] = (),
    side_by_side: bool = False,
) -> Comparison:
    """The verdict on all rows.

    Args:
        base: in words.
        new: in words.
        rows: of all cases.
        rules: by which measured rows were judged.
        lacking: what keeps the gate from passing beside the rows, as sentences.
        null: base against base; rows that don't pass are those where identical code differed.
        notes: what else a reader has to know, as sentences.
        side_by_side: measured in alternation.
    """
    fired = [row for row in null if not row.passes]
    if fired:
        # Counts and outcomes need no quiet machine; times do.
        rows = [_withdrawn(row) if is_measured(row) and row.verdict in _CHANGES else row
                for row in rows]  # fmt: skip
    red = [row for row in rows if row.regression]
    undecided = [row for row in rows if not row.passes and not row.regression]
    reasons = [*null_sentences(fired), *red_sentences(red, rules)]
    if red:
        verdict = Gate.REGRESSION
    elif fired or undecided or lacking:
        verdict = Gate.INCONCLUSIVE
    else:
        verdict = Gate.PASS
        reasons += green_sentences(rows, rules)
    reasons += [*other_sentences(rows), *undecided_sentences(rows, rules), *lacking]
    return Comparison(
        base, new, verdict, tuple(reasons), by_change(rows), rules.margin, tuple(null),
        (*notes, *failed_sentences(rows)), side_by_side,
    )  # fmt: skip


def incomparable(
    base: str, new: str, reasons: Sequence[str], rules: Rules, notes: Sequence[str] = ()
) -> Comparison:
    """The comparison of what cannot be compared."""
    return Comparison(base, new, Gate.INCOMPARABLE, tuple(reasons), (), rules.margin, (),
                      tuple(notes))  # fmt: skip


def _withdrawn(row: Row) -> Row:
    """A change that noise would have shown as well."""
    return replace(row, verdict=Verdict.CANNOT_TELL, regression=False, passes=False, reason=_NOISY)


def by_change(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Regressions first, then outcomes, then by the size of the change."""

    def size(row: Row) -> float:
        if row.ratio is None or row.ratio == 1:
            return 0.0
        return abs(math.log(row.ratio)) if 0 < row.ratio < math.inf else math.inf

    return tuple(
        sorted(rows, key=lambda r: (not r.regression, r.metric != OUTCOME, -size(r), r.case.id))
    )
