"""The dependency rule, read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("lmn", "lmn_bench")
    for path in sorted((ROOT / package).rglob("*.py"))
}
# What each room of lmn_bench may import of lmn_bench, itself always included.
GROUND = {
    "errors",
    "escapes",
    "numerals",
    "texts",
    "typed",
    "units",
    "outcomes",
    "lessons",
    "places",
    "plain",
    "keeping",
    "offspring",
    "shared",
}
VOCABULARY = {*GROUND, "schema", "metrics", "disturbance", "samples", "differences"}
ALLOWED = {
    "errors": set(),
    "escapes": set(),
    "numerals": {"errors"},
    "units": {"errors", "numerals"},
    "typed": set(),
    "texts": {"errors", "typed"},
    "outcomes": {"errors", "units", "keeping"},
    "lessons": set(),
    "places": set(),
    "plain": {"escapes"},
    "keeping": set(),
    "offspring": set(),
    "shared": set(),
    "warden": {"keeping", "offspring"},
    "schema": GROUND,
    "metrics": GROUND,
    "devices": {*GROUND, "schema"},
    "disturbance": {*GROUND, "schema"},
    "malloc": set(),
    "differences": {*GROUND, "schema"},
    "samples": {*GROUND, "schema"},
    "subjects.names": {"errors"},
    "subjects.sizes": {*VOCABULARY, "subjects.names"},
    "costs": {*VOCABULARY, "subjects.names", "subjects.sizes"},
    "suite_file": {*VOCABULARY, "subjects.names", "learning.names"},
    "suite_learning": {*VOCABULARY, "suite_file", "subjects.names"},
    "suite": {*VOCABULARY, "suite_file", "suite_learning"},
    "plan": {*VOCABULARY, "costs", "subjects.names", "subjects.sizes", "learning"},
    "nvml": {*GROUND, "schema"},
    "cgroups": GROUND,
    "environment": {*VOCABULARY, "nvml", "cgroups"},
    "disk": set(),
    "store": {*VOCABULARY, "disk"},
    "rescue": {*VOCABULARY, "disk", "store"},
    "run_lock": {*GROUND, "disk"},
    "gates": {*VOCABULARY, "store"},
    "pooling": {*VOCABULARY, "store"},
    "baselines": {*VOCABULARY, "store", "pooling", "disk", "run_lock"},
    "profiles": VOCABULARY,
    "learning.names": set(),
    "learning": {"errors", "numerals", "texts", "units", "learning.names"},
    "analysis": VOCABULARY,
    "sizing": {
        *VOCABULARY, "analysis", "costs", "devices", "malloc", "subjects.names", "subjects.sizes",
    },
    "run": {*VOCABULARY, "store", "cgroups", "warden"},
    "report": {
        *VOCABULARY, "suite", "plan", "environment", "store", "analysis", "sizing",
        "profiles", "subjects.names",
    },
    "subjects": {*VOCABULARY, "costs", "subjects.names", "subjects.sizes", "learning"},
    "worker": {
        *VOCABULARY, "nvml", "cgroups", "costs", "malloc", "subjects", "subjects.names",
        "subjects.sizes", "learning", "disk",
    },
    "cli": {
        *VOCABULARY, "costs", "subjects.names", "suite", "suite_file", "plan", "environment",
        "store", "pooling", "baselines", "gates", "analysis", "run", "report", "sizing", "devices",
        "profiles", "subjects.sizes", "learning", "learning.names", "run_lock", "disk",
        "rescue",
    },
    "__main__": {"cli"},
    "": set(),
}  # fmt: skip
WITH_TORCH = {"worker", "subjects"}
# What the rest may know of subjects and of what they learn: names and sizes, which need no torch.
PLAIN = {
    "learning.limits": "learning.names",
    "learning.names": "learning.names",
    "subjects": "subjects.names",
    "subjects.names": "subjects.names",
    "subjects.sizes": "subjects.sizes",
    "subjects.learner_sizes": "subjects.sizes",
    "subjects.traffic": "subjects.sizes",
}
# Parts of lmn that know no torch.
PLAIN_LMN = {"lmn.atomic", "lmn.config", "lmn.tree", "lmn.cost", "lmn.language_model_cost"}


def imports_of(module):
    """Full names of all that a module imports, also inside its functions."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, node.module or ""] if node.level else [node.module or ""])
            for alias in node.names:
                whole = f"{base.rstrip('.')}.{alias.name}"
                yield whole if whole in MODULES else base.rstrip(".")


def room_of(module):
    """The room that a module of lmn_bench lies in: its first part, but for plain modules."""
    inside = module.removeprefix("lmn_bench").lstrip(".")
    return PLAIN.get(inside, inside.partition(".")[0])


def top_of(name):
    return name.partition(".")[0]


BENCH = [name for name in MODULES if top_of(name) == "lmn_bench"]
LMN = [name for name in MODULES if top_of(name) == "lmn"]


def test_every_room_is_known():
    assert {room_of(module) for module in BENCH} == set(ALLOWED)


@pytest.mark.parametrize("module", BENCH)
def test_a_room_imports_only_rooms_below_it(module):
    room = room_of(module)
    used = {room_of(name) for name in imports_of(module) if top_of(name) == "lmn_bench"}
    assert used - {room, ""} <= ALLOWED[room]


@pytest.mark.parametrize("module", LMN)
def test_the_model_knows_nothing_of_benchmarks(module):
    assert "lmn_bench" not in {top_of(name) for name in imports_of(module)}


@pytest.mark.parametrize("module", [name for name in BENCH if room_of(name) not in WITH_TORCH])
def test_torch_and_the_models_code_stay_inside_worker_and_subjects(module):
    used = set(imports_of(module))
    assert "torch" not in {top_of(name) for name in used}
    assert {name for name in used if top_of(name) == "lmn"} <= PLAIN_LMN


@pytest.mark.parametrize("module", sorted(PLAIN_LMN))
def test_sizes_and_costs_of_the_model_need_no_torch(module):
    used = set(imports_of(module))
    assert "torch" not in {top_of(name) for name in used}
    assert {name for name in used if top_of(name) == "lmn"} <= PLAIN_LMN


@pytest.mark.parametrize("module", [name for name in BENCH if room_of(name) != "worker"])
def test_nobody_imports_the_worker(module):
    assert not {name for name in imports_of(module) if name.startswith("lmn_bench.worker")}
