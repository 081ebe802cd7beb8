"""Checks of settings that people write: what was expected, what came."""

from __future__ import annotations

from lmn_bench.errors import UsageError


def check_count(what: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number from `least` to `most`.

    Raises:
        UsageError: it isn't one.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):  # type: ignore[operator]
        return
    bound = f"of at least {least:,}" if most is None else f"from {least:,} to {most:,}"
    raise UsageError(f"{what}: expected a whole number {bound}, got {value!r}")
