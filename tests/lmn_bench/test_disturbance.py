"""Processes that ran while the machine itself was slow are told apart by their reference loops."""

from __future__ import annotations

from bench_helpers import case, failed, ok

from lmn_bench.analysis.results import result_set
from lmn_bench.disturbance import is_disturbed, quiet_lacking, slow_loops
from lmn_bench.schema import Outcome

QUIET_S, SLOW_S = 70e-6, 115e-6


def replicates(*loops_s, latency_s=1e-3):
    """One record per reference loop; a slow machine makes the case slower too."""
    return [
        ok(case(), r, latency_s * loop_s / QUIET_S, reference_loop_s=loop_s)
        for r, loop_s in enumerate(loops_s)
    ]


def test_a_loop_is_slow_against_the_fastest_of_the_run():
    assert 1.27 * QUIET_S < slow_loops(replicates(SLOW_S, QUIET_S)).loop_s < SLOW_S


def test_without_a_reference_loop_nothing_is_disturbed():
    (result,) = result_set([ok(case(), r) for r in range(5)]).cases
    assert len(result.values["latency_s"]) == 5


def test_times_of_disturbed_processes_do_not_count_where_three_others_remain():
    (result,) = result_set(replicates(QUIET_S, SLOW_S, QUIET_S, SLOW_S, QUIET_S)).cases
    assert result.values["latency_s"] == (1e-3, 1e-3, 1e-3)


def test_memory_of_disturbed_processes_counts_all_the_same():
    (result,) = result_set(replicates(QUIET_S, SLOW_S, QUIET_S, SLOW_S, QUIET_S)).cases
    assert len(result.values["working_memory_bytes"]) == 5


def test_all_times_count_where_too_few_processes_were_quiet():
    (result,) = result_set(replicates(QUIET_S, SLOW_S, QUIET_S, SLOW_S, SLOW_S)).cases
    assert len(result.values["latency_s"]) == 5


def test_one_case_without_enough_quiet_processes_makes_all_times_of_its_setting_count():
    """A quiet machine's numbers never stand beside a slow machine's."""
    quiet = replicates(QUIET_S, SLOW_S, QUIET_S, QUIET_S)
    other = [
        ok(case("gru"), r, reference_loop_s=loop_s)
        for r, loop_s in enumerate((SLOW_S, SLOW_S, QUIET_S))
    ]
    elsewhere = [
        ok(case(mode="train"), r, reference_loop_s=loop_s)
        for r, loop_s in enumerate((QUIET_S, QUIET_S, QUIET_S, SLOW_S))
    ]
    counted = {
        (result.case.subject, result.case.mode): len(result.values["latency_s"])
        for result in result_set([*quiet, *other, *elsewhere]).cases
    }
    assert counted == {("lmn", "prefill"): 4, ("gru", "prefill"): 3, ("lmn", "train"): 3}


def test_a_case_with_two_quiet_processes_lacks_one():
    records = replicates(QUIET_S, QUIET_S, SLOW_S)
    assert quiet_lacking(records, slow_loops(records)) == 1
    assert quiet_lacking([*records, *replicates(QUIET_S)], slow_loops(records)) == 0


def test_a_case_that_cannot_finish_lacks_nothing():
    records = [failed(case(), Outcome.OUT_OF_MEMORY, replicate=r) for r in range(5)]
    assert not quiet_lacking(records, slow_loops(records))


def test_loops_on_several_threads_are_held_against_those_on_as_many():
    """Four threads take longer to wake than two, on the quietest machine."""
    of_two = [ok(case(threads=2), r, parallel_loop_s=4e-5) for r in range(3)]
    of_four = [ok(case(threads=4), r, parallel_loop_s=4e-4) for r in range(3)]
    slow = slow_loops([*of_two, *of_four])
    assert not any(is_disturbed(record, slow) for record in (*of_two, *of_four))


def test_a_second_core_that_is_taken_disturbs_what_the_loop_on_one_core_cannot_see():
    loops = {"reference_loop_s": QUIET_S}
    records = [ok(case(threads=2), r, parallel_loop_s=4e-5, **loops) for r in range(3)]
    taken = ok(case(threads=2), 3, latency_s=9.0, parallel_loop_s=2e-2, **loops)
    (result,) = result_set([*records, taken]).cases
    assert result.values["latency_s"] == (1e-3, 1e-3, 1e-3)


def test_a_record_from_before_the_loop_on_all_threads_is_held_against_none():
    old = ok(case(threads=2), 0, reference_loop_s=QUIET_S)
    new = ok(case(threads=2), 1, reference_loop_s=QUIET_S, parallel_loop_s=4e-5)
    assert not any(is_disturbed(record, slow_loops([old, new])) for record in (old, new))
