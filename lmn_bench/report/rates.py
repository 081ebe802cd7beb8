"""The table of rates: FLOP/s and bytes/s achieved, beside the machine's ceilings where known."""

from __future__ import annotations

from lmn_bench.analysis.achieved import achieved, longest_common_length
from lmn_bench.analysis.results import ResultSet
from lmn_bench.report.document import Table
from lmn_bench.schema import Case, Ceiling
from lmn_bench.units import format_length, format_value

_NOTHING = "–"


def achieved_table(results: ResultSet, setting: Case, ceiling: Ceiling | None) -> Table | None:
    """Rates of every subject of a setting at the longest length that all of them finished."""
    length = longest_common_length(results, setting)
    if length is None:
        return None
    rows = []
    for subject in results.subjects(setting):
        result = results.series(setting, subject).get(length)
        found = achieved(result, ceiling) if result is not None else None
        if found is not None:
            rates = (_rate(found.flops_per_s, "FLOP/s"), _rate(found.bytes_per_s, "B/s"))
            shares = (_share(found.matrix_share), _share(found.copy_share))
            rows.append((subject, rates[0], shares[0], rates[1], shares[1]))
    if not rows:
        return None
    columns: tuple[str, ...] = ("model", "matrix products", "of ceiling", "memory", "of ceiling")
    if ceiling is None:
        rows = [(row[0], row[1], row[3]) for row in rows]  # type: ignore[misc]
        columns = ("model", "matrix products", "memory")
    return Table(
        f"Achieved at {format_length(length)} tokens", columns, tuple(rows), _note(ceiling)
    )


def _note(ceiling: Ceiling | None) -> str:
    note = (
        "FLOPs of matrix products, and the least bytes that have to move, by the median time: a "
        "computation that reads anything twice moves more."
    )
    if ceiling is None:
        return note
    return (
        f"{note} Ceilings measured before the run: "
        f"{format_value(ceiling.matrix_flops_per_s, 'FLOP/s')} in a matrix product, "
        f"{format_value(ceiling.copy_bytes_per_s, 'B/s')} in a copy (read and written)."
    )


def _rate(value: float | None, unit: str) -> str:
    return format_value(value, unit)


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0%}" if value >= 0.01 else f"{value:.1%}"
