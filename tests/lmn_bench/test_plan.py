from __future__ import annotations

from dataclasses import replace

import pytest
from bench_helpers import GPU, case, environment, ok, suite, sweep
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.plan import all_cases, left_out, on_this_machine, plan, runnable
from lmn_bench.schema import DEVICES, DTYPES, MODES, Case, ModelSpec
from lmn_bench.subjects.names import BUILTIN, LACKING

sizes = st.integers(1, 64)
cases = st.builds(
    Case,
    subject=st.sampled_from([*BUILTIN, "my_package.models:make"]),
    mode=st.sampled_from(list(MODES)),
    length=st.integers(1, 2**40),
    device=st.sampled_from(DEVICES),
    batch=sizes,
    dtype=st.sampled_from(DTYPES),
    threads=sizes,
    memory_cap_bytes=st.none() | st.integers(2**20, 2**40),
    model=st.builds(ModelSpec, sizes, sizes, sizes, sizes, st.integers(0, 8)),
    compile=st.booleans(),
    cuda_graph=st.booleans(),
)


def test_a_grid_is_the_product_of_its_axes():
    grid = sweep(modes=("prefill", "train"), batch=(1, 2), width=(32, 64, 128))
    assert len(all_cases(suite(grid))) == 2 * 3 * 2 * 2 * 3


def test_a_case_of_two_sweeps_counts_once():
    found = all_cases(suite(sweep(lengths=(64, 128)), sweep(lengths=(128, 256))))
    assert sorted({c.length for c in found}) == [64, 128, 256]
    assert len(found) == len(set(found)) == 6


def test_an_id_says_all_that_makes_a_case_and_never_changes():
    full = case(
        "lmn-conv", "decode", 4096, threads=2, memory_cap_bytes=64 * 2**20,
        model=ModelSpec(64, 4, 1, 2, 1),
    )  # fmt: skip
    assert full.id == "lmn-conv/decode/4096/cpu-t2/float32/b1/w64-h4-l1-k2-v1/cap-64MiB"


def test_only_a_compiled_case_says_so_in_its_id():
    assert case(compile=True).id == f"{case().id}/compiled"
    assert "compile" not in case().id
    assert case(compile=True).setting != case().setting


def test_only_a_case_of_cuda_graphs_says_so_in_its_id():
    assert case(device="cuda", cuda_graph=True).id == f"{case(device='cuda').id}/cuda-graphs"
    assert case(cuda_graph=True).setting != case().setting


def test_cuda_graphs_are_planned_for_decode_of_those_that_have_them():
    grid = sweep(subjects=("lmn", "gru"), modes=("decode", "prefill"), lengths=(64,),
                 device=("cuda",), compile=(False, True), cuda_graph=(True,))  # fmt: skip
    planned = plan(suite(grid), environment(gpus=(GPU,)))
    todo = [item.case for item in planned if item.skip is None]
    assert [(c.subject, c.mode, c.compile) for c in todo] == [("lmn", "decode", False)]
    skips = {item.skip for item in planned} - {None}
    assert any("not both" in skip for skip in skips)
    assert any("decode of lmn, lmn-conv, lmn-expander alone" in skip for skip in skips)


def test_compiled_cases_are_planned_without_a_cap_and_take_longer():
    grid = sweep(subjects=("lmn",), lengths=(64,), compile=(False, True),
                 memory_cap=(None, 64 * 2**20))  # fmt: skip
    planned = {
        (i.case.compile, i.case.memory_cap_bytes): i for i in plan(suite(grid), environment())
    }
    assert [item.skip is None for item in planned.values()].count(False) == 1
    assert "without a cap" in planned[True, 64 * 2**20].skip
    assert planned[True, None].seconds > planned[False, None].seconds + 1


@given(cases, cases)
def test_two_cases_share_an_id_only_if_they_are_the_same(one, other):
    assert (one.id == other.id) == (one == other)


@given(cases)
def test_a_record_gives_its_case_back(one):
    record = ok(one)
    assert record.case == one
    assert record.case_id == one.id


