"""Real children of a real fork server, measuring models that behave and models that don't."""

from __future__ import annotations

import os
import shutil
import statistics
from dataclasses import asdict, replace
from functools import cache, partial

import pytest
from bench_helpers import SMALL, case
from process_helpers import MIB, QUICK, environ, measured_by, rogue

from lmn_bench.errors import ComparisonError, SubjectError
from lmn_bench.metrics import METRICS
from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import order_tasks, run_tasks
from lmn_bench.samples import low_latency_s
from lmn_bench.schema import MODES, ModelSpec, Outcome
from lmn_bench.subjects.sizes import flops, window_flops
from lmn_bench.subjects.traffic import bytes_moved


@pytest.fixture(scope="module")
def prefills(tmp_path_factory):
    """A file in which `slow_to_read` counts its prefills."""
    return tmp_path_factory.mktemp("prefills") / "count"


@pytest.fixture(scope="module")
def server(prefills):
    """One fork server for all tests here: it takes seconds to import torch."""
    with ForkServer(environ(PREFILLS=str(prefills))) as running:
        yield running


@pytest.fixture(scope="module")
def measure(server):
    """Run one case through a real child; its record."""
    return partial(measured_by, server)


@pytest.fixture(scope="module")
def counted(measure):
    """A record of lmn in a mode with counters, which take seconds to start."""
    return cache(lambda mode: measure("lmn", mode, counters=True))


# Three undisturbed ones, or little more than three on a busy machine.
THREE_PASSES = {
    "decode_window": 4, "max_samples": 3, "time_goal_s": 1000, "quiet_wait_s": 0,
}  # fmt: skip

# ------------------------------------------------------------------------------- how a child ends


@pytest.mark.parametrize("name", ["hangs", "hangs_with_a_child"])
def test_a_model_that_hangs_is_killed_when_its_time_is_up(measure, name):
    record = measure(rogue(name), timeout_s=2)
    assert record.outcome is Outcome.TIMEOUT
    assert record.reason == "took longer than 2 s"


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("exits", Outcome.ERROR, "exit code 7"),
        ("leaves", Outcome.ERROR, "I am leaving"),
        ("kills_itself", Outcome.KILLED, "signal 9"),
        ("crashes", Outcome.ERROR, "crashed with SIGSEGV"),
        ("raises", Outcome.ERROR, "ValueError: boom"),
        ("wrong", Outcome.INCORRECT, "parallel and sequential outputs differ"),
        ("not_a_number", Outcome.INCORRECT, "outputs are not finite"),
        ("cannot_be_built", Outcome.ERROR, "no such size"),
        ("misspelt", Outcome.ERROR, "has no 'misspelt'"),
        ("kills_the_server", Outcome.KILLED, "signal 9"),
    ],
)
def test_every_end_of_a_model_is_an_outcome_with_its_reason(measure, name, outcome, words):
    record = measure(rogue(name))
    assert record.outcome is outcome
    assert words in record.reason


def test_the_server_goes_on_after_a_child_has_died(measure):
    measure(rogue("kills_itself"))
    measure(rogue("hangs"), timeout_s=1)
    assert measure(rogue("good")).outcome is Outcome.OK


def test_a_server_that_was_killed_is_started_anew(measure):
    measure(rogue("kills_the_server"))
    assert measure(rogue("good")).outcome is Outcome.OK


def test_what_a_model_prints_does_not_disturb_the_protocol(measure):
    assert measure(rogue("chatters")).outcome is Outcome.OK
    assert measure(rogue("good")).outcome is Outcome.OK


def test_an_incorrect_model_is_not_timed(measure):
    record = measure(rogue("wrong"))
    assert record.samples_s == ()
    assert "latency_s" not in record.metrics


@pytest.mark.parametrize("mode", ["read", "decode", "stream"])
def test_a_mode_that_a_model_lacks_is_skipped_with_those_it_has(measure, mode):
    record = measure(rogue("no_decode"), mode)
    assert record.outcome is Outcome.SKIPPED
    assert f"has no {mode}; it has prefill, train" in record.reason


def test_a_probe_tells_size_and_modes(server):
    found = server.probe(rogue("good"), asdict(ModelSpec(width=8, heads=1)))
    assert found["parameters"] == 8 * 8 + 8
    assert found["modes"] == ["decode", "prefill", "train"]


