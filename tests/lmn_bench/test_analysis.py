from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from bench_helpers import case, failed, ok, series
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions

from lmn_bench.analysis.crossing import crossing
from lmn_bench.analysis.crossover import crossover
from lmn_bench.analysis.ratios import ratio
from lmn_bench.analysis.results import CaseResult, result_set
from lmn_bench.analysis.stats import (
    CONFIDENCE,
    _drawn_medians,
    median_estimate,
    resampled_medians,
)
from lmn_bench.schema import Outcome, SeriesLimit

finite = st.floats(-1e9, 1e9, allow_nan=False)

# ------------------------------------------------------------------------------- medians


@given(st.lists(finite, min_size=1, max_size=40))
def test_an_interval_runs_between_values_and_holds_the_median(values):
    found = median_estimate(values)
    assert found.low in values
    assert found.high in values
    assert found.low <= found.value <= found.high
    assert found.count == len(values)


@pytest.mark.parametrize(
    ("count", "low", "high", "confidence"),
    [
        (1, 1, 1, 0.0), (2, 1, 2, 0.5), (5, 1, 5, 0.9375), (6, 1, 6, 0.96875),
        (8, 1, 8, 0.9921875), (9, 2, 8, 0.9609375), (20, 6, 15, 0.9586),
    ],
)  # fmt: skip
def test_an_interval_has_the_ranks_that_binomial_tables_give(count, low, high, confidence):
    found = median_estimate(list(range(1, count + 1)))
    assert (found.low, found.high) == (low, high)
    assert found.confidence == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize("count", [6, 9, 15, 30])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_an_interval_holds_the_true_median_as_often_as_it_says(count, draw):
    rng = np.random.default_rng(11)
    truth = {"normal": 0.0, "exponential": math.log(2)}[draw]
    trials = 2000
    samples = getattr(rng, draw)(size=(trials, count))
    found = [median_estimate(row.tolist()) for row in samples]
    held = sum(one.low <= truth <= one.high for one in found) / trials
    stated = found[0].confidence
    assert stated >= CONFIDENCE
    # Four standard errors of a share of 2,000.
    assert held == pytest.approx(stated, abs=4 * math.sqrt(stated * (1 - stated) / trials))


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_a_median_of_nothing_or_of_no_numbers_is_refused(values):
    with pytest.raises(ValueError, match="finite"):
        median_estimate(values)


def test_the_spread_is_relative_to_the_value():
    assert median_estimate([9.0, 10.0, 11.0]).spread == pytest.approx(0.1)
    assert median_estimate([0.0, 0.0]).spread == 0


# ------------------------------------------------------------------------------- results


def one_series(records):
    results = result_set(records)
    return results.series(results.cases[0].case.setting, results.cases[0].case.subject)


def test_each_case_stands_once_with_a_value_per_process():
    results = result_set(series("lmn", lambda n: 1e-3 * n, processes=3))
    assert [len(result.values["latency_s"]) for result in results.cases] == [3] * 5


def test_cases_stand_in_the_order_of_the_plan():
    records = [ok(case(length=n)) for n in (256, 64, 128)]
    order = [case(length=n) for n in (64, 128, 256, 512)]
    assert [r.case.length for r in result_set(records, order).cases] == [64, 128, 256]


def test_a_case_that_some_processes_failed_has_values_and_the_reason():
    one = case()
    records = [ok(one, 0), failed(one, Outcome.KILLED, "signal 9", 1), ok(one, 2)]
    (result,) = result_set(records).cases
    assert result.outcome is Outcome.OK
    assert len(result.values["latency_s"]) == 2
    assert result.reason == "2 of 3 processes ok: signal 9"
    assert result.ends == {Outcome.OK: 2, Outcome.KILLED: 1}


def test_every_end_of_a_case_is_counted_that_has_no_values():
    one = case()
    ends = (Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT, Outcome.SKIPPED)
    (result,) = result_set([failed(one, end, replicate=r) for r, end in enumerate(ends)]).cases
    counted = {Outcome.TIMEOUT: 2, Outcome.OUT_OF_MEMORY: 1, Outcome.SKIPPED: 1}
    assert (result.outcome, result.ends) == (Outcome.TIMEOUT, counted)


def test_a_case_that_failed_says_what_went_wrong_first_and_not_that_the_rest_was_skipped():
    one = case()
    records = [
        failed(one, Outcome.SKIPPED, "out_of_memory at length 64", 0),
        failed(one, Outcome.OUT_OF_MEMORY, "could not allocate", 1),
    ]
    (result,) = result_set(records).cases
    assert (result.outcome, result.reason) == (Outcome.OUT_OF_MEMORY, "could not allocate")