@given(cases, st.integers(1, 2**40))
def test_cases_of_a_series_differ_in_nothing_but_length(one, length):
    assert replace(one, length=length).series == one.series
    assert replace(one, batch=one.batch + 1).series != one.series


@given(cases)
def test_cases_of_a_setting_may_differ_in_subject_and_length(one):
    assert replace(one, length=1, subject="other").setting == one.setting
    assert replace(one, threads=one.threads + 1).setting != one.setting


def test_cuda_without_a_gpu_is_skipped_with_the_reason():
    planned = plan(suite(sweep(device=("cpu", "cuda"))), environment())
    skipped = {item.case.device: item.skip for item in planned}
    assert skipped == {"cpu": None, "cuda": "no NVIDIA GPU on this machine"}
    assert {c.device for c in runnable(planned)} == {"cpu"}


def test_cases_for_a_device_that_is_not_there_are_no_part_of_a_run():
    planned = plan(suite(sweep(device=("cpu", "cuda"))), environment())
    assert {item.case.device for item in on_this_machine(planned)} == {"cpu"}
    assert left_out(planned) == {"no NVIDIA GPU on this machine": 6}


def test_cases_for_a_gpu_that_cannot_be_used_are_left_out_with_that_reason():
    planned = plan(suite(sweep(device=("cpu", "cuda"))), environment(gpus=(GPU,)), "torch can't")
    assert left_out(planned) == {"torch can't": 6}


def test_what_is_skipped_for_another_reason_stays_in_the_run():
    planned = plan(suite(sweep(threads=(8,))), environment())
    assert on_this_machine(planned) == planned
    assert left_out(planned) == {}


def test_cuda_with_a_gpu_is_planned():
    planned = plan(suite(sweep(device=("cuda",))), environment(gpus=(GPU,)))
    assert all(item.skip is None for item in planned)


def test_more_threads_than_cores_are_skipped_with_the_reason():
    planned = plan(suite(sweep(threads=(4, 8))), environment(logical_cores=4))
    skipped = {item.case.threads: item.skip for item in planned}
    assert skipped == {4: None, 8: "8 threads asked for, 4 cores here"}


def test_one_core_is_told_as_one():
    (item,) = plan(
        suite(sweep(subjects=("lmn",), lengths=(8,), threads=(2,))), environment(logical_cores=1)
    )
    assert item.skip == "2 threads asked for, 1 core here"


@pytest.mark.parametrize(
    ("subject", "mode"), [(s, m) for s in BUILTIN for m in MODES if (s, m) not in LACKING]
)
def test_every_builtin_case_has_a_forecast_that_grows_with_length(subject, mode):
    of_two = plan(suite(sweep(subjects=(subject,), modes=(mode,), lengths=(64, 2**16))),
                  environment())  # fmt: skip
    short, long = of_two
    assert 0 < short.memory_bytes <= long.memory_bytes
    assert 0 < short.seconds <= long.seconds


def test_a_users_own_model_has_no_forecast():
    (item,) = plan(suite(sweep(subjects=("mine:make",), lengths=(64,))), environment())
    assert item.memory_bytes is None
    assert item.seconds is None
    assert item.skip is None


def test_a_model_that_cannot_be_built_in_these_sizes_is_skipped_with_the_reason():
    grid = sweep(subjects=("lmn", "lmn-expander"), lengths=(64,), width=(2,), heads=(1,),
                 expansion=(1000,))  # fmt: skip
    skips = {item.case.subject: item.skip for item in plan(suite(grid), environment())}
    assert skips["lmn"] is None
    assert "lmn-expander" in skips["lmn-expander"]


@pytest.mark.parametrize(("subject", "mode"), list(LACKING))
def test_a_mode_that_a_model_lacks_is_skipped_with_the_reason(subject, mode):
    (item,) = plan(suite(sweep(subjects=(subject,), modes=(mode,), lengths=(64,))), environment())
    assert item.skip == f"{subject} has no {mode}: {LACKING[subject, mode]}"


def test_no_forecast_is_longer_than_its_time_limits():
    grid = sweep(subjects=("transformer",), lengths=(2**24,))
    (item,) = plan(suite(grid, processes=3, timeout_s=10), environment())
    assert item.seconds <= 3 * 10
