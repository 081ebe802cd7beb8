"""How broken inputs are drawn: data of any shape by hypothesis, and a mutator of good bytes."""

from __future__ import annotations

import copy
import json
import math
import random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

# What a reader may stumble over: ends of ranges, numbers that are none, depths, lengths.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**400, 1e308, -1e308,
    5e-324, 1e-320, 0.0, -0.0, 0.5, math.nan, math.inf, -math.inf, "", " ", "\0", "\ud800",
    "\x1b[31m", "a" * 5000, "..", "../x", "/dev/zero", "learn", "dream", "lmn@", "lmn@nowhere",
    "x:y", "=1+1",
    [], {}, [[]], [{}], {"": {}}, [None], [["lmn"]], [["text"]], "2^40", "1e999", "none", "64MiB",
)  # fmt: skip

_leaves = st.one_of(
    st.sampled_from(HOSTILE), st.integers(), st.floats(), st.text(max_size=20), st.booleans()
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
_BYTES = (b"\0", b"\xff", b'"', b"'", b"[", b"]", b"{", b"}", b",", b"=", b"\n", b"\r", b"-", b".",
          b"1e999", b"NaN", b"null", b"9" * 400, b"\\ud800", b"\xed\xa0\x80", b"[" * 2000,
          b'{"a":' * 1200, b"\xef\xbb\xbf", b"\x1b]0;x\x07", b"#", b"\xe2\x80\xae")  # fmt: skip


def drawn(strategy: st.SearchStrategy[Any], seed: int) -> Any:
    """One value of a strategy, the same for the same seed."""
    found: list[Any] = []

    @seeded(seed)
    @settings(max_examples=3, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def keep(value: Any) -> None:
        found.append(value)

    keep()
    # The first ones are hypothesis' simplest.
    return found[-1]


def any_data(draw: random.Random) -> Any:
    """Plain data of any shape."""
    if draw.random() < 0.4:
        return copy.deepcopy(draw.choice(HOSTILE))
    return drawn(_values, draw.getrandbits(32))


def broken_data(draw: random.Random, good: Any) -> Any:
    """Good plain data with a few values, keys or items replaced, taken away or doubled."""
    data = copy.deepcopy(good)
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = [*_places(data)]
        if not places:
            return any_data(draw)
        holder, key = draw.choice(places)
        what = draw.random()
        if what < 0.65:
            holder[key] = any_data(draw)
        elif what < 0.8:
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw.choice(("", "x", key + "s", "\x1b[2J", "schema"))] = any_data(draw)
        else:
            holder.append(copy.deepcopy(holder[key]) if what < 0.9 else any_data(draw))
    return data


def _places(data: Any) -> Any:
    """Every (container, key or index) in plain data."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            for key in [*one] if isinstance(one, dict) else range(len(one)):
                yield one, key
                waiting.append(one[key])


def broken_bytes(draw: random.Random, good: bytes) -> bytes:
    """Good bytes with a few of them flipped, cut out, doubled or put in."""
    content = bytearray(good)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice((1, 1, 2, 8, 64, 512)))
        what = draw.randrange(6)
        if what == 0 and at < len(content):
            content[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            del content[at:end]
        elif what == 2:
            content[at:at] = content[at:end]
        elif what == 3:
            content[at:at] = draw.choice(_BYTES)
        elif what == 4:
            content[at:end] = bytes(draw.randrange(256) for _ in range(end - at))
        elif what == 5 and draw.random() < 0.3:
            del content[at:]
    return bytes(content)


def toml_text(data: Any) -> str:
    """Plain data as TOML, tables inline; what TOML has no word for is written as text."""
    if not isinstance(data, dict):
        return f"value = {_inline(data)}\n"
    return "".join(f"{json.dumps(str(key))} = {_inline(value)}\n" for key, value in data.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(key))} = {_inline(inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, float):
        return repr(value) if "." in repr(value) or "e" in repr(value) else f"{value}.0"
    if value is None:
        return '"none"'
    return json.dumps(value)


def csv_text(draw: random.Random) -> str:
    """A table of measurements, most of it good, with cells that nobody expects."""
    separator = draw.choice((",", ";", "\t", " ", "|"))
    rows = [separator.join(("n", "t", "g", "p"))]
    count = draw.choice((0, 1, 8, 30, 90, 200))
    odd = {draw.randrange(count) for _ in range(draw.choice((0, 1, 3)) if count else 0)}
    for place in range(count):
        length = 2 ** (place % 9 + 4)
        row = [str(length), f"{length * 1e-6:.9f}", draw.choice("ab"), str(place // 9)]
        if place in odd:
            row[draw.randrange(4)] = draw.choice((
                "", "nan", "1e400", "5e-324", "-1", "0", "1e308", '"', "x" * 200_000, "=1+1",
                "0x10", "1_0", "१२", "1,5", "\ufeff", "\x1b[0m", '"a\nb"', "#", "٣", "9" * 5000,
            ))  # fmt: skip
        if place in odd and draw.random() < 0.1:
            row.append("more")
        rows.append(separator.join(row))
    return "\n".join(rows) + draw.choice(("", "\n", "\r\n"))
