"""In what two runs differ, in words: their machines, and what and how they measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import zip_longest
from typing import Any

from lmn_bench.schema import Environment, Measuring, Suite
from lmn_bench.units import format_bytes

# Keys of [measuring] that say how many processes there are, not what one of them does.
_AMOUNTS = frozenset({"processes", "quiet_extra_s", "timeout_s", "ceilings"})
_MACHINE_FACTS = ("CPU", "logical cores", "memory", "GPUs", "Python", "torch")


def machine_differences(first: Environment, second: Environment) -> tuple[str, ...]:
    """What must agree for two measurements to be set side by side and does not, in words."""
    pairs = zip(_MACHINE_FACTS, first.machine, second.machine, strict=True)
    return tuple(
        f"{fact} {_fact(fact, one)} and {_fact(fact, other)}"
        for fact, one, other in pairs
        if one != other
    )


def renamed_hosts(environments: Sequence[Environment]) -> str:
    """That runs of one machine bear several hosts' names, as a sentence; empty where they don't."""
    names = list(dict.fromkeys(one.hostname for one in environments))
    if len(names) < 2 or len({one.machine for one in environments}) > 1:
        return ""
    return (
        f"measured under {len(names)} host names ({', '.join(names)}) that agree in CPU, cores, "
        "memory, GPUs, Python and torch: taken for one machine, as a container gets a new name "
        "each time; two machines of one kind would differ by what they are, too"
    )


def suite_differences(first: Suite, second: Suite) -> tuple[str, ...]:
    """Where two suites measure other cases, or measure a process in another way, in words."""
    found = []
    for place, (one, other) in enumerate(zip_longest(first.sweeps, second.sweeps)):
        if one is None or other is None:
            found.append(f"{len(first.sweeps)} and {len(second.sweeps)} sweeps")
            break
        found += [f"sweep[{place}].{text}" for text in _field_differences(one, other)]
    return (*found, *measuring_differences(first.measuring, second.measuring))


def measuring_differences(first: Measuring, second: Measuring) -> tuple[str, ...]:
    """Where a process measures in another way, in words."""
    told = _field_differences(first, second)
    return tuple(f"measuring.{text}" for text in told if text.partition(" ")[0] not in _AMOUNTS)


def _field_differences(first: Any, second: Any) -> Iterator[str]:
    for field in fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if one != other:
            yield f"{field.name} {_plain(one)} and {_plain(other)}"


def _plain(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _fact(fact: str, value: Any) -> str:
    if fact == "memory":
        return format_bytes(value * 2**30)
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