def test_a_case_that_was_skipped_tells_where_its_series_had_ended():
    limit = SeriesLimit(32, {Outcome.TIMEOUT: 2})
    records = [failed(case(), Outcome.SKIPPED, replicate=r, limit=limit) for r in (0, 1)]
    (result,) = result_set(records).cases
    assert result.limit == limit


def test_an_exact_metric_that_agrees_has_no_interval():
    one = case()
    (result,) = result_set([ok(one, r, flops=1000) for r in range(2)]).cases
    found = result.estimate("flops")
    assert (found.value, found.low, found.high, found.confidence) == (1000, 1000, 1000, 1.0)


def test_an_exact_metric_that_disagrees_shows_its_interval():
    one = case()
    (result,) = result_set([ok(one, r, flops=1000 + r) for r in range(2)]).cases
    assert result.estimate("flops").high == 1001


def test_a_metric_that_nobody_measured_has_no_estimate():
    (result,) = result_set([ok(case())]).cases
    assert result.estimate("latency_p99_s") is None


def test_unknown_metrics_of_a_record_are_left_out():
    (result,) = result_set([ok(case(), horsepower=3)]).cases
    assert "horsepower" not in result.values


def test_settings_differ_by_what_must_not_be_mixed():
    records = [ok(case(threads=t, memory_cap_bytes=c)) for t in (1, 2) for c in (None, 2**26)]
    assert len(result_set(records).settings()) == 4


# ------------------------------------------------------------------------------- crossover


def compare(records, metric="latency_s"):
    results = result_set(records)
    setting = results.cases[0].case.setting
    return crossover(results.series(setting, "lmn"), results.series(setting, "gru"), metric)


def test_ahead_from_is_where_one_gets_ahead_for_good():
    found = compare([*series("lmn", lambda n: 1e-3), *series("gru", lambda n: 1e-3 * n / 300)])
    assert (found.ahead_from, found.behind_until) == (512, 256)
    assert [c.standing for c in found.comparisons] == ["behind"] * 3 + ["ahead"] * 2


def test_a_ratio_says_how_many_times_better():
    found = compare([*series("lmn", lambda n: 1e-3), *series("gru", lambda n: 3e-3)])
    first = found.comparisons[0]
    assert first.ratio == pytest.approx(3)
    assert 1 < first.low <= first.ratio <= first.high
    assert (found.ahead_from, found.behind_until) == (64, None)


def standings(records, metric="latency_s"):
    return [c.standing for c in compare(records, metric).comparisons]


@pytest.mark.parametrize(
    ("factor", "noise", "standing"),
    [
        (1.0, 0.01, "level"),
        (1.05, 0.005, "level"),  # the interval excludes 1, and stays within the margin
        (1.05, 0.01, "level"),
        (1.01, 0.1, "cannot tell"),
        (1.09, 0.02, "ahead"),  # beyond the margin at one end, and not at 1
        (1.3, 0.01, "ahead"),
        (1 / 1.3, 0.01, "behind"),
    ],
)
def test_a_standing_needs_the_whole_interval(factor, noise, standing):
    records = [*series("lmn", lambda n: 1e-3, noise=noise),
               *series("gru", lambda n: 1e-3 * factor, noise=noise)]  # fmt: skip
    assert set(standings(records)) == {standing}


def test_a_sure_difference_within_the_margin_is_level_and_differs():
    near = [*series("lmn", lambda n: 1e-3, noise=0.001), *series("gru", lambda n: 1.05e-3, noise=0)]
    one = compare(near).comparisons[0]
    assert (one.standing, one.differs) == ("level", True)
    alike = [*series("lmn", lambda n: 1e-3), *series("gru", lambda n: 1e-3)]
    assert not compare(alike).comparisons[0].differs


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("factor", [1, 10])
def test_too_few_processes_tell_nothing_and_keep_the_ratio(processes, factor):
    found = compare([*series("lmn", lambda n: 1e-3, processes=processes),
                     *series("gru", lambda n: 1e-3 * factor)])  # fmt: skip
    assert {(c.standing, c.why) for c in found.comparisons} == {("cannot tell", "few processes")}
    assert found.comparisons[0].ratio == pytest.approx(factor, rel=0.02)
    assert (found.ahead_from, found.behind_until) == (None, None)


def test_being_ahead_for_a_while_is_not_being_ahead():
    found = compare([*series("lmn", lambda n: 1e-5 * n), *series("gru", lambda n: 3e-3)])
    assert found.ahead_from is None
    assert found.behind_until == 1024


