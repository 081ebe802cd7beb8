"""Rates achieved, beside the ceilings of a machine."""

from __future__ import annotations

import pytest
from bench_helpers import case, failed, ok, run_info

from lmn_bench.analysis.achieved import achieved, longest_common_length
from lmn_bench.analysis.results import result_set
from lmn_bench.report.build import build_report
from lmn_bench.report.markdown import render_markdown
from lmn_bench.schema import Ceiling, Outcome

CEILING = Ceiling("cpu", 1, "float32", matrix_flops_per_s=100e9, copy_bytes_per_s=20e9)
WORK = {"flops": 5e9, "bytes_moved": 1e9}


def measured(subject="lmn", length=64, latency_s=0.1, **metrics):
    of = case(subject, length=length)
    return [ok(of, replicate, latency_s, **metrics) for replicate in range(3)]


def one(records):
    return result_set(records).cases[0]


def test_rates_are_work_by_time_and_shares_of_the_ceiling():
    found = achieved(one(measured(**WORK)), CEILING)
    assert found.flops_per_s == pytest.approx(50e9)
    assert found.bytes_per_s == pytest.approx(10e9)
    assert found.matrix_share == pytest.approx(0.5)
    assert found.copy_share == pytest.approx(0.5)


def test_without_a_ceiling_there_are_rates_and_no_shares():
    found = achieved(one(measured(**WORK)), None)
    assert found.flops_per_s == pytest.approx(50e9)
    assert found.matrix_share is found.copy_share is None


def test_a_model_of_unknown_work_has_no_rates():
    assert achieved(one(measured()), CEILING) is None
    assert achieved(one([failed(case(), Outcome.ERROR)]), CEILING) is None


def test_one_known_kind_of_work_is_enough():
    found = achieved(one(measured(flops=5e9)), CEILING)
    assert found.bytes_per_s is found.copy_share is None


def test_subjects_are_set_side_by_side_where_all_have_finished():
    records = [
        *measured(length=64), *measured(length=128), *measured("gru", 64),
        failed(case("gru", length=128), Outcome.TIMEOUT), failed(case("rnn"), Outcome.ERROR),
    ]  # fmt: skip
    results = result_set(records)
    assert longest_common_length(results, case().setting) == 64


def test_where_they_share_no_length_it_is_the_longest_of_any():
    results = result_set([*measured(length=64), *measured("gru", 128)])
    assert longest_common_length(results, case().setting) == 128
    assert (
        longest_common_length(result_set([failed(case(), Outcome.ERROR)]), case().setting) is None
    )


def report(records, *ceilings):
    info = run_info(ceilings=ceilings)
    return render_markdown(build_report(info, result_set(records), records, len(records)))


def test_a_report_shows_rates_beside_ceilings():
    said = report([*measured(**WORK), *measured("gru", latency_s=0.2, **WORK)], CEILING)
    assert "**Achieved at 64 tokens**" in said
    assert "| lmn | 50.0 GFLOP/s | 50% | 10.0 GB/s | 50% |" in said
    assert "| gru | 25.0 GFLOP/s | 25% | 5.00 GB/s | 25% |" in said
    assert "100 GFLOP/s in a matrix product" in said


@pytest.mark.parametrize(
    "other", [(), (Ceiling("cpu", 2, "float32", 1e9, 1e9),), (Ceiling("cpu", 1, "float64", 1, 1),)]
)
def test_a_ceiling_of_other_threads_or_another_dtype_is_none(other):
    said = report(measured(**WORK), *other)
    assert "| lmn | 50.0 GFLOP/s | 10.0 GB/s |" in said


def test_a_report_of_unknown_work_has_no_such_table():
    assert "Achieved" not in report(measured(), CEILING)
