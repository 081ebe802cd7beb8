"""How the reference of a setting stands against the others in time, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.analysis.crossover import (
    AHEAD,
    BEHIND,
    CANNOT_TELL,
    LEVEL,
    Comparison,
    Standing,
)
from lmn_bench.disturbance import ENOUGH
from lmn_bench.report.document import Table
from lmn_bench.report.phrases import say
from lmn_bench.report.standing_lengths import MARGIN, runs
from lmn_bench.report.standings import Versus
from lmn_bench.report.words import crossing_words
from lmn_bench.units import format_length, format_ratio_interval

# Of so few values, resampled medians spread less than medians of new processes would: in made-up
# runs of equal models an interval of three excluded 1 in one of ten, one of five in 3 of 100.
_NARROW = 5
_STANDINGS: tuple[Standing, ...] = (AHEAD, BEHIND, LEVEL, CANNOT_TELL)


def standing_table(every: Sequence[Versus]) -> Table | None:
    """A row per other subject: where it is ahead, behind, level, and where that can't be told."""
    told = [one for one in every if one.found.comparisons]
    if not told:
        return None
    own = told[0].reference
    gaps = any(one.found.missing for one in told)
    columns = ("against", *_STANDINGS, *(("not compared",) if gaps else ()),
               "overtakes at", "at the shortest", "at the longest")  # fmt: skip
    few = any(ENOUGH <= min(c.processes) < _NARROW for one in told for c in one.found.comparisons)
    note = say("table note", own=own, margin=MARGIN, few=say("table few") if few else "")
    rows = tuple(_row(one, gaps=gaps) for one in told)
    return Table(say("table title", own=own), columns, rows, note)


def _row(one: Versus, *, gaps: bool) -> tuple[str, ...]:
    found = one.found
    missing = ", ".join(format_length(gap.length) for gap in found.missing) or "–"
    return (
        one.other,
        *(_where(one, found.at(standing)) for standing in _STANDINGS),
        *((missing,) if gaps else ()),
        crossing_words(found.crossing),
        *(_end(one, comparison) for comparison in (found.comparisons[0], found.comparisons[-1])),
    )


def _where(one: Versus, some: Sequence[Comparison]) -> str:
    """At which of the compared lengths: everywhere, from n, to n, or where."""
    every, missing = one.found.comparisons, [gap.length for gap in one.found.missing]
    if not some:
        return "–"
    first, last = every.index(some[0]), every.index(some[-1])
    unbroken = last - first + 1 == len(some) > 1
    if len(some) == len(every) > 1 and not missing:
        return say("cell every")
    if unbroken and last == len(every) - 1 and max(missing, default=0) < some[0].length:
        return say("cell from", length=format_length(some[0].length))
    if unbroken and first == 0 and min(missing, default=some[-1].length) >= some[-1].length:
        return say("cell up to", length=format_length(some[-1].length))
    return ", ".join(runs(one, some))


def _end(one: Versus, comparison: Comparison) -> str:
    standing = comparison.standing
    if comparison.ratio is not None:
        said = format_ratio_interval(comparison.ratio, comparison.low, comparison.high)
        return say("cell times", times=said, standing=standing)
    name = one.other if comparison.processes[0] else one.reference
    return say("cell ended", name=name, standing=standing)