def test_an_unknown_field_is_told_by_the_worker_(server):
    job = {"case": {**asdict(case()), "colour": "red"}, "replicate": 0, "measuring": {}, "seed": 0}
    with pytest.raises(ComparisonError, match="knows no case field 'colour'"):
        server._run({"measure": job}, 60)


def test_a_job_with_nothing_but_what_it_needs_is_measured(server):
    quick = {"time_goal_s": 0.001, "warmup_limit_s": 0.001, "max_samples": 1}
    lone = {"subject": "lmn", "mode": "decode", "length": 4, "model": {}}
    reply = server._run(
        {"measure": {"case": lone, "replicate": 0, "measuring": quick, "seed": 0}}, 60
    )
    assert reply.result["outcome"] == "ok"


@pytest.mark.parametrize(
    ("name", "words"),
    [("rogue_subjects:goood", "did you mean 'good'?"), ("rogue_subject:good", "run from the")],
)
def test_a_probe_of_a_misspelt_model_says_what_to_do(server, name, words):
    with pytest.raises(SubjectError) as caught:
        server.probe(name, asdict(ModelSpec()))
    assert words in caught.value.hint


# ------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("replicate", [0, 1])
def test_64_mib_allocated_and_touched_are_reported_as_64_mib(measure, replicate):
    record = measure(rogue("allocates"), replicate=replicate)
    assert record.metrics["working_memory_bytes"] == pytest.approx(64 * MIB, abs=0.5 * MIB)


def test_the_parts_of_memory_stand_beside_the_peak(measure):
    found = measure(rogue("allocates"), counters=True).metrics
    assert found["peak_memory_bytes"] > found["floor_bytes"] + 63 * MIB
    assert found["allocator_peak_bytes"] == pytest.approx(64 * MIB, abs=0.1 * MIB)
    assert found["parameter_bytes"] == 4 * found["parameters"] == 4 * (32 * 32 + 32)


def test_64_mib_under_a_cap_of_32_are_out_of_memory_and_no_crash(measure):
    record = measure(rogue("allocates"), cap=32 * MIB)
    assert record.outcome is Outcome.OUT_OF_MEMORY
    assert "64.0 MiB" in record.reason
    assert not record.is_failure


def test_64_mib_under_a_cap_of_72_fit(measure):
    assert measure(rogue("allocates"), cap=72 * MIB).outcome is Outcome.OK


def test_a_capped_record_tells_the_mechanism_and_what_was_held_when_the_cap_was_set(measure):
    record = measure(rogue("good"), cap=32 * MIB)
    assert record.cap_mechanism == "rlimit"
    assert record.metrics["cap_floor_bytes"] > record.metrics["floor_bytes"]


def test_a_record_without_a_cap_tells_of_none(measure):
    record = measure(rogue("good"))
    assert record.cap_mechanism is None
    assert "cap_floor_bytes" not in record.metrics


def test_a_process_that_dies_under_a_cap_still_tells_of_it(measure):
    record = measure(rogue("kills_itself"), cap=32 * MIB)
    assert record.cap_mechanism == "rlimit"
    assert record.metrics["cap_floor_bytes"] > 0


def test_a_server_without_groups_refuses_caps_by_them(measure):
    record = measure(rogue("good"), cap=32 * MIB, cap_mechanism="cgroup")
    assert record.outcome is Outcome.ERROR
    assert "not started for memory caps by cgroup" in record.reason


# ------------------------------------------------------------------------------- what is measured


@pytest.mark.parametrize("mode", list(MODES))
def test_every_mode_gives_the_metrics_of_the_format(counted, mode):
    record = counted(mode)
    assert record.outcome is Outcome.OK
    promised = {
        "latency_s", "latency_low_s", "tokens_per_s", "peak_memory_bytes", "working_memory_bytes",
        "floor_bytes", "parameter_bytes", "parameters", "allocator_peak_bytes", "flops",
        "operations", "slots",
    }  # fmt: skip
    assert promised <= set(record.metrics) <= set(METRICS)


