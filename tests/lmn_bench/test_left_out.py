from __future__ import annotations

from dataclasses import replace

import pytest
from bench_helpers import GPU, case, environment, failed, ok, run_info, suite, sweep

from lmn_bench.cli.reports import summed_up
from lmn_bench.cli.sweep import plan_here
from lmn_bench.errors import DeviceError
from lmn_bench.plan import NO_GPU, all_cases, left_out, plan
from lmn_bench.report.inspect import inspect_run
from lmn_bench.report.left_out import (
    left_out_of,
    left_out_sentences,
    skip_reasons,
    skipped_sentences,
)
from lmn_bench.report.method import method_section
from lmn_bench.report.planned import plan_document
from lmn_bench.schema import Outcome
from lmn_bench.store import StoredRun
from lmn_bench.suite import Override

BOTH = suite(sweep(device=("cpu", "cuda")), processes=2)
ON_CPU = [one for one in all_cases(BOTH) if one.device == "cpu"]
LEFT_OUT = "CUDA cases left out: no NVIDIA GPU on this machine (6 cases)."


class Server:
    """Tells whether torch can use the GPU, as a fork server does."""

    def __init__(self, has_cuda):
        self._has_cuda = has_cuda

    def has_cuda(self):
        return self._has_cuda


def stored(records, **changes):
    return StoredRun(None, run_info(BOTH, **changes), tuple(records))


def test_cases_left_out_are_told_in_one_line_with_reason_and_number():
    assert left_out_sentences({NO_GPU: 6}) == [LEFT_OUT]
    assert left_out_sentences({NO_GPU: 1})[0].endswith("(1 case).")


def test_a_plan_tells_them_and_plans_none_of_them():
    document = plan_document(BOTH, plan(BOTH, environment()), environment())
    assert LEFT_OUT in document.answers
    assert not any("skipped" in answer for answer in document.answers)
    (table,) = document.sections[0].tables
    assert {row[3] for row in table.rows} == {"cpu, 1 thr"}


def test_a_run_without_them_is_complete():
    records = [ok(one, replicate) for one in ON_CPU for replicate in range(2)]
    run = stored(records)
    found = summed_up(run, plan(BOTH, environment()))
    assert found.planned == len(records)
    assert {result.case.device for result in found.results.cases} == {"cpu"}
    said = " ".join(method_section(run.info, records, found.planned).sentences)
    assert "12 of 12 planned processes recorded" in said
    assert LEFT_OUT in said


def test_a_run_of_before_that_has_records_of_them_is_complete_too():
    records = [
        ok(one) if one.device == "cpu" else failed(one, Outcome.SKIPPED, NO_GPU)
        for one in all_cases(BOTH)
    ]
    run = stored(records)
    assert summed_up(run, plan(BOTH, environment())).planned == 2 * len(records)
    assert left_out_of(run.info, records) == {}
    assert skip_reasons(records) == {NO_GPU: 6}


def test_a_machine_with_a_gpu_leaves_nothing_out():
    info = run_info(BOTH, environment=environment(gpus=(GPU,)))
    assert left_out_of(info, []) == {}
    planned = plan_here(BOTH, info.environment, Server(has_cuda=True))
    assert left_out(planned) == {}


def test_a_gpu_that_torch_cannot_use_is_told_as_that():
    machine = environment(gpus=(GPU,))
    ((reason, count),) = left_out(plan_here(BOTH, machine, Server(has_cuda=False))).items()
    assert "torch cannot use the GPU" in reason
    assert count == 6
    info = replace(run_info(BOTH, environment=machine), no_cuda=reason)
    assert left_out_of(info, []) == {reason: 6}


@pytest.mark.parametrize("device", ["cuda", ["cpu", "cuda"]])
def test_asking_for_cuda_by_name_where_torch_cannot_is_an_error(device):
    asked = [Override("--device", "device", device)]
    with pytest.raises(DeviceError, match="cuda was asked for"):
        plan_here(BOTH, environment(gpus=(GPU,)), Server(has_cuda=False), asked)


def skips(*reasons):
    return [
        failed(case(length=64 + place), Outcome.SKIPPED, reason)
        for place, reason in enumerate(reasons)
    ]


def test_skips_are_counted_by_reason_the_most_frequent_first():
    (said,) = skipped_sentences(skips("few", "many", "many"))
    assert said == "Skipped: 2 × many; 1 × few."


def test_series_that_came_to_different_lengths_have_one_reason():
    records = skips("timeout at length 128", "timeout at length 1,024", "timeout at length 64")
    assert skip_reasons(records) == {"timeout at this length or a shorter one": 3}


def test_rare_reasons_are_counted_together():
    (said,) = skipped_sentences(skips(*"aaabbbcccdddef"))
    assert said.endswith("3 × d; 2 × other reasons (`lmn-bench show` has them).")


def test_where_nothing_was_skipped_nothing_is_said():
    assert skipped_sentences([ok(case())]) == []


def test_show_has_every_reason(tmp_path):
    records = [ok(ON_CPU[0]), *skips(*"abcdef")]
    rows = dict(inspect_run(run_info(BOTH), tmp_path, records, ()).sections[0].tables[0].rows)
    assert rows["skipped"] == "1 × a; 1 × b; 1 × c; 1 × d; 1 × e; 1 × f"
    assert rows["left out"] == LEFT_OUT
