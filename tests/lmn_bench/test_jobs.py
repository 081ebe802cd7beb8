"""Jobs for servers of other revisions: what they lack is left out where it makes no difference."""

from __future__ import annotations

from dataclasses import asdict, fields

import pytest
from bench_helpers import case

from lmn_bench.errors import ComparisonError
from lmn_bench.run.jobs import measuring_job, model_spec, unknown_field
from lmn_bench.schema import Case, Measuring, ModelSpec


def job(of=None, **measuring):
    return {
        "case": asdict(of or case()), "replicate": 2, "measuring": asdict(Measuring(**measuring)),
        "seed": 7,
    }  # fmt: skip


def known(**lacking):
    """The fields of a revision that lacks these."""
    parts = {"case": Case, "measuring": Measuring, "model": ModelSpec}
    return {
        part: [field.name for field in fields(kind) if field.name != lacking.get(part)]
        for part, kind in parts.items()
    }


def test_a_server_that_does_not_tell_its_fields_gets_those_that_are_not_at_their_default():
    sent = measuring_job(job(Case("lmn", "decode", 64, threads=2), processes=9), None)
    assert sent == {
        "case": {"subject": "lmn", "mode": "decode", "length": 64, "threads": 2, "model": {}},
        "replicate": 2, "measuring": {"processes": 9}, "seed": 7,
    }  # fmt: skip


def test_a_server_that_tells_its_fields_gets_all_of_them_whatever_its_defaults_are():
    whole = job(case(compile=True), timing=False)
    assert measuring_job(whole, known()) == whole


def test_a_field_at_its_default_is_left_out_for_a_revision_that_lacks_it():
    sent = measuring_job(job(), known(case="cuda_graph", measuring="timing", model="expansion"))
    assert "cuda_graph" not in sent["case"]
    assert "expansion" not in sent["case"]["model"]
    assert sent["measuring"].keys() == asdict(Measuring()).keys() - {"timing"}


@pytest.mark.parametrize(
    ("of", "measuring", "lacking", "words"),
    [
        (case(), {"timing": False}, {"measuring": "timing"}, "no measuring field 'timing'"),
        (case(compile=True), {}, {"case": "compile"}, "no case field 'compile'"),
        (
            case(),
            {"cap_mechanism": "cgroup"},
            {"measuring": "cap_mechanism"},
            "no measuring field 'cap_mechanism'",
        ),
        (case(model=ModelSpec(banks=2)), {}, {"model": "banks"}, "no model field 'banks'"),
    ],
)
def test_a_field_that_a_revision_lacks_and_the_job_needs_is_told(of, measuring, lacking, words):
    with pytest.raises(ComparisonError, match=words):
        measuring_job(job(of, **measuring), known(**lacking))


def test_the_sizes_of_a_probe_are_thinned_out_alike():
    assert model_spec(asdict(ModelSpec(width=8)), None) == {"width": 8}


def test_a_child_that_died_of_a_field_it_did_not_know_names_it():
    last = "TypeError: Measuring.__init__() got an unexpected keyword argument 'timing'"
    error = unknown_field(f"Traceback (most recent call last):\n  ...\n{last}\n")
    assert error is not None
    assert error.message == "this revision of lmn-bench knows no measuring field 'timing'"


@pytest.mark.parametrize(
    "output",
    ["", "boom", "TypeError: make() got an unexpected keyword argument 'dtype'"],
)
def test_other_deaths_say_nothing_of_fields(output):
    assert unknown_field(output) is None
