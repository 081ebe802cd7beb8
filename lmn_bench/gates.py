"""Folders of `lmn-bench ab`: a run folder for each arm, and what was compared.

results/ab-<suite>-<date>-<time>/
    gate.json        what was compared, in words
    base/ null/ new/ run folders; a block's two processes are replicates 2 b and 2 b + 1
    report.html      and report.md, report.json: the verdict
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lmn_bench.errors import NewerSchemaError, StoreError
from lmn_bench.places import GATE_FILE
from lmn_bench.schema import SCHEMA
from lmn_bench.store import save

ARMS = ("base", "null", "new")


@dataclass(frozen=True)
class GateInfo:
    """What was compared.

    Attributes:
        base, new: in words: a revision, a working tree, an installation.
        notes: what a reader has to know, as sentences.
    """

    base: str
    new: str
    notes: tuple[str, ...] = ()
    schema: int = SCHEMA


def is_gate(folder: Path) -> bool:
    """Whether the folder was made by `lmn-bench ab`."""
    return (folder / GATE_FILE).is_file()


def save_gate(folder: Path, info: GateInfo) -> None:
    """Write what was compared.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create {folder}: {error.strerror}", "choose another place with --results"
        ) from error
    save(folder / GATE_FILE, json.dumps(asdict(info), indent=2) + "\n", own=True)


def read_gate(folder: Path) -> GateInfo:
    """What was compared.

    Raises:
        StoreError: no folder of `lmn-bench ab`, or one that cannot be read.
        NewerSchemaError: written by a newer lmn-bench.
    """
    path = folder / GATE_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        found = GateInfo(data["base"], data["new"], tuple(data["notes"]), int(data["schema"]))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is not what `lmn-bench ab` wrote", "compare its runs: base and new"
        ) from error
    if found.schema > SCHEMA:
        raise NewerSchemaError(
            f"{path} has schema {found.schema}; this lmn-bench reads up to {SCHEMA}",
            "upgrade lmn-bench",
        )
    return found
