"""Numbers as people write them: "1.5", "1_000", "1,048,576", "1e6", "2^20"."""

from __future__ import annotations

import re
from fractions import Fraction

from lmn_bench.errors import UnitError

# Digits and exponents are bounded: longer ones are a slip, and Python refuses to print thousands.
NUMBER = (
    r"[0-9]{1,20}(?:\^|\*\*)[0-9]{1,3}"
    r"|(?:[0-9][0-9_,]{0,30}(?:\.[0-9_]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?"
)
_POWER = re.compile(r"([0-9]+)(?:\^|\*\*)([0-9]+)")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?(?:[eE].*)?")
_DECIMAL_COMMA = re.compile(r"\s*([+-]?[0-9]+),([0-9]+(?:[eE][+-]?[0-9]+)?)")


def read_number(text: str, whole: str) -> Fraction | None:
    """The exact number that `NUMBER` matched; None if it is none after all.

    A comma is read where it parts thousands, as everywhere else that lmn-bench writes one.

    Args:
        text: the number alone.
        whole: what it was found in, for errors.

    Raises:
        UnitError: a comma that parts no thousands.
    """
    power = _POWER.fullmatch(text)
    if power is not None:
        return Fraction(int(power[1]) ** int(power[2]))
    if "," in text:
        if not _THOUSANDS.fullmatch(text):
            raise decimal_comma(whole) or UnitError(f"cannot read {whole!r}: a misplaced comma")
        text = text.replace(",", "")
    try:
        return Fraction(text)
    except ValueError:
        return None


def decimal_comma(text: str) -> UnitError | None:
    """What is wrong with a text that begins like "0,5", and how to write it; None if it doesn't."""
    match = _DECIMAL_COMMA.match(text)
    if match is None:
        return None
    point = f"{match[1]}.{match[2]}{text[match.end() :]}".strip()
    return UnitError(f"cannot read {text!r}: a comma is no decimal point here", f'write "{point}"')
