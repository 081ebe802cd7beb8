"""Jobs as the server's own revision of lmn-bench takes them: what it lacks is left out, or told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from lmn_bench.errors import ComparisonError
from lmn_bench.schema import Case, Measuring, ModelSpec

# The parts of a job by name, as errors and the server's first message have them.
_PARTS = {"case": Case, "measuring": Measuring, "model": ModelSpec}
_UNEXPECTED = re.compile(
    r"TypeError: (Case|Measuring|ModelSpec)\.__init__\(\) "
    r"got an unexpected keyword argument '(\w+)'"
)

# Field names by part; None from a revision that does not tell them.
Known = Mapping[str, Sequence[str]] | None


def measuring_job(job: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """The whole job, all fields given, as a server that knows these fields takes it.

    Raises:
        ComparisonError: a field has another value than its default, and the server lacks it.
    """
    case = measuring_case(job["case"], known)
    return {**job, "case": case, "measuring": _part("measuring", job["measuring"], known)}


def measuring_case(plain: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """Likewise, a case alone."""
    case = _part("case", {k: v for k, v in plain.items() if k != "model"}, known)
    case["model"] = model_spec(plain["model"], known)
    return case


def model_spec(spec: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """Likewise, the sizes of a model."""
    return _part("model", spec, known)


def unknown_field(output: str) -> ComparisonError | None:
    """The error behind the end of a child that a field killed: revisions before they told fields.

    Args:
        output: the end of what it printed.
    """
    last = output.strip().splitlines()[-1:]
    found = _UNEXPECTED.fullmatch(last[0]) if last else None
    if found is None:
        return None
    part = next(name for name, kind in _PARTS.items() if kind.__name__ == found[1])
    return _lacking(part, found[2])


def _part(part: str, values: Mapping[str, Any], known: Known) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(_PARTS[part])}
    changed = {
        name: value for name, value in values.items() if value != defaults.get(name, MISSING)
    }
    if known is None:
        # Its defaults are ours as far as it has the field at all.
        return changed
    names = known.get(part, ())
    for name in changed:
        if name not in names:
            raise _lacking(part, name)
    # Defaults go too: another revision may have others.
    return {name: value for name, value in values.items() if name in names}


def _lacking(part: str, name: str) -> ComparisonError:
    return ComparisonError(
        f"this revision of lmn-bench knows no {part} field {name!r}",
        "leave it at its default, or compare with a later revision",
    )
