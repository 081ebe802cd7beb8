"""Definitions with holes: altair describes a kind of chart once, and every chart fills in its own.

Describing a chart takes altair some 80 ms; a report has dozens of one kind, which differ in names,
domains and titles only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MARK = "@hole:"


def hole(name: str) -> str:
    """A place for one value."""
    return f"{_MARK}{name}"


def list_hole(name: str) -> list[Any]:
    """A place for a list."""
    return [hole(name)]


def fill(definition: Any, values: Mapping[str, Any]) -> Any:
    """The definition with every hole filled.

    Raises:
        KeyError: a hole without a value.
    """
    if isinstance(definition, dict):
        return {key: fill(item, values) for key, item in definition.items()}
    if isinstance(definition, list):
        if len(definition) == 1 and _is_hole(definition[0]):
            return list(values[definition[0].removeprefix(_MARK)])
        return [fill(item, values) for item in definition]
    return values[definition.removeprefix(_MARK)] if _is_hole(definition) else definition


def _is_hole(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_MARK)
