"""Growth laws of anyone's measurements: `fit`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lmn_bench.analysis.observed import Design, design_words
from lmn_bench.analysis.scaling import MIN_LENGTHS, TELLING, Scaling
from lmn_bench.analysis.sentences import (
    growth_words,
    interval_words,
    length_words,
    scaling_sentence,
)
from lmn_bench.report.courses import course
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.schema import LAWS


@dataclass(frozen=True)
class FittedGroup:
    """One group of measurements.

    `scaling` is None where it has fewer than three values of x.
    """

    name: str
    design: Design
    scaling: Scaling | None
    warnings: tuple[str, ...]


def fitted_json(x: str, y: str, fitted: Sequence[FittedGroup]) -> dict[str, Any]:
    """The contract of `fit --json`.

    Every group has `name`, `grows_like`, `course` and `sentence` (the words of the text),
    `plausible`, `decided`, `undecided` (why not), `exponent` (estimate, low, high), `range` (of x
    that the laws are fitted over), `design` (kind, processes, parts, words) and `warnings`; null
    where there is nothing to say.
    """
    return {"x": x, "y": y, "groups": [_group(one) for one in fitted]}


def _group(one: FittedGroup) -> dict[str, Any]:
    found = one.scaling
    design = {**asdict(one.design), "words": design_words(one.design)}
    if found is None:
        # too little to exclude anything
        return {"name": one.name, "grows_like": _grows_like(found), "plausible": list(LAWS),
                "decided": False, "undecided": "too few lengths", "exponent": None, "range": None,
                "design": design, "warnings": list(one.warnings)}  # fmt: skip
    return {
        "name": one.name,
        "grows_like": _grows_like(found),
        "plausible": list(found.plausible),
        "decided": found.decided,
        "undecided": found.undecided,
        "exponent": asdict(found.growth.exponent),
        "range": [found.valid_from, found.last],
        "design": design,
        "warnings": list(one.warnings),
        "course": course(found, found.growth, exponent=False),
        "sentence": scaling_sentence(found),
        "details": asdict(found),
    }


def warning_lines(fitted: Sequence[FittedGroup]) -> Iterator[str]:
    """Every distinct warning once, with the groups that it is about unless it is about all."""
    groups: dict[str, list[str]] = {}
    for one in fitted:
        for warning in one.warnings:
            groups.setdefault(warning, []).append(one.name)
    for warning, names in groups.items():
        yield warning if len(names) == len(fitted) else f"{', '.join(names)}: {warning}"


def fitted_document(x: str, y: str, fitted: Sequence[FittedGroup]) -> Document:
    """A table with a row per group, and a sentence for each."""
    rows = tuple(_row(one) for one in fitted)
    table = Table(
        f"How {y} grows with {x}",
        ("group", "grows like", "decided", "top exponent", "range"),
        rows,
        f"Laws a + b g({x}) that the data can't tell apart, best first; decided: one is left, and "
        "this design would have shown another. Exponent e of n^e at the longest lengths: 0 flat, "
        "1 linear, 2 quadratic.",
        wraps=True,
    )
    sentences = tuple(
        f"{one.name}: {course(one.scaling, one.scaling.growth, exponent=False)}. "
        f"{scaling_sentence(one.scaling)} {design_words(one.design)}."
        for one in fitted
        if one.scaling is not None
    )
    return Document(f"{y} against {x}", "", sentences, (Section("Laws", tables=(table,)),))


def _row(one: FittedGroup) -> tuple[str, ...]:
    found = one.scaling
    if found is None:
        return (one.name, _grows_like(found), "no", "–", "–")
    span = f"{length_words(found.valid_from)} to {length_words(found.last)}"
    exponent = interval_words(found.growth.exponent, 2)
    return (one.name, _grows_like(found), "yes" if found.decided else "no", exponent, span)


def _grows_like(found: Scaling | None) -> str:
    if found is None:
        return f"fewer than {MIN_LENGTHS} values"
    return growth_words(found) if len(found.plausible) <= TELLING else "cannot tell"
