"""The only place that parses or formats quantities with units.

Storage is in base units (seconds, bytes, FLOP, tokens); people read and write "64MiB",
"2^7..2^15" and "1.23 ms".
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from lmn_bench.errors import UnitError

_BYTE_UNITS = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_BANDWIDTH_UNITS = {"MB/s": 10**6, "GB/s": 10**9, "TB/s": 10**12}
# Digits are bounded: more than 20 are a slip, and Python refuses to read thousands.
_BYTES = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([A-Za-z]*)\s*")
_BANDWIDTH = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([A-Za-z]+/s)\s*")
_LENGTH = re.compile(r"(\d{1,20})\^(\d{1,20})|(\d{1,20})([KkMm]?)")
_CELL = re.compile(r"[~≥]?\s*([+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)\s?([^\s\d\[]*)")
_READ_UNITS = {
    "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9,
    "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40,
}  # fmt: skip
_READ_PREFIXES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_TIME_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_SECONDS = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?\d+)?)\s*(s|ms|us|µs|μs|ns)\s*")
_COUNTED = ("", "FLOP", "FLOP/s", "B/s", "token/s", "slots")
_RANGE = re.compile(r"\s*(\S+?)\s*\.\.\s*(\S+)\s*")

# People count hours up to two days; past that they count days.
_HOURS_TOLD = 48

# A length past this is a typing slip: 2^40 float32 tokens of width 1 are 4 TiB.
MAX_LENGTH = 2**40
# A range that doubles each step has at most 40 lengths; a plain list is bounded likewise.
MAX_LENGTHS = 200


def parse_bytes(text: str | int) -> int:
    """Bytes of a quantity such as "64MiB", "1.5 GB" or 1048576.

    Raises:
        UnitError: no number, an unknown unit, or nothing at all.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text <= 0:
            raise UnitError(f"expected a number of bytes above 0, got {text}")
        return text
    match = _BYTES.fullmatch(str(text))
    unit = match.group(2).lower() if match else ""
    if match is None or (unit and unit not in _BYTE_UNITS):
        raise UnitError(
            f"cannot read {text!r} as a number of bytes",
            'write it like "64MiB", "1.5GB" or 1048576',
        )
    value = round(float(match.group(1)) * _BYTE_UNITS[unit or "b"])
    if value <= 0:
        raise UnitError(f"expected a number of bytes above 0, got {text!r}")
    return value


def parse_seconds(text: str) -> float:
    """Seconds of a time such as "5ms", "1.5 s" or "800us".

    Raises:
        UnitError: no number, an unknown unit, or nothing at all.
    """
    match = _SECONDS.fullmatch(text)
    unit = match.group(2).replace("μ", "µ").replace("us", "µs") if match else ""
    if match is None or unit not in _TIME_UNITS:
        raise UnitError(f"cannot read {text!r} as a time", 'write it like "5ms", "800us" or "1.5s"')
    value = float(match.group(1)) * _TIME_UNITS[unit]
    if not 0 < value < math.inf:
        raise UnitError(f"expected a time above 0, got {text!r}")
    return value


def parse_memory_cap(text: str | int) -> int | None:
    """Bytes of a memory cap; "none" means no cap and gives None."""
    if isinstance(text, str) and text.strip().lower() == "none":
        return None
    try:
        return parse_bytes(text)
    except UnitError as error:
        raise UnitError(error.message, 'write a cap like "64MiB", or "none" for no cap') from None


def parse_bandwidth(text: str) -> float:
    """Bytes per second of a bandwidth in decimal units: "17.1GB/s", "4.8 TB/s".

    Upper and lower case matter: Gb/s are gigabits.

    Raises:
        UnitError: no number, another unit, or nothing at all.
    """
    match = _BANDWIDTH.fullmatch(text)
    if match is None or match.group(2) not in _BANDWIDTH_UNITS:
        raise UnitError(
            f"cannot read {text!r} as a bandwidth", 'write it like "17.1GB/s" or "160MB/s"'
        )
    value = float(round(float(match.group(1)) * _BANDWIDTH_UNITS[match.group(2)]))
    if value <= 0:
        raise UnitError(f"expected a bandwidth above 0, got {text!r}")
    return value


