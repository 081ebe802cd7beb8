"""What the parent asks a worker to measure, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

from lmn_bench.errors import ComparisonError
from lmn_bench.schema import Case, Measuring, ModelSpec


@dataclass(frozen=True)
class Job:
    """What the parent asks for: one replicate of one case."""

    case: Case
    replicate: int
    measuring: Measuring
    seed: int

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Job:
        """The job in `data`; fields that are left out have their defaults.

        Raises:
            ComparisonError: there is a field that we don't know.
        """
        return cls(
            case=case_of(data["case"]),
            replicate=data["replicate"],
            measuring=Measuring(**_known("measuring", data["measuring"])),
            seed=data["seed"],
        )


# What a job is made of, by field: the parent leaves out what a revision lacks.
FIELDS = {
    "case": [field.name for field in dataclass_fields(Case)],
    "measuring": [field.name for field in dataclass_fields(Measuring)],
    "model": [field.name for field in dataclass_fields(ModelSpec)],
    "probe": ["subject", "spec", "cases"],
}


def case_of(data: Mapping[str, Any]) -> Case:
    """A case from plain data.

    Raises:
        ComparisonError: there is a field that we don't know.
    """
    return Case(**{**_known("case", data), "model": spec_of(data["model"])})


def spec_of(data: Mapping[str, int]) -> ModelSpec:
    """Sizes from plain data; those left out have their defaults.

    Raises:
        ComparisonError: there is one that we don't know.
    """
    return ModelSpec(**_known("model", data))


def _known(part: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in data:
        if name not in FIELDS[part]:
            raise ComparisonError(
                f"this revision of lmn-bench knows no {part} field {name!r}",
                "leave it at its default, or compare with another revision",
            )
    return data