@pytest.mark.parametrize("mode", ["prefill", "read", "decode", "stream"])
def test_the_state_is_reported_where_there_is_one(counted, mode):
    assert counted(mode).metrics["state_bytes"] > 0


@pytest.mark.parametrize("subject", ["lmn", "lstm"])
def test_reading_four_times_as_much_takes_no_more_working_memory(measure, subject):
    short, long = (
        measure(subject, "read", n, max_samples=1).metrics["working_memory_bytes"]
        for n in (65_536, 262_144)
    )
    # What is alive at once is the same (test_worker_memory.py); how a heap's free room is cut up
    # moved the kernel's number between 6.1 and 10.1 MiB for the same LSTM. The input grows by 24.
    assert abs(long - short) < 6 * MIB


def test_a_read_that_forgets_what_came_before_its_last_segment_is_incorrect(measure):
    record = measure(rogue("forgets"), "read")
    assert record.outcome is Outcome.INCORRECT
    assert "parallel and read outputs differ" in record.reason


def test_decode_records_the_step_to_its_context_and_the_window_of_every_pass(measure):
    record = measure("lmn", "decode", **THREE_PASSES)
    steps = len(record.samples_s) + len(record.disturbed_samples_s)
    # Passes that a busy machine disturbed are made up for by others.
    assert steps >= 3 * (4 + 1)
    assert steps % (4 + 1) == 0


def test_the_latency_of_decode_is_the_median_over_passes_of_the_windows_mean(measure):
    record = measure("lmn", "decode", **THREE_PASSES)
    passes = [record.samples_s[i : i + 5] for i in range(0, len(record.samples_s), 5)]
    expected = statistics.median(statistics.fmean(steps[1:]) for steps in passes)
    assert record.metrics["latency_s"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("mode", ["prefill", "decode"])
def test_the_undisturbed_latency_is_that_of_the_records_own_samples(measure, mode):
    record = measure("lmn", mode, **THREE_PASSES)
    expected = low_latency_s(record.samples_s, mode, 4)
    assert record.metrics["latency_low_s"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "loops"),
    [
        ({"threads": 1}, {"reference_loop_s"}),
        ({"threads": 2}, {"reference_loop_s", "parallel_loop_s"}),
        # The loop on all threads would take its memory from the budget.
        ({"threads": 2, "memory_cap_bytes": 64 * MIB}, {"reference_loop_s"}),
    ],
)
def test_reference_loops_run_on_the_threads_of_the_case(server, changes, loops):
    (_, ended) = run_tasks(order_tasks([case(**changes)], 1, 0), QUICK, 0, server)
    assert {key for key in ended.record.metrics if key.endswith("_loop_s")} == loops


def test_a_timed_record_tells_what_the_machine_did_meanwhile(measure):
    seen = measure("lmn", "prefill").watched
    assert seen.cores == len(os.sched_getaffinity(0))
    assert 0 < seen.counted_s <= seen.timed_s < seen.wall_s
    assert 0 < seen.timed_cpu_s < seen.own_cpu_s


def test_warm_ups_stand_apart_from_samples(measure):
    record = measure("gru", max_samples=2, time_goal_s=1000, quiet_wait_s=0)
    assert len(record.samples_s) == 2
    assert len(record.warmup_samples_s) >= 1


COUNTERS = {"operations", "flops", "allocator_peak_bytes"}


def test_counters_come_from_the_first_process_only(measure, counted):
    second = measure("lmn", replicate=1, counters=True)
    assert set(counted("prefill").metrics) >= COUNTERS
    assert not set(second.metrics) & COUNTERS


@pytest.mark.parametrize(("dtype", "itemsize"), [("float64", 8), ("bfloat16", 2)])
def test_a_case_is_measured_in_its_own_dtype(measure, dtype, itemsize):
    found = measure("lmn", dtype=dtype)
    assert found.outcome is Outcome.OK
    assert found.metrics["parameter_bytes"] == itemsize * found.metrics["parameters"]


def test_flops_come_from_a_formula_where_counting_would_take_too_long(measure):
    # many times what may still be counted, on any machine
    found = measure("lmn", "read", 1 << 20, counters=True, max_samples=1)
    assert any("not counted" in warning for warning in found.warnings)
    assert "operations" not in found.metrics
    assert found.metrics["flops"] == flops("lmn", SMALL, "read", 1 << 20)