def parse_length(text: str | int) -> int:
    """A number of tokens from 4096, "4096", "4K" or "2^12".

    Raises:
        UnitError: not a whole number from 1 to `MAX_LENGTH`.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        value = text
    else:
        match = _LENGTH.fullmatch(str(text).strip())
        if match is None or isinstance(text, bool):
            raise UnitError(
                f"cannot read {text!r} as a length", 'write tokens as 4096, "4K" or "2^12"'
            )
        base, exponent, plain, suffix = match.groups()
        if base is not None:
            if int(exponent) > 64 or int(base) > MAX_LENGTH:
                raise UnitError(f"length {text!r} is out of range: 1 to 2^40 tokens")
            value = int(base) ** int(exponent)
        else:
            value = int(plain) * {"": 1, "k": 2**10, "m": 2**20}[suffix.lower()]
    if not 1 <= value <= MAX_LENGTH:
        raise UnitError(f"length {text!r} is out of range: 1 to 2^40 tokens")
    return value


def parse_lengths(text: str | int | Sequence[str | int]) -> tuple[int, ...]:
    """Lengths from a list, "128,256,1K", or a range that doubles: "2^7..2^15".

    A range has both ends; each step doubles, and the upper end must be reached.

    Raises:
        UnitError: empty, descending or unreadable.
    """
    if isinstance(text, int):
        return (parse_length(text),)
    items = [part for part in text.split(",") if part.strip()] if isinstance(text, str) else text
    lengths: list[int] = []
    for item in items:
        match = _RANGE.fullmatch(item) if isinstance(item, str) else None
        lengths.extend(_doubling_range(item, *match.groups()) if match else [parse_length(item)])
    if not lengths:
        raise UnitError("no lengths given", 'write "2^7..2^15" or [128, 256, 512]')
    if len(lengths) > MAX_LENGTHS:
        raise UnitError(f"{len(lengths)} lengths are too many: at most {MAX_LENGTHS}")
    for before, after in itertools.pairwise(lengths):
        if after <= before:
            raise UnitError(
                f"lengths must rise: {after} comes after {before}", "sort them and drop repeats"
            )
    return tuple(lengths)


def _doubling_range(text: object, low_text: str, high_text: str) -> list[int]:
    low, high = parse_length(low_text), parse_length(high_text)
    if high < low:
        raise UnitError(
            f"range {text!r} descends: {low} to {high}", f'write "{high_text}..{low_text}"'
        )
    lengths = [low]
    while lengths[-1] * 2 <= high:
        lengths.append(lengths[-1] * 2)
    if lengths[-1] != high:
        raise UnitError(
            f"range {text!r} doubles from {low} and misses {high}",
            f"end it at {lengths[-1]} or {lengths[-1] * 2}, or list the lengths",
        )
    return lengths


def parse_share(text: str, given: str) -> float:
    """A share of one from "3%"; without its sign, 0.5 might be half a percent or a half.

    Args:
        text: the share.
        given: with what it was given, for messages: "--margin 3".

    Raises:
        UnitError: it is none, below 0, or lacks the sign; 0 needs none.
    """
    bare = text.strip().removesuffix("%").strip()
    try:
        value = float(bare) / 100
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise UnitError(f"{given}: cannot read {text!r} as a share", 'write a percentage: "3%"')
    if value and not text.strip().endswith("%"):
        raise UnitError(
            f"{given}: the share lacks its percent sign",
            f'write "{bare}%"' + (f' or "{100 * float(bare):g}%"' if float(bare) < 1 else ""),
        )
    return value


def format_length(tokens: int) -> str:
    """Tokens with thousands separators: 32,768."""
    return f"{tokens:,}"


def format_lengths(lengths: Sequence[int]) -> str:
    """Lengths as a range where they double, else as a list: "128..32,768"."""
    doubling = len(lengths) > 2 and all(b == 2 * a for a, b in itertools.pairwise(lengths))
    if doubling:
        return f"{format_length(lengths[0])}..{format_length(lengths[-1])}"
    return ", ".join(format_length(length) for length in lengths)


def format_number(value: float, digits: int = 3) -> str:
    """A plain number with `digits` significant digits and no exponent: 0.0123, 1.23, 1,230."""
    if not math.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    # Rounding can add a digit: 9.999 becomes "10.00".
    if places and len(text.replace(",", "").replace(".", "").lstrip("-0")) > digits:
        text = f"{value:,.{places - 1}f}"
    return text


def _scaled(value: float, steps: Sequence[tuple[float, str]], digits: int) -> str:
    if not math.isfinite(value):
        return "n/a"
    for scale, unit in steps:
        # 999.6 µs would print as "1,000 µs": let rounding decide the unit.
        if abs(value) >= scale * (1 - 0.5 * 10**-digits):
            return f"{format_number(value / scale, digits)} {unit}"
    scale, unit = steps[-1]
    return f"{format_number(value / scale, digits)} {unit}"


def format_seconds(seconds: float, digits: int = 3) -> str:
    """A time with a fitting unit: 78.1 µs, 1.23 ms, 4.56 s."""
    return _scaled(seconds, [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")], digits)


def format_bytes(count: float, digits: int = 3) -> str:
    """Bytes with a binary unit: 512 B, 64.0 KiB, 1.50 GiB."""
    if abs(count) < 1023.5 and math.isfinite(count):
        return f"{count:.0f} B"
    return _scaled(count, [(2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")], digits)


def format_cap(count: int | None) -> str:
    """A memory cap as a person writes it: "64MiB", "none"."""
    if count is None:
        return "none"
    for scale, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count % scale == 0:
            return f"{count // scale}{unit}"
    return f"{count}B"


def format_count(value: float, digits: int = 3) -> str:
    """A count with a decimal prefix: 950, 57.7 k, 1.23 G; a tiny one with an exponent."""
    if 0 < abs(value) < 1e-3:
        return f"{value:.{digits - 1}e}"
    if abs(value) < 1000 and float(value).is_integer():
        return f"{value:.0f}"
    steps = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")]
    return _scaled(value, steps, digits).rstrip()


def format_ratio(value: float) -> str:
    """A ratio: 0.950×, 2.31×, 15×."""
    return f"{format_number(value, 2 if value >= 10 else 3)}×"


def format_ratio_interval(value: float, low: float | None, high: float | None) -> str:
    """A ratio and its interval, if it has one, rounded alike: 2.31× [2.13, 2.60]; 31× [28, 33]."""
    if low is None or high is None:
        return format_ratio(value)
    ends = (format_ratio(end).removesuffix("×") for end in (low, high))
    return f"{format_ratio(value)} [{', '.join(ends)}]"


def format_share(share: float) -> str:
    """A share in percent: 3 %, 0.5 %, 12.5 %."""
    return f"{share * 100:.3g} %"


def format_change(ratio: float) -> str:
    """A ratio as the change that it is: +4.9 %, -38 %, 0.0 %."""
    percent = (ratio - 1) * 100
    if not math.isfinite(percent):
        return "n/a"
    places = 1 if abs(percent) < 9.95 else 0
    text = f"{percent:+,.{places}f} %"
    return text if text.strip("+-0. %") else "0.0 %"


def format_change_range(low: float, high: float) -> str:
    """An interval of a ratio as that of the change: +3.1 to +6.8 %."""
    return f"{format_change(low).removesuffix(' %')} to {format_change(high)}"


def format_duration(seconds: float) -> str:
    """A span a person waits: <1 s, 8 s, 3 min 20 s, 1 h 5 min; from two days on 2 days 3 h."""
    whole = max(0, round(seconds))
    if whole == 0 < seconds:
        return "<1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours = whole // 3600
    if hours < _HOURS_TOLD:
        return f"{hours} h {whole % 3600 // 60} min"
    return f"{hours // 24} days {hours % 24} h" if hours % 24 else f"{hours // 24} days"


def read_value(text: str) -> float | None:
    """The number that a cell of a table begins with, in base units; None if it begins with none.

    It reads back what the functions above write, with a "~" or "≥" before it and whatever after it,
    so that cells can be put in order: "~98 µs", "1.50 GiB", "4.3× [4.0, 4.7]", "+0.22%".
    """
    match = _CELL.match(text)
    if match is None:
        return None
    number, unit = float(match.group(1).replace(",", "")), match.group(2)
    if unit in _READ_UNITS:
        return number * _READ_UNITS[unit]
    # 4.71 GFLOP/s, 6.73 GB/s, 57.7 k: the prefix of a count.
    counts = unit[:1] in _READ_PREFIXES and unit[1:] in _COUNTED
    return number * _READ_PREFIXES[unit[0]] if counts else number


def format_value(value: float | None, unit: str, digits: int = 3) -> str:
    """A value of a metric in that metric's unit ("s", "B", "FLOP", "token/s", "")."""
    if value is None:
        return "–"
    if unit == "s":
        return format_seconds(value, digits)
    if unit == "B":
        return format_bytes(value, digits)
    text = format_count(value, digits)
    prefixed = text[-1].isalpha() and text != "n/a"
    return f"{text}{unit}" if prefixed or not unit else f"{text} {unit}"
