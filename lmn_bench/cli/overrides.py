"""Options of `run` that take the place of a suite's own values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from lmn_bench.errors import UnknownNameError, UsageError
from lmn_bench.suite import REFERENCE, Override
from lmn_bench.suite_file import AXES, LEARNING_KEYS, MEASURING_KEYS

# What --counters-only stands for.
_COUNTING = {"timing": False, "processes": 1, "counters": True}
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
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        # Not a TOML value, so a plain word or a list of them: 2^7..2^9, lmn,gru, 64MiB.
        parsed = value.strip() if key == "lengths" else _items(f"--set {key}", value)
        if isinstance(parsed, list):
            parsed = [int(item) if item.isdecimal() else item for item in parsed]
            parsed = parsed if key in AXES else parsed[0]
    return Override(f"--set {key}", key, parsed)


def _items(option: str, text: str) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise UsageError(f"{option} is empty")
    return items


def _whole_number(option: str, text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"{option} expects whole numbers, got {text!r}")
    return int(text)
