"""Two stored sides: what is a regression, what is none, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench_helpers import case, environment, failed, run_info, suite
from gate_helpers import cases, measured, side, with_outcome

from lmn_bench.analysis.compare import compare
from lmn_bench.analysis.comparison import OUTCOME, Gate, Verdict
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.paired import Rules
from lmn_bench.analysis.side import StoredSide
from lmn_bench.schema import Outcome

BASE = measured(cases())
# Runs differ by 1 % beyond what their processes say: 3 % takes several of them.
OPTIONS = Options(rules=Rules(margin=0.05))


def compared(new, base=BASE, options=OPTIONS, **changes):
    return compare(side("base", base), side("new", new, **changes), options)


def rows_of(found, metric="latency_low_s"):
    return {row.case.length: row for row in found.rows if row.metric == metric}


def test_equal_code_passes_and_is_shown_to_be_the_same():
    found = compared(measured(cases(), seed=1))
    assert found.verdict is Gate.PASS
    assert {row.verdict for row in found.rows} == {Verdict.SAME}


def test_a_slower_case_is_red_and_named_first():
    slow = measured(cases(1), factor=1.20, seed=1) + measured(cases()[1:], seed=2)
    found = compared(slow)
    assert found.verdict is Gate.REGRESSION
    assert found.rows[0].case == cases()[0]
    assert found.rows[0].verdict is Verdict.SLOWER
    assert [row.regression for row in found.rows].count(True) == 1


def test_a_faster_case_is_listed_and_passes():
    found = compared(measured(cases(), factor=0.9, seed=1))
    assert found.verdict is Gate.PASS
    assert {row.verdict for row in rows_of(found).values()} == {Verdict.FASTER}


def test_a_change_within_the_margin_is_the_same():
    assert compared(measured(cases(), factor=1.01, seed=1)).verdict is Gate.PASS
    strict = replace(OPTIONS, rules=replace(OPTIONS.rules, margin=0.002))
    assert compared(measured(cases(), factor=1.10, seed=1), options=strict).verdict is (
        Gate.REGRESSION
    )


def test_noise_that_hides_the_margin_is_inconclusive():
    found = compared(measured(cases(), spread=0.1, seed=1))
    assert found.verdict is Gate.INCONCLUSIVE
    assert "cannot be told" in found.reasons[0]


def test_a_metric_that_one_side_lacks_is_the_reason_that_is_given():
    # Without samples there is nothing to make it up from either.
    records = [replace(record, samples_s=(), metrics={"latency_s": 1e-3, "reference_loop_s": 1e-4})
               for record in measured(cases())]  # fmt: skip
    assert rows_of(compared(records))[64].reason == "new has no latency_low_s"


def test_one_process_says_nothing_about_times():
    found = compared(measured(cases(), factor=2.0, processes=1), measured(cases(), processes=1))
    assert found.verdict is Gate.INCONCLUSIVE
    assert {row.verdict for row in rows_of(found).values()} == {Verdict.CANNOT_TELL}
    assert "1 and 1 processes" in rows_of(found)[64].reason


@pytest.mark.parametrize("processes", [3, 4, 7, 30])
def test_unequal_numbers_of_processes_are_no_evidence(processes):
    found = compared(measured(cases(), processes=processes, seed=5))
    assert not any(row.regression for row in found.rows)
    assert rows_of(found)[64].new_processes == processes


def test_more_throughput_is_faster():
    quicker = [
        replace(r, metrics={**r.metrics, "tokens_per_s": 1.2 * r.metrics["tokens_per_s"]})
        for r in BASE
    ]
    found = compared(quicker, options=replace(OPTIONS, metrics=("tokens_per_s",)))
    row = rows_of(found, "tokens_per_s")[64]
    assert row.verdict is Verdict.FASTER
    assert row.ratio == pytest.approx(1.2)


def test_unlike_machines_are_refused_with_the_differences():
    found = compared(measured(cases()), cpu_model="Other CPU", torch="2.14.0")
    assert found.verdict is Gate.INCOMPARABLE
    assert "CPU Imaginary CPU and Other CPU" in found.reasons
    assert "torch 2.13.0 and 2.14.0" in found.reasons


def test_the_same_machine_in_another_container_is_compared_and_told():
    found = compared(measured(cases(), factor=1.2, seed=1), hostname="3f2a9c81d7e0")
    assert found.verdict is Gate.REGRESSION
    (note,) = [text for text in found.notes if "host names" in text]
    assert "testbed, 3f2a9c81d7e0" in note
    assert not [text for text in compared(BASE).notes if "host names" in text]


def test_across_machines_only_counters_gate():
    options = replace(OPTIONS, across_machines=True)
    slow = compared(measured(cases(), factor=3.0), options=options, cpu_model="Other CPU")
    assert slow.verdict is Gate.PASS
    assert not rows_of(slow)
    more = compared(measured(cases(), operations=41), options=options, cpu_model="Other CPU")
    assert more.verdict is Gate.REGRESSION


def test_one_operation_more_is_red_without_any_timing():
    found = compared(measured(cases(), processes=1, operations=41), measured(cases(), processes=1))
    assert found.verdict is Gate.REGRESSION
    assert found.rows[0].metric == "operations"
    assert (found.rows[0].base, found.rows[0].new) == (40, 41)


def test_a_counter_may_grow_by_what_is_allowed():
    options = replace(OPTIONS, allowed={"operations": 0.05})
    found = compared(measured(cases(), operations=41), options=options)
    assert not any(row.regression for row in found.rows)
    (row, *_) = rows_of(found, "operations").values()
    assert row.verdict is Verdict.MORE_ALLOWED
    assert row.reason == "+2.5 %, where +5.0 % is allowed"
    assert "3 of 21 exact counts grew, by no more than was allowed (operations by up to 2.5 %)" in (
        found.reasons
    )
    assert not any("none of" in text and "exact" in text for text in found.reasons)


@pytest.mark.parametrize("allowed", [0.0, 0.01])
def test_a_counter_that_grows_by_more_than_is_allowed_is_red(allowed):
    options = replace(OPTIONS, allowed={"operations": allowed})
    found = compared(measured(cases(), operations=41), options=options)
    assert rows_of(found, "operations")[64].verdict is Verdict.MORE
    assert rows_of(found, "operations")[64].regression
    assert not any("allowed" in text for text in found.reasons)


def test_fewer_operations_are_listed_and_pass():
    found = compared(measured(cases(), operations=39, seed=1))
    assert found.verdict is Gate.PASS
    assert rows_of(found, "operations")[64].verdict is Verdict.LESS


def test_more_parameters_are_told_but_not_red():
    found = compared(measured(cases(), parameters=2000, seed=1))
    assert found.verdict is Gate.PASS
    assert rows_of(found, "parameters")[64].verdict is Verdict.MORE
    assert any("grew, where more is neither better nor worse (parameters by" in text
               for text in found.reasons)  # fmt: skip


def test_a_counter_that_is_no_longer_counted_keeps_the_gate_from_passing():
    bare = [
        replace(r, metrics={k: v for k, v in r.metrics.items() if k != "operations"}) for r in BASE
    ]
    found = compared(bare)
    assert found.verdict is Gate.INCONCLUSIVE
    assert rows_of(found, "operations")[64].reason == "no longer counted"


def test_a_counter_that_differs_between_processes_cannot_be_compared():
    uneven = [replace(r, metrics={**r.metrics, "operations": 40 + r.replicate}) for r in BASE]
    assert rows_of(compared(uneven), "operations")[64].verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize("outcome", [Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT, Outcome.INCORRECT])
def test_a_case_that_no_longer_ends_well_is_red(outcome):
    found = compared(with_outcome(BASE, cases()[1], outcome=outcome, reason="why"))
    assert found.verdict is Gate.REGRESSION
    assert (found.rows[0].metric, found.rows[0].verdict) == (OUTCOME, Verdict.BROKEN)
    assert found.rows[0].new_outcome is outcome
    assert "why" in found.rows[0].reason


def test_on_another_machine_memory_and_time_may_run_out():
    options = replace(OPTIONS, across_machines=True)
    new = with_outcome(BASE, cases()[1], outcome=Outcome.OUT_OF_MEMORY)
    assert not any(r.regression for r in compared(new, options=options, logical_cores=1).rows)
    new = with_outcome(BASE, cases()[1], outcome=Outcome.INCORRECT)
    assert compared(new, options=options, logical_cores=1).verdict is Gate.REGRESSION


def test_a_case_that_ends_well_now_is_mended():
    base = with_outcome(BASE, cases()[1], outcome=Outcome.ERROR, reason="why")
    found = compared(measured(cases(), seed=1), base)
    assert found.verdict is Gate.PASS
    assert rows_of(found, OUTCOME)[128].verdict is Verdict.MENDED


def test_one_wrong_output_among_ten_is_red_and_one_timeout_is_not():
    def one(outcome):
        return [
            replace(r, outcome=outcome, metrics={}, samples_s=()) if r.replicate == 3 else r
            for r in BASE
        ]

    assert compared(one(Outcome.INCORRECT)).verdict is Gate.REGRESSION
    assert compared(one(Outcome.TIMEOUT)).verdict is Gate.INCONCLUSIVE


def test_cases_that_are_gone_keep_the_gate_from_passing():
    found = compared(measured(cases(2), seed=1))
    assert found.verdict is Gate.INCONCLUSIVE
    assert any("1 case (lmn/prefill/256" in reason for reason in found.reasons)


def test_cases_that_are_new_are_told():
    found = compared(measured(cases(), seed=1), measured(cases(2)))
    assert found.verdict is Gate.PASS
    assert any("of NEW not in BASE" in note for note in found.notes)


def test_skipped_cases_count_as_gone():
    skipped = [failed(cases()[2], Outcome.SKIPPED, "out_of_memory at length 128")]
    found = compared(measured(cases(2), seed=1) + skipped)
    assert found.verdict is Gate.INCONCLUSIVE


def test_nothing_in_common_is_incomparable():
    found = compared(measured([case("gru", length=64)]))
    assert found.verdict is Gate.INCOMPARABLE
    assert "no case in common" in found.reasons[0]


@pytest.mark.parametrize("empty", [[], [failed(cases()[0], Outcome.SKIPPED)]])
def test_a_side_without_measurements_is_incomparable(empty):
    found = compared(empty)
    assert found.verdict is Gate.INCOMPARABLE
    assert found.reasons == ("nothing was measured in NEW",)


def test_all_failed_on_both_sides_is_incomparable():
    dead = [failed(one, Outcome.ERROR) for one in cases()]
    found = compared(dead, dead)
    assert found.verdict is Gate.INCOMPARABLE
    assert "nothing of the base could be measured" in found.reasons[0]


def test_a_metric_that_no_case_has_keeps_the_gate_from_passing():
    found = compared(measured(cases()), options=replace(OPTIONS, metrics=("latency_p99_s",)))
    assert found.verdict is Gate.INCONCLUSIVE
    assert "no case has latency_p99_s" in found.reasons


def test_two_runs_that_were_only_counted_can_pass():
    counted = [
        replace(r, metrics={k: v for k, v in r.metrics.items() if k != "latency_low_s"},
                samples_s=())
        for r in measured(cases(), processes=1)
    ]  # fmt: skip
    found = compared(counted, counted)
    assert found.verdict is Gate.PASS
    assert any("counters alone" in note for note in found.notes)


def test_a_base_of_failures_is_incomparable():
    dead = [failed(one, Outcome.ERROR, "no such file") for one in cases()]
    found = compared(measured(cases()), dead)
    assert found.verdict is Gate.INCOMPARABLE
    assert "no such file" in found.reasons[0]


def test_a_side_without_reference_loops_is_not_set_against_one_with():
    bare = [
        replace(r, metrics={k: v for k, v in r.metrics.items() if k != "reference_loop_s"})
        for r in measured(cases(), factor=2.0)
    ]
    assert "lacks the reference loop" in rows_of(compared(bare))[64].reason


def test_a_machine_that_slowed_down_is_no_regression():
    found = compared(measured(cases(), factor=1.10, loop=1.10, seed=1))
    assert found.verdict is Gate.INCONCLUSIVE
    assert "the machine itself was 10 % slower" in rows_of(found)[64].reason


def test_disturbed_processes_are_left_out():
    disturbed = [
        replace(r, metrics={**r.metrics, "latency_low_s": 5e-3, "reference_loop_s": 3e-4})
        if r.replicate in (2, 7)
        else r
        for r in measured(cases(), seed=1)
    ]
    found = compared(disturbed)
    assert found.verdict is Gate.PASS
    assert rows_of(found)[64].new_processes == 8


def test_decode_over_another_window_cannot_be_compared():
    of = [case(mode="decode", length=64)]
    info = run_info(suite(decode_window=16))
    base = side("base", measured(of))
    new = StoredSide("new", ((replace(info, environment=environment()), tuple(measured(of))),))
    row = next(r for r in compare(base, new, OPTIONS).rows if r.metric == "latency_low_s")
    assert "windows of different lengths" in row.reason


def test_runs_of_one_side_that_differ_decide_nothing():
    base = side("base", measured(cases(), seed=1), measured(cases(), factor=1.2, seed=2))
    new = side("new", measured(cases(), factor=1.5, seed=3), measured(cases(), factor=1.5, seed=4))
    found = compare(base, new, OPTIONS)
    assert found.verdict is Gate.INCONCLUSIVE
    assert "differ from one another" in rows_of(found)[64].reason


def three(factor, spread, seed):
    """Three runs of a version, each with its own luck."""
    luck = (-spread, 0.0, spread)
    return [measured(cases(), factor * (1 + one), seed=seed + at) for at, one in enumerate(luck)]


def test_with_three_runs_a_side_their_own_spread_counts():
    strict = Options()
    for spread, verdict in ((0.001, Gate.REGRESSION), (0.10, Gate.INCONCLUSIVE)):
        base, new = side("base", *three(1.0, spread, 10)), side("new", *three(1.06, spread, 20))
        found = compare(base, new, strict)
        assert found.verdict is verdict
        assert rows_of(found)[64].base_processes == 30


def test_two_runs_are_pooled():
    base = side("base", measured(cases(), seed=1), measured(cases(), seed=2))
    new = side("new", measured(cases(), factor=1.2, seed=3), measured(cases(), factor=1.2, seed=4))
    found = compare(base, new, OPTIONS)
    assert found.verdict is Gate.REGRESSION
    assert rows_of(found)[64].base_processes == 20


def test_a_single_run_a_side_is_not_trusted_beyond_what_runs_differ_by():
    sure = compared(measured(cases(), factor=1.06, spread=1e-4, seed=1),
                    measured(cases(), spread=1e-4), Options())  # fmt: skip
    assert sure.verdict is Gate.INCONCLUSIVE


def test_memory_that_differs_by_less_than_pages_are_counted_is_the_same():
    options = replace(OPTIONS, metrics=("working_memory_bytes",))
    small = compared(measured(cases(), working_memory_bytes=128 * 2**10), options=options)
    assert small.verdict is Gate.PASS
    large = compared(measured(cases(), working_memory_bytes=64 * 2**20), options=options)
    assert large.verdict is Gate.REGRESSION
    assert rows_of(large, "working_memory_bytes")[64].verdict is Verdict.MORE


def test_records_from_before_the_metric_are_judged_by_their_samples():
    old = [
        replace(r, metrics={k: v for k, v in r.metrics.items() if k != "latency_low_s"})
        for r in BASE
    ]
    found = compared(measured(cases(), factor=1.2, seed=1), old)
    assert found.verdict is Gate.REGRESSION


def outlier(factor, process=2, **rest):
    """Three processes of each case, one of them slower by this factor."""
    return [
        replace(r, metrics={**r.metrics, "latency_low_s": factor * r.metrics["latency_low_s"]})
        if r.replicate == process
        else r
        for r in measured(cases(), processes=3, seed=1, **rest)
    ]


def test_what_hangs_on_one_process_cannot_be_told_and_names_it():
    found = compared(outlier(8.0), measured(cases(), processes=3))
    for row in rows_of(found).values():
        assert row.verdict is Verdict.CANNOT_TELL
        assert row.ratio == pytest.approx(1.0, abs=0.02)
        assert "hangs on one process: process 2 of NEW, " in row.reason
        assert row.low < row.ratio < row.high


def test_without_an_outlier_nothing_hangs_on_one_process():
    found = compared(measured(cases(), processes=3, seed=1), measured(cases(), processes=3))
    assert not [row for row in found.rows if "one process" in row.reason]


def test_of_several_runs_the_one_process_is_named_with_its_run():
    base = side("base", measured(cases(1), processes=2), measured(cases(1), processes=2, seed=3))
    new = side("new", measured(cases(1), processes=1, seed=5), outlier(8.0)[:3])
    (row,) = rows_of(compare(base, new, OPTIONS)).values()
    assert "process 2 of made-up-20260101-000000 of NEW" in row.reason


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spread", [0.005, 0.05, 0.3])
def test_base_new_change_and_interval_belong_together(spread, seed):
    found = compared(measured(cases(), spread=spread, seed=seed + 1),
                     measured(cases(), spread=spread, seed=seed + 50))  # fmt: skip
    for row in rows_of(found).values():
        assert row.new / row.base == pytest.approx(row.ratio)
        assert row.low is None or row.low <= row.ratio <= row.high


def test_medians_outside_of_the_interval_of_means_decide_nothing():
    skewed = [1.0] * 6 + [1.3] * 4
    new = [
        replace(r, metrics={**r.metrics, "latency_low_s": 1e-3 * skewed[r.replicate]})
        for r in measured(cases(1))
    ]
    (row,) = rows_of(compared(new, measured(cases(1), spread=1e-4))).values()
    assert row.ratio == pytest.approx(1.0, abs=0.01)
    assert row.verdict is Verdict.CANNOT_TELL


def test_an_interval_below_the_margin_alone_is_not_worse():
    found = compared(measured(cases(), factor=0.95, spread=0.02, seed=1))
    told = [row for row in rows_of(found).values() if row.verdict is Verdict.NOT_WORSE]
    assert told
    assert all(row.passes and row.high < 1.05 and row.low < 1 / 1.05 for row in told)


@pytest.mark.parametrize(("processes", "verdict"), [(1, Verdict.CANNOT_TELL), (3, Verdict.SAME)])
def test_memory_is_the_same_only_where_several_processes_say_so(processes, verdict):
    options = replace(OPTIONS, metrics=("working_memory_bytes",))
    near = {"working_memory_bytes": 128 * 2**10}
    found = compared(measured(cases(), processes=processes, **near),
                     measured(cases(), processes=processes), options=options)  # fmt: skip
    assert rows_of(found, "working_memory_bytes")[64].verdict is verdict


def test_memory_that_varies_by_more_than_can_be_measured_is_not_called_the_same():
    options = replace(OPTIONS, metrics=("working_memory_bytes",))
    wild = [
        replace(r, metrics={**r.metrics, "working_memory_bytes": 2**26 * (1 + r.replicate % 2)})
        for r in BASE
    ]
    found = compared(wild, wild, options=options)
    row = rows_of(found, "working_memory_bytes")[64]
    assert row.verdict is Verdict.CANNOT_TELL
    assert "processes are not" in row.reason


def test_a_case_that_fails_on_both_sides_alike_is_the_same_and_it_is_told():
    dead = with_outcome(BASE, cases()[1], outcome=Outcome.ERROR, reason="why")
    found = compared(dead, dead)
    assert rows_of(found, OUTCOME)[128].verdict is Verdict.SAME
    assert any("1 case ended badly on both sides alike (error)" in text for text in found.notes)


def test_a_case_that_fails_otherwise_is_not_worse_and_not_the_same():
    base = with_outcome(BASE, cases()[1], outcome=Outcome.ERROR)
    new = with_outcome(BASE, cases()[1], outcome=Outcome.TIMEOUT)
    row = rows_of(compared(new, base), OUTCOME)[128]
    assert (row.verdict, row.passes) == (Verdict.NOT_WORSE, True)
