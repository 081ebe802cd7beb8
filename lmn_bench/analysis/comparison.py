"""What a comparison of two versions says: plain data, whichever way it was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lmn_bench.schema import Case, Outcome

# Of a row that tells how cases ended, where others have a metric's key.
OUTCOME = "outcome"


class Gate(StrEnum):
    """The verdict on all cases together."""

    PASS = "pass"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"


class Verdict(StrEnum):
    """The verdict on one metric of one case.

    The same words stand in tables, pages, comments, JUnit, annotations, CSV and JSON. Times and
    rates are faster or slower, other quantities less or more; a count that grew by no more than
    was allowed is "more, allowed". Of either: same (its interval is within the margin), not worse
    (its interval ends below the margin; whether better or the same is open), cannot tell. A case
    that did not end well on one side only is broken or mended; one that ended badly on both is the
    same, or not worse where it ended otherwise.
    """

    FASTER = "faster"
    SLOWER = "slower"
    LESS = "less"
    MORE = "more"
    MORE_ALLOWED = "more, allowed"
    SAME = "same"
    NOT_WORSE = "not worse"
    CANNOT_TELL = "cannot tell"
    BROKEN = "broken"
    MENDED = "mended"


@dataclass(frozen=True)
class Row:
    """One metric of one case, new against base.

    Attributes:
        metric: its key, or `OUTCOME`.
        regression: this row alone makes the gate red.
        passes: it is shown not to be worse by the margin or more.
        exact: counted, not measured: compared number by number.
        base, new: levels in base units, as far apart as `ratio` says: medians over processes; of
            processes side by side (`ab`), the level of all blocks less and more half the change.
            None where there is none.
        ratio: new by base; above 1 is slower or more, for rates (higher is better) faster.
        low, high: its 95 % interval; None where there is none.
        base_median, new_median: of measured values, medians over all processes behind the numbers.
        base_processes, new_processes: those behind the numbers.
        base_outcome, new_outcome: how the case ended on either side.
        allowed: by how much a count may grow (0.01: 1 %).
        reason: why it cannot be told, or what is broken; may be empty.
    """

    case: Case
    metric: str
    verdict: Verdict
    regression: bool = False
    passes: bool = True
    exact: bool = False
    base: float | None = None
    new: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    base_median: float | None = None
    new_median: float | None = None
    base_processes: int = 0
    new_processes: int = 0
    base_outcome: Outcome = Outcome.OK
    new_outcome: Outcome = Outcome.OK
    allowed: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """All that a comparison says.

    Attributes:
        base, new: what was compared, in words: names of runs, or revisions.
        verdict: on all cases.
        reasons: why, as sentences.
        rows: regressions first, then by the size of the change.
        margin: changes up to this share count as the same (0.03: 3 %).
        null: base against base, measured among the others; empty for stored runs.
        notes: what else a reader has to know, as sentences.
        side_by_side: measured in alternation, so that changes come from processes side by side.
    """

    base: str
    new: str
    verdict: Gate
    reasons: tuple[str, ...]
    rows: tuple[Row, ...]
    margin: float
    null: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    side_by_side: bool = False

    def of(self, verdicts: Iterable[Verdict]) -> tuple[Row, ...]:
        """The rows with one of these verdicts."""
        wanted = frozenset(verdicts)
        return tuple(row for row in self.rows if row.verdict in wanted)
