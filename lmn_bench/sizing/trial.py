"""What was found when a foretold size was run under an enforced cap: plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BISECTION = "bisection"


@dataclass(frozen=True)
class Trial:
    """One run under a cap.

    Attributes:
        subject, length, batch: what was run.
        purpose: "the answer", "beyond it", "bisection".
        budget_bytes: of the cap, on top of the loaded model.
        mechanism: of the cap.
        expected: whether it was foretold to fit; None where that could not be told.
        outcome: ok, out_of_memory, killed, timeout, error or incorrect.
        reason: why it wasn't ok.
    """

    subject: str
    length: int
    batch: int
    purpose: str
    budget_bytes: int
    mechanism: str
    expected: bool | None
    outcome: str
    reason: str | None = None

    @property
    def fits(self) -> bool | None:
        """Whether it fitted; None if it ended for another reason than memory."""
        if self.outcome == "ok":
            return True
        return False if self.outcome in ("out_of_memory", "killed") else None

    @property
    def word(self) -> str:
        """How it ended, in a word."""
        return "fits" if self.outcome == "ok" else self.outcome.replace("_", " ")

    @property
    def verdict(self) -> str:
        """Whether that was foretold."""
        if self.expected is None or self.fits is None:
            return "–"
        return "yes" if self.expected is self.fits else "no"


@dataclass(frozen=True)
class Found:
    """The longest context that fitted, beside what was foretold.

    Attributes:
        subject: whose.
        foretold: the longest within the limit by the estimate itself.
        found: the longest that fitted; 0 if none that was tried did.
    """

    subject: str
    foretold: int
    found: int

    @property
    def error(self) -> float | None:
        """Foretold by found, less 1."""
        return self.foretold / self.found - 1 if self.found else None


def found_by_bisection(trials: Sequence[Trial]) -> Iterator[Found]:
    """What was found for each subject that was bisected, to the length foretold at first."""
    for subject in dict.fromkeys(one.subject for one in trials if one.purpose == BISECTION):
        tried = [one for one in trials if (one.subject, one.purpose) == (subject, BISECTION)]
        longest = max((one.length for one in tried if one.fits), default=0)
        yield Found(subject, tried[0].length, longest)