def test_where_higher_is_better_the_higher_one_is_ahead():
    found = compare([*series("lmn", lambda n: 1e-3), *series("gru", lambda n: 3e-3)],
                    "tokens_per_s")  # fmt: skip
    assert found.ahead_from == 64
    assert found.comparisons[0].ratio == pytest.approx(3)


def ended(subject, outcomes, length=1024, reason="took longer than 60 s", limit=None, **rest):
    """A case whose processes ended so; those that were ok took 1 ms."""
    one = case(subject, length=length, **rest)
    return [
        ok(one, r, 1e-3) if outcome is Outcome.OK else failed(one, outcome, reason, r, limit)
        for r, outcome in enumerate(outcomes)
    ]


TIMEOUT, OOM, OK, SKIPPED = (Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.OK, Outcome.SKIPPED)
SHORT = (64, 128, 256, 512)


def last_of(outcomes, latency=lambda n: 1e-3, **rest):
    """How lmn stands at 1,024 against a gru whose processes ended so there."""
    found = compare([*series("lmn", latency), *series("gru", lambda n: 1e-3, lengths=SHORT),
                     *ended("gru", outcomes, **rest)])  # fmt: skip
    (last,) = [one for one in (*found.comparisons, *found.missing) if one.length == 1024]
    return last


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([TIMEOUT] * 5, "did not finish within 60 s in each of 5 processes"),
        ([OOM] * 3, "ran out of memory in each of 3 processes"),
        ([TIMEOUT, OOM], "ran out of time or memory in each of 2 processes"),
        # the schedule starts no third where two ran out
        ([TIMEOUT, TIMEOUT, SKIPPED, SKIPPED], "did not finish within 60 s in each of 2 processes"),
    ],
)
def test_whoever_finishes_is_ahead_of_whoever_ran_out_in_every_process(outcomes, words):
    last = last_of(outcomes)
    assert (last.standing, last.ratio, last.b.words) == ("ahead", None, words)


def test_what_ran_out_at_a_shorter_length_did_not_finish_a_longer_one():
    found = compare([*series("lmn", lambda n: 1e-3, lengths=(512, 1024)),
                     *ended("gru", [TIMEOUT] * 3, 512),
                     *ended("gru", [SKIPPED] * 3, limit=SeriesLimit(512, {TIMEOUT: 3})),
                     ])  # fmt: skip
    assert [c.standing for c in found.comparisons] == ["ahead", "ahead"]
    assert [c.b.at for c in found.comparisons] == [None, 512]


def test_what_was_skipped_for_another_reason_is_no_slow_one_behind_a_length_that_ran_out():
    found = compare([*series("lmn", lambda n: 1e-3, lengths=(512, 1024)),
                     *ended("gru", [TIMEOUT] * 3, 512),
                     *ended("gru", [SKIPPED] * 3, reason="needs 3 GiB, 2 GiB are free"),
                     ])  # fmt: skip
    assert [c.length for c in found.comparisons] == [512]
    (gap,) = found.missing
    assert gap.b.words == "was skipped (needs 3 GiB, 2 GiB are free)"


@pytest.mark.parametrize("outcomes", [[TIMEOUT], [TIMEOUT, SKIPPED, SKIPPED], [OOM, SKIPPED]])
def test_one_process_that_ran_out_proves_nothing(outcomes):
    last = last_of(outcomes)
    assert (last.standing, last.why) == ("cannot tell", "unproved")


def test_a_compiled_model_that_ran_out_of_time_may_have_been_compiling():
    records = [*series("lmn", lambda n: 1e-3, compile=True),
               *ended("gru", [TIMEOUT] * 3, compile=True)]  # fmt: skip
    assert compare(records).comparisons[-1].why == "unproved"


@pytest.mark.parametrize(
    ("outcomes", "kind"),
    [
        ([SKIPPED] * 3, "skipped"),
        ([Outcome.ERROR] * 3, "failed"),
        ([Outcome.INCORRECT] * 3, "failed"),
        ([TIMEOUT, Outcome.ERROR, TIMEOUT], "failed"),
        ([Outcome.KILLED] * 3, "failed"),  # by a signal from anywhere
        ([], "absent"),
    ],
)
def test_whoever_did_not_run_out_is_not_compared(outcomes, kind):
    last = last_of(outcomes)
    assert not hasattr(last, "standing")
    assert last.b.kind == kind


def test_the_processes_that_were_quick_enough_show_no_lead_of_theirs():
    some = [OK, OK, OK, TIMEOUT, TIMEOUT]
    assert last_of(some, lambda n: 2e-3).standing == "cannot tell"  # behind the quick ones
    assert last_of(some, lambda n: 1e-3).standing == "cannot tell"  # level with the quick ones
    assert last_of(some, lambda n: 5e-4).standing == "ahead"  # even of the quick ones