@pytest.mark.parametrize("mode", ["train", "prefill", "decode"])
def test_counted_flops_are_those_of_the_formulas(counted, mode):
    of = case("lmn", mode)
    steps = QUICK.decode_window + 1
    expected = (
        window_flops("lmn", SMALL, of.length - 1, steps)
        if mode == "decode"
        else flops("lmn", SMALL, mode, of.length)
    )
    assert counted(mode).metrics["flops"] == expected


def test_the_bytes_that_a_call_moves_are_told_for_every_process(measure):
    for replicate in (0, 1):
        assert measure("gru", replicate=replicate).metrics["bytes_moved"] == bytes_moved(
            "gru", SMALL, "prefill", 64
        )
    assert "bytes_moved" not in measure(rogue("good")).metrics


def test_counters_can_be_left_out(measure):
    assert not set(measure("gru").metrics) & COUNTERS


@pytest.mark.parametrize("mode", ["train", "decode"])
def test_counters_are_the_same_whenever_they_are_counted(measure, counted, mode):
    again = measure("lmn", mode, counters=True).metrics
    for key in (*COUNTERS, "slots", "state_bytes"):
        assert again.get(key) == counted(mode).metrics.get(key)


@pytest.mark.parametrize("mode", ["train", "decode"])
def test_without_timing_a_case_is_counted_all_the_same_and_has_no_times(measure, counted, mode):
    untimed = measure("lmn", mode, counters=True, timing=False)
    assert untimed.outcome is Outcome.OK
    for key in (*COUNTERS, "slots", "state_bytes", "parameters", "bytes_moved"):
        assert untimed.metrics.get(key) == counted(mode).metrics.get(key)
    assert untimed.metrics["peak_memory_bytes"] > 0
    assert not {key for key in untimed.metrics if METRICS[key].unit in ("s", "token/s")}
    samples = (*untimed.samples_s, *untimed.warmup_samples_s, *untimed.disturbed_samples_s)
    assert samples == ()


def test_without_timing_what_would_take_too_long_is_not_counted_either(measure):
    found = measure("lmn", "read", 1 << 20, counters=True, timing=False)
    assert any("not counted" in warning for warning in found.warnings)
    assert found.metrics["flops"] == flops("lmn", SMALL, "read", 1 << 20)


def test_a_check_error_is_recorded_and_small(counted):
    assert 0 <= counted("prefill").metrics["check_error"] < 1e-4


def test_a_memory_timeline_is_recorded_when_asked_for(measure):
    record = measure("gru", memory_timeline=True)
    assert record.outcome is Outcome.OK
    assert all(moment >= 0 and size > 0 for moment, size in record.memory_timeline)
    assert record.memory_timeline


# ------------------------------------------------------------------------------- compiled


@pytest.fixture
def compiler():
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no C++ compiler on this machine")


def test_a_compiled_case_tells_how_long_compiling_took_and_how_many_graphs_it_made(
    measure, compiler
):
    record = measure(rogue("no_decode"), compiled=True, counters=True)
    assert record.outcome is Outcome.OK, record.reason
    assert record.case_id.endswith("/cap-none/compiled")
    assert record.metrics["compiled_graphs"] == 1
    assert record.metrics["compile_s"] > record.metrics["latency_s"]
    assert "operations" not in record.metrics
    assert "allocator_peak_bytes" in record.metrics
    assert not [warning for warning in record.warnings if "graph" in warning]


@pytest.mark.parametrize("length", [1, 64])
def test_compiled_decoding_of_an_lmn_takes_two_graphs(measure, compiler, length):
    record = measure("lmn", "decode", length, compiled=True, counters=True)
    assert record.outcome is Outcome.OK, record.reason
    assert record.metrics["compiled_graphs"] == 2
    assert record.metrics["compile_s"] > record.metrics["latency_s"]
    assert record.metrics["flops"] == window_flops("lmn", SMALL, length - 1, 5)
    assert not [warning for warning in record.warnings if "graph" in warning]


def test_a_model_that_compiling_changes_is_incorrect(measure, compiler):
    record = measure(rogue("wrong_when_compiled"), compiled=True)
    assert record.outcome is Outcome.INCORRECT
    assert "plain and compiled outputs differ" in record.reason
    assert "latency_s" not in record.metrics


