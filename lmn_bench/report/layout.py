"""Text fitted to a width without a cut: laws, values and names go on a line as a whole or not at
all, since a piece of one may read as another ("n log^2 n" and "log^2 n", "1,070 µs" and "1").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

from lmn_bench.safe import terminal, terminal_line

# What holds spaces and is one word all the same: growth laws, numbers with their ± or their units.
_WHOLE = re.compile(
    r"\b(?:n )?log(?:\^2|²|2)? n\b|\bsqrt n\b"
    r"|[+−-]?\d[\d.,]* ± \d[\d.,]*"
    r"|[±+−-]?\d[\d.,]* (?:%|[nµm]?s\b|min\b|h\b|[KMGT]i?B\b|kB\b|B\b|[kMGT]?FLOP|[kMGT]?tokens?\b)"
)
# Stands for a space that stays; text for a `terminal` holds none.
_KEPT = "\0"


def words_of(text: str) -> list[str]:
    """The words of a text, in which laws and values are one."""
    kept = _WHOLE.sub(lambda found: found.group().replace(" ", _KEPT), terminal(text))
    return [word.replace(_KEPT, " ") for word in kept.split()]


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; a longer word has one of its own, uncut."""
    if cell_len(whole := terminal_line(text)) <= width:
        return [whole]
    lines: list[str] = []
    for word in words_of(text):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def longest_word(text: str) -> int:
    """Columns that a text needs at least."""
    return max(map(cell_len, words_of(text)), default=0)


def shared_out(natural: Sequence[int], least: Sequence[int], available: int) -> list[int] | None:
    """Widths of columns side by side, the widest giving way; None if they don't fit.

    Args:
        natural: what each would take.
        least: what each needs, no more than `natural`.
        available: for all of them together.
    """
    if sum(least) > available:
        return None
    widths = list(natural)
    while sum(widths) > available:
        give = max(range(len(widths)), key=lambda at: (widths[at] > least[at], widths[at]))
        widths[give] -= 1
    return widths
