"""What a suite claims, and what the data say to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lmn_bench.analysis.claims import ClaimVerdict, Verdict
from lmn_bench.metrics import METRICS
from lmn_bench.report.document import Section, Table
from lmn_bench.report.words import where_short

_TITLE = "Claims"
_ORDER: tuple[Verdict, ...] = ("supported", "compatible", "cannot tell", "rejected")
_NOTE = (
    "Supported: the claimed growth is the only one left, and this design would have shown another "
    "(counters: a formula gives every value). Compatible: left among others. Rejected: not left. "
    "Laws are a + b g(n), fitted to medians of processes."
)


def claims_answer(judged: Sequence[ClaimVerdict]) -> Iterator[str]:
    """For example: Of 27 claims about growth 19 are supported (11 exactly), 6 compatible, …."""
    if not judged:
        return
    counts = Counter(one.verdict for one in judged)
    exact = sum(one.exact and one.verdict == "supported" for one in judged)
    said = [f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict]]
    if exact:
        said[0] += f" ({exact} exactly, by counting)"
    claims = len({one.claim for one in judged})
    noun = "claim" if claims == 1 else "claims"
    several = f", {len(judged)} verdicts in all settings" if len(judged) != claims else ""
    yield f"{claims} {noun} about growth{several}: {', '.join(said)}; see “{_TITLE}” in the report."


def claims_sections(judged: Sequence[ClaimVerdict]) -> Iterator[Section]:
    """A section with a row per claim and setting; none without claims."""
    if not judged:
        return
    settings = {(one.claim, one.setting) for one in judged}
    several = len(settings) > len({claim for claim, _ in settings})
    rows = tuple(_row(one, several) for one in judged)
    table = Table("", ("claim", "verdict", "what the data say"), rows, _NOTE, wraps=True)
    yield Section(_TITLE, tables=(table,))


def _row(one: ClaimVerdict, several: bool) -> tuple[str, ...]:
    claim = one.claim
    text = f"{claim.subject}, {claim.mode}: {METRICS[claim.metric].title} {claim.text}"
    if several and one.setting is not None:
        text += f" ({where_short(one.setting)})"
    exactly = " exactly" if one.exact and one.verdict == "supported" else ""
    return (text, one.verdict + exactly, one.sentence)
