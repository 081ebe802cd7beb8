"""Servers that run other code than ours: another lmn_bench, another tree of a user's modules."""

from __future__ import annotations

import os
import platform
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import pytest
from bench_helpers import case

from lmn_bench import __version__
from lmn_bench.errors import ComparisonError, WorkerError
from lmn_bench.run.installation import PACKAGES, Installation
from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Measuring, ModelSpec
from lmn_bench.subjects.search import search_path

MODEL = """
from torch import nn

def make(spec, *, dtype, device):
    return nn.Linear(spec.width, spec.width, bias={bias})
"""
# A server from before servers told anything of themselves; its child dies of a new field.
OLD_WORKER = """
import json, sys

def say(message):
    print(json.dumps(message), flush=True)

say({"ready": True})
for line in sys.stdin:
    job = json.loads(line)
    say({"pid": 0})
    result, output = {"parameters": 1, "modes": ["train"]}, ""
    if "measure" in job:
        result = {"outcome": "ok", "metrics": {"sent": len(job["measure"]["measuring"])}}
        if "timing" in job["measure"]["measuring"]:
            result = None
            name = "Measuring.__init__() got an unexpected keyword argument 'timing'"
            output = "Traceback:\\n  ...\\nTypeError: " + name
    say({"result": result, "exit": 0 if result else 1, "output": output})
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


# ------------------------------------------------------------------------------- the search path

STANDARD = ["/ours", "/lib/python3.12", "/lib/python3.12/lib-dynload"]
SITE = ["/venv/lib/python3.12/site-packages", "/editable"]


def test_without_a_tree_the_working_directory_is_searched_last():
    path = [*STANDARD, *SITE]
    assert search_path(path, {"PYTHONPATH": "/ours"}, "/here") == [*path, "/here"]
    assert search_path([*path, "/here"], {}, "/here") == [*path, "/here"]


def test_a_tree_comes_behind_the_standard_library_and_before_what_is_installed():
    environ = {"PYTHONPATH": "/ours", "LMN_BENCH_TREE": "/tree"}
    assert search_path([*STANDARD, *SITE], environ, "/tree") == [*STANDARD, "/tree", *SITE]


def test_a_tree_comes_before_what_pythonpath_names():
    environ = {"PYTHONPATH": "/ours:/mine", "LMN_BENCH_TREE": "/tree"}
    ours, *library = STANDARD
    found = search_path([ours, "/mine", *library, *SITE], environ, "/tree")
    assert found == [*STANDARD, "/tree", "/mine", *SITE]


def test_our_own_packages_stay_first_even_where_they_are_the_tree():
    environ = {"PYTHONPATH": "/ours:/ours", "LMN_BENCH_TREE": "/ours"}
    found = search_path([*STANDARD, *SITE], environ, "/ours")
    assert found[0] == "/ours"


def test_no_tree_comes_from_the_users_own_environment():
    environ = Installation().environ({"LMN_BENCH_TREE": "/elsewhere", "PYTHONPATH": "/mine"})
    assert environ == {"PYTHONPATH": os.pathsep.join([str(PACKAGES), "/mine"])}


# ------------------------------------------------------------------------------- real servers


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree with a model in `src`, other packages of our names, and another state installed."""
    base = tmp_path_factory.mktemp("tree")
    write(base / "tree/src/model_of_tree.py", MODEL.format(bias=True))
    write(base / "tree/lmn/__init__.py", "raise ImportError('the wrong lmn')")
    write(base / "tree/statistics.py", "raise ImportError('the wrong statistics')")
    write(base / "installed/model_of_tree.py", MODEL.format(bias=False))
    return base


@pytest.fixture(scope="module")
def server(tree):
    environ = {**os.environ, "PYTHONPATH": str(tree / "installed")}
    with ForkServer(environ, Installation(tree=tree / "tree")) as running:
        yield running


def test_a_model_comes_from_the_tree_and_not_from_another_state_of_it(server, tree):
    found = server.probe("model_of_tree:make", asdict(ModelSpec(width=8)))
    assert found["parameters"] == 8 * 8 + 8
    assert found["origins"]["model_of_tree"] == str(tree / "tree/src/model_of_tree.py")


def test_our_packages_come_from_their_own_place_whatever_the_tree_holds(server):
    origins = server.probe("lmn", asdict(ModelSpec(width=8, heads=2)))["origins"]
    assert origins == {
        name: str(PACKAGES / name / "__init__.py") for name in ("lmn_bench", "lmn")
    }  # fmt: skip


def test_a_server_tells_its_software(server):
    found = server.software
    assert found["python"] == platform.python_version()
    assert found["lmn_bench"] == __version__
    assert found["torch"]


@pytest.fixture
def old(tmp_path):
    """A server of an old revision, by the packages that it is made of."""
    write(tmp_path / "old/lmn_bench/__init__.py", "")
    write(tmp_path / "old/lmn_bench/worker/__init__.py", "")
    write(tmp_path / "old/lmn_bench/worker/__main__.py", OLD_WORKER)
    with ForkServer(installation=Installation(packages=tmp_path / "old")) as running:
        yield running


def test_an_old_server_that_tells_nothing_of_itself_works_too(old):
    assert old.software == {}
    assert old.probe("lmn", asdict(ModelSpec()))["origins"] == {}


def test_an_old_server_gets_only_what_is_not_at_its_default(old):
    job = {"case": asdict(case()), "replicate": 0, "measuring": asdict(Measuring(processes=9)),
           "seed": 0}  # fmt: skip
    assert old.measure(job, 10).result["metrics"] == {"sent": 1}


def test_an_old_server_without_a_field_that_the_job_needs_cannot_be_compared(old):
    job = {"case": asdict(case()), "replicate": 0, "measuring": asdict(Measuring(timing=False)),
           "seed": 0}  # fmt: skip
    with pytest.raises(ComparisonError, match="knows no measuring field 'timing'"):
        old.measure(job, 10)


@pytest.mark.parametrize(
    "wanted", [Installation(python="/no/python"), Installation(tree=Path("/no/such/tree"))]
)
def test_a_server_that_cannot_start_says_what_is_missing(wanted):
    with ForkServer(installation=wanted) as server, pytest.raises(WorkerError, match="/no/"):
        server.has_cuda()


def test_the_interpreter_is_the_one_asked_for(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexport MARK=mine\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    write(tmp_path / "p/lmn_bench/__init__.py", "")
    write(tmp_path / "p/lmn_bench/worker/__init__.py", "")
    told = "import json, os; print(json.dumps({'ready': True, 'torch': os.environ['MARK']}))"
    write(tmp_path / "p/lmn_bench/worker/__main__.py", f"{told}; input()")
    wanted = Installation(python=str(python), packages=tmp_path / "p")
    with ForkServer(installation=wanted) as server:
        assert server.software == {"torch": "mine"}
