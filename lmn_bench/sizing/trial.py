"""What was found when a foretold size was run under an enforced cap: plain data."""

from __future__ import annotations

from dataclasses import dataclass


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
