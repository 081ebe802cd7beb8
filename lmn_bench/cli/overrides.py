"""Options of `run` that take the place of a suite's own values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lmn_bench.errors import UnitError, UnknownNameError, UsageError
from lmn_bench.reading import DataError, shown, toml_data
from lmn_bench.suite import REFERENCE, Override
from lmn_bench.suite_file import AXES, LEARNING_KEYS, MEASURING_KEYS

# What --counters-only stands for.
_COUNTING = {"timing": False, "processes": 1, "counters": True}
# "0,5" or "1,024", where one value is expected; and where a list is, what no list of numbers says.
_SLIP = re.compile(r"[0-9]+,[0-9]+")
_LISTED_SLIP = re.compile(r"0,[0-9]+|[0-9]+,0[0-9]+")
# Of a number of threads; Python itself refuses to read thousands of digits.
_MOST_DIGITS = 9
_KEY_OF_OPTION = {
    "--models": "subjects",
    "--modes": "modes",
    "--reference": "reference",
    "--lengths": "lengths",
    "--device": "device",
    "--threads": "threads",
    "--memory-cap": "memory_cap",
    "--cap-mechanism": "cap_mechanism",
    "--corpus": "corpus",
    "--steps": "steps",
    "--seeds": "seeds",
}


def overrides_of(
    options: Mapping[str, str | int | None],
    processes: int | None,
    settings: Sequence[str],
    *,
    counters_only: bool = False,
) -> list[Override]:
    """Overrides from the options that were given and every `--set KEY=VALUE`.

    Raises:
        UsageError: an empty value, a `--set` without "=", or one that `counters_only` decides.
        UnknownNameError: a key that no suite has.
    """
    found = []
    for option, text in options.items():
        if text is None:
            continue
        key = _KEY_OF_OPTION[option]
        if isinstance(text, int):
            found.append(Override(option, key, text))
            continue
        value: Any = text if key == "lengths" else _items(option, text)
        if key == REFERENCE or key in MEASURING_KEYS or key in LEARNING_KEYS:
            # One for the whole run, where axes take lists.
            value = text.strip()
        if key == "threads":
            value = [_whole_number(option, item) for item in value]
        found.append(Override(option, key, value))
    if processes is not None:
        found.append(Override("--processes", "processes", processes))
    found.extend(_setting(text) for text in settings)
    return [*found, *_counters_only(found)] if counters_only else found


def _counters_only(others: Sequence[Override]) -> list[Override]:
    for other in others:
        if other.key in _COUNTING:
            raise UsageError(
                f"--counters-only and {other.option} are both given",
                "counts are the same in every process: one that takes no times is enough",
            )
    return [Override("--counters-only", key, value) for key, value in _COUNTING.items()]


def _setting(text: str) -> Override:
    key, equals, value = text.partition("=")
    key = key.strip().replace("-", "_")
    if not equals or not value.strip():
        raise UsageError(f"--set {text}: expected KEY=VALUE", "for example --set width=128")
    known = [*AXES, *MEASURING_KEYS, *LEARNING_KEYS]
    if key == "modes":
        return Override(f"--set {key}", key, _items(f"--set {key}", value))
    if key not in known:
        raise UnknownNameError("key", key, known)
    return Override(f"--set {key}", key, _value(key, value.strip()))


def _value(key: str, text: str) -> Any:
    """What stands behind "=": TOML, or plain words and lists of them (2^7..2^9, lmn,gru, 64MiB).

    Raises:
        UnitError: a comma that is meant as a decimal point, or to part thousands.
    """
    try:
        return toml_data(f"value = {text}")["value"]
    except DataError:
        pass
    if key == "lengths":
        return text
    slip = _LISTED_SLIP if key in AXES else _SLIP
    if slip.fullmatch(text):
        # Behind a zero a comma is a decimal point; else it may part thousands.
        written = [text.replace(",", ".")] + [text.replace(",", "")] * (text[0] != "0")
        raise UnitError(
            f"--set {key}: cannot read {text!r} as a number: a comma parts values here",
            f"write {' or '.join(written)}",
        )
    return [_item(part) for part in _items(f"--set {key}", text)] if key in AXES else text


def _item(text: str) -> Any:
    try:
        return toml_data(f"value = {text}")["value"]
    except DataError:
        return text


def _items(option: str, text: str) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise UsageError(f"{option} is empty")
    return items


def _whole_number(option: str, text: str) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise UsageError(f"{option} expects whole numbers, got {shown(text)}")
    return int(text)