def test_whoever_ran_out_is_behind():
    found = compare([
        *series("lmn", lambda n: 1e-4, lengths=(64,)),
        *ended("lmn", [OOM] * 3, 128),
        *series("gru", lambda n: 1e-3, lengths=(64, 128)),
    ])  # fmt: skip
    assert [c.standing for c in found.comparisons] == ["ahead", "behind"]
    assert (found.ahead_from, found.behind_until) == (None, 128)


@pytest.mark.parametrize(
    "of_gru",
    [
        [failed(case("gru", length=64), Outcome.ERROR)],
        [failed(case("gru", length=64), Outcome.SKIPPED, "no NVIDIA GPU")],
        series("gru", lambda n: 1.0, lengths=(2048,)),
    ],
    ids=["broken", "not tried", "other lengths"],
)
def test_there_is_no_comparison_without_a_length_that_both_have(of_gru):
    found = compare([*series("lmn", lambda n: 1e-3), *of_gru])
    assert found.comparisons == ()
    assert len(found.missing) >= 5


def test_there_is_nothing_to_say_of_a_model_that_is_not_in_the_run():
    assert compare(series("lmn", lambda n: 1e-3)) is None


def test_counts_need_no_interval():
    found = compare([*series("lmn", lambda n: 1e-3, processes=1),
                     *series("gru", lambda n: 1e-3, processes=1)], "state_bytes")  # fmt: skip
    assert {(c.standing, c.low) for c in found.comparisons} == {("level", 1.0)}


# ------------------------------------------------------------------------------- crossing


def test_a_crossing_lies_between_lengths_with_an_interval():
    found = compare([*series("lmn", lambda n: 1e-3), *series("gru", lambda n: 1e-3 * n / 300)])
    assert found.crossing.length == pytest.approx(300, rel=0.02)
    assert 256 < found.crossing.low < 300 < found.crossing.high < 512


def test_whoever_is_ahead_throughout_or_never_has_no_crossing_in_range():
    ahead = [*series("lmn", lambda n: 1e-3), *series("gru", lambda n: 3e-3)]
    assert compare(ahead).crossing is None
    fall_back = [*series("lmn", lambda n: 1e-5 * n), *series("gru", lambda n: 3e-3)]
    assert compare(fall_back).crossing is None


def test_a_crossing_that_may_lie_outside_the_range_has_an_open_end():
    found = crossing([64, 128, 256], np.array([-1.0, -0.5, 0.1]),
                     np.array([[-1.0, -0.5, 0.1], [-1.0, -0.6, -0.1]]))  # fmt: skip
    assert found.high is None
    assert 128 < found.low < 256


def test_nobody_is_said_to_overtake_without_having_been_behind_and_ahead():
    few = compare([*series("lmn", lambda n: 1e-3, processes=2),
                   *series("gru", lambda n: 1e-3 * n / 300, processes=2)])  # fmt: skip
    assert few.crossing is None
    unclear = compare([*series("lmn", lambda n: 1e-3, noise=0.2),
                       *series("gru", lambda n: 1e-3 * (n / 900) ** 0.2, noise=0.2)])  # fmt: skip
    assert unclear.crossing is None


@pytest.mark.parametrize("processes", [3, 4, 5])
def test_equal_models_are_seldom_told_apart_by_few_processes(processes):
    rng = np.random.default_rng(processes)
    told_apart = 0
    for _ in range(300):
        one, other = (
            CaseResult(case(subject=name), Outcome.OK, None, {"latency_s": tuple(values)})
            for name, values in zip(
                "ab", np.exp(0.03 * rng.standard_normal((2, processes))), strict=True
            )
        )
        found = ratio(one, other, "latency_s")
        told_apart += not found.low <= 1 <= found.high
    # 5 % of 300, and three standard deviations of that.
    assert told_apart <= 26


@pytest.mark.parametrize("count", [7, 8, 251, 252])
def test_medians_of_resamples_can_be_drawn_without_the_resamples(count):
    values = np.random.default_rng(count).lognormal(size=count)
    rng = np.random.default_rng(1)
    drawn = np.concatenate([_drawn_medians(np.sort(values), rng) for _ in range(10)])
    resampled = np.median(values[rng.integers(0, count, size=(20_000, count))], axis=1)
    assert distributions.ks_2samp(drawn, resampled).pvalue > 1e-3


def test_ten_thousand_processes_are_resampled_in_a_few_megabytes():
    values = np.random.default_rng(1).lognormal(size=10_000)
    tracemalloc.start()
    resampled = resampled_medians(values, salt=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6
    assert np.median(resampled) == pytest.approx(np.median(values), rel=0.01)
