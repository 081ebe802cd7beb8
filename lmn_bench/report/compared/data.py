"""A comparison as data: the contract for programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Row
from lmn_bench.metrics import METRICS
from lmn_bench.report.compared.words import finite
from lmn_bench.safe import csv_cell

# Raised when a field changes its meaning or goes away; a new field needs no new number.
COMPARISON_SCHEMA = 1


def comparison_json(comparison: Comparison, exit_code: int | None) -> dict[str, Any]:
    """The contract of `compare --json` and `ab --json`.

    `cases` has an object per row, `null` the same of base against base; `verdict` of a row is one
    of `Verdict`'s words. Numbers are in base units and finite; null stands where there is none.
    """
    return {
        "schema": COMPARISON_SCHEMA,
        "verdict": comparison.verdict.value,
        "exit_code": exit_code,
        "base": comparison.base,
        "new": comparison.new,
        "margin": finite(comparison.margin),
        "reasons": list(comparison.reasons),
        "notes": list(comparison.notes),
        "cases": [_row(row) for row in comparison.rows],
        "null": [_row(row) for row in comparison.null],
    }


def comparison_csv(comparison: Comparison) -> str:
    """One line per row, those of base against base last, where `part` is "null"."""
    text = io.StringIO()
    parts = [("cases", row) for row in comparison.rows] + [("null", r) for r in comparison.null]
    writer = csv.DictWriter(text, ("part", *COLUMNS, "unit"), lineterminator="\n")
    writer.writeheader()
    for part, row in parts:
        unit = "" if row.metric == OUTCOME else METRICS[row.metric].unit
        cells = {"part": part, **_row(row), "unit": unit}
        writer.writerow({name: csv_cell(cell) for name, cell in cells.items()})
    return text.getvalue()


COLUMNS = (
    "case_id", "metric", "ratio", "low", "high", "verdict", "regression", "exact", "base", "new",
    "base_median", "new_median", "base_processes", "new_processes", "base_outcome", "new_outcome",
    "reason",
)  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    values: tuple[Any, ...] = (
        row.case.id, row.metric, finite(row.ratio), finite(row.low), finite(row.high),
        row.verdict.value, row.regression, row.exact, finite(row.base), finite(row.new),
        finite(row.base_median), finite(row.new_median),
        row.base_processes, row.new_processes, row.base_outcome.value, row.new_outcome.value,
        row.reason,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