def test_what_torch_cannot_compile_is_skipped_with_the_reason(measure):
    record = measure(rogue("no_module"), compiled=True)
    assert record.outcome is Outcome.SKIPPED
    assert "torch.nn.Module" in record.reason


def test_without_a_compiler_a_compiled_case_is_skipped_with_the_reason():
    of = case(rogue("no_decode"), compile=True)
    with ForkServer(environ(CXX="no-such-compiler")) as server:
        record = list(run_tasks(order_tasks([of], 1, 0), QUICK, 0, server))[-1].record
    assert record.outcome is Outcome.SKIPPED
    assert record.reason == (
        "torch.compile needs a C++ compiler, and there is no no-such-compiler here"
    )


def test_cuda_graphs_are_refused_on_a_cpu_and_for_models_that_have_none(server):
    for subject, outcome, words in (
        ("lmn", Outcome.ERROR, "a CPU has no CUDA graphs"),
        (rogue("good"), Outcome.SKIPPED, "good has no CUDA graphs"),
    ):
        # A suite would not let this through.
        of = case(subject, "decode", cuda_graph=True)
        record = list(run_tasks(order_tasks([of], 1, 0), QUICK, 0, server))[-1].record
        assert record.outcome is outcome
        assert words in record.reason


def test_a_plain_case_says_nothing_of_compiling(counted):
    assert not {"compile_s", "compiled_graphs"} & set(counted("prefill").metrics)


# ------------------------------------------------------------------------------- CUDA


@pytest.fixture
def cuda():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")


@pytest.mark.cuda
@pytest.mark.parametrize("mode", ["train", "prefill", "decode", "stream"])
@pytest.mark.parametrize("subject", ["lmn", "lmn-published", "transformer", "gru"])
def test_cuda_measures_every_mode(cuda, server, subject, mode):
    of = case(subject, mode, 64, device="cuda")
    events = list(run_tasks(order_tasks([of], 1, 0), replace(QUICK, counters=True), 0, server))
    record = events[-1].record
    assert record.outcome is Outcome.OK, record.reason
    assert {"reserved_memory_bytes", "context_memory_bytes", "latency_s"} <= set(record.metrics)


@pytest.mark.cuda
def test_cuda_counts_without_timing(cuda, server):
    of = case("lmn", "decode", 64, device="cuda")
    untimed = replace(QUICK, counters=True, timing=False)
    record = list(run_tasks(order_tasks([of], 1, 0), untimed, 0, server))[-1].record
    assert record.outcome is Outcome.OK, record.reason
    assert "operations" in record.metrics
    assert "latency_s" not in record.metrics


@pytest.mark.cuda
@pytest.mark.parametrize("form", ["compile", "cuda_graph"])
def test_cuda_decodes_compiled_and_as_graphs(cuda, server, form):
    of = case("lmn", "decode", 64, device="cuda", **{form: True})
    record = list(run_tasks(order_tasks([of], 1, 0), QUICK, 0, server))[-1].record
    assert record.outcome is Outcome.OK, record.reason


@pytest.mark.cuda
def test_cuda_under_a_cap_runs_out_of_memory_cleanly(cuda, server):
    of = case("transformer", "prefill", 2**16, device="cuda", memory_cap_bytes=4 * MIB)
    events = list(run_tasks(order_tasks([of], 1, 0), QUICK, 0, server))
    assert events[-1].record.outcome is Outcome.OUT_OF_MEMORY


# ------------------------------------------------------------------------------- contexts


def test_a_long_context_is_prefilled_once_for_all_processes_of_a_case(measure, prefills):
    records = [measure(rogue("slow_to_read"), "decode", replicate=r) for r in range(3)]
    assert [record.outcome for record in records] == [Outcome.OK] * 3
    assert len({record.metrics["state_bytes"] for record in records}) == 1
    assert prefills.read_text() == "x"


def test_under_a_cap_every_process_prefills_for_itself(measure, prefills):
    prefills.write_text("")
    for replicate in range(2):
        measure(rogue("slow_to_read"), "decode", cap=256 * MIB, replicate=replicate)
    assert prefills.read_text() == "xx"
