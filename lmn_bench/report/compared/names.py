"""Short names of cases: what all of them share is said once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lmn_bench.schema import Case
from lmn_bench.units import format_cap, format_length

# Always part of a name as long as another part needs them to be understood.
_LEAD = 3


@dataclass(frozen=True)
class CaseNames:
    """Names of cases that stand side by side.

    Attributes:
        shared: what all cases have in common, in words; empty if nothing.
        names: a distinct name for each case.
    """

    shared: str
    names: Mapping[Case, str]

    def __getitem__(self, case: Case) -> str:
        return self.names[case]


@dataclass(frozen=True)
class _Part:
    """One part of a case: short beside others, long on its own."""

    short: str
    long: str


def case_names(cases: Iterable[Case]) -> CaseNames:
    """Names without what all cases share; of a single case its subject, mode and length."""
    parts = {case: _parts(case) for case in cases}
    columns = list(zip(*parts.values(), strict=True))
    differ = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    named = differ or list(range(_LEAD))
    shared = [column[0].long for place, column in enumerate(columns) if place not in named]
    return CaseNames(
        ", ".join(filter(None, shared)), {case: _name(own, named) for case, own in parts.items()}
    )


def _name(parts: tuple[_Part, ...], named: list[int]) -> str:
    if len(named) == 1:
        part = parts[named[0]]
        return part.long or "plain"
    return " ".join(filter(None, (parts[place].short for place in named))) or "plain"


def _parts(case: Case) -> tuple[_Part, ...]:
    model, cap = case.model, case.memory_cap_bytes
    length, threads = format_length(case.length), case.threads
    sizes = [("w", "width", model.width), ("h", "heads", model.heads),
             ("l", "layers", model.layers), ("k", "banks", model.banks),
             ("v", "expansion", model.expansion)]  # fmt: skip
    return (
        _Part(case.subject, case.subject),
        _Part(case.mode, case.mode),
        _Part(length, f"{length} token{'s' * (case.length != 1)}"),
        _Part(case.device, case.device),
        _Part(f"t{threads}", f"{threads} thread{'s' * (threads != 1)}"),
        _Part(case.dtype, case.dtype),
        _Part(f"b{case.batch}", f"batch {case.batch}"),
        *(_Part(f"{letter}{size}", f"{word} {size}") for letter, word, size in sizes),
        _Part("no cap", "no memory cap") if cap is None
        else _Part(f"cap {format_cap(cap)}", f"memory cap {format_cap(cap)}"),
        *(_Part(word if set_ else "", word if set_ else "")
          for word, set_ in (("compiled", case.compile), ("CUDA graphs", case.cuda_graph))),
    )  # fmt: skip
