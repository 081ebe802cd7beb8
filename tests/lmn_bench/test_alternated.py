"""Versions measured in alternation: suspects, fresh data, the null run, and the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gate_helpers import arms, cases, with_outcome

from lmn_bench.analysis.alternated import (
    Arms,
    counted_blocks,
    judge,
    suspects,
    unsettled,
    unsteady_blocks,
)
from lmn_bench.analysis.comparison import OUTCOME, Gate, Verdict
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.paired import (
    ALARM,
    MIN_BLOCKS,
    Rules,
    confirmed,
    is_settled,
    null_fires,
    screened,
)
from lmn_bench.analysis.side import StoredSide
from lmn_bench.schema import Outcome

OPTIONS = Options()
RULES = OPTIONS.rules
LOOKS = RULES.looks
SLOW = {cases()[1]: 1.10}


def noisy(shift, count, spread=0.01, seed=0):
    return shift + spread * np.random.default_rng(seed).standard_normal(count)


def changed(found, arm, change):
    """The arms with the records of one changed."""
    sides = {
        name: StoredSide(name, ((one.runs[0][0], tuple(change(one.runs[0][1]))),))
        if name == arm
        else one
        for name, one in zip(("base", "null", "new"), found.all, strict=True)
    }
    return Arms(*sides.values())


def test_equal_code_passes_at_the_screening():
    found = arms(cases())
    assert suspects(found, OPTIONS) == []
    verdict = judge(found, OPTIONS)
    assert verdict.verdict is Gate.PASS
    assert {row.verdict for row in verdict.rows} == {Verdict.SAME}


def test_a_slow_case_is_suspected_and_no_other():
    assert suspects(arms(cases(), factors=SLOW), OPTIONS) == [cases()[1]]


def test_the_most_suspicious_case_is_measured_first():
    factors = {cases()[0]: 1.06, cases()[2]: 1.3}
    assert suspects(arms(cases(), factors=factors), OPTIONS) == [cases()[2], cases()[0]]


def test_the_screening_alone_makes_nothing_red():
    verdict = judge(arms(cases(), factors=SLOW), OPTIONS)
    assert verdict.verdict is Gate.INCONCLUSIVE
    assert not any(row.regression for row in verdict.rows)


def test_a_slow_case_is_red_once_it_is_confirmed():
    verdict = judge(arms(cases(), fresh=LOOKS[-1], factors=SLOW), OPTIONS)
    assert verdict.verdict is Gate.REGRESSION
    assert [(row.case, row.verdict) for row in verdict.rows if row.regression] == [
        (cases()[1], Verdict.SLOWER)
    ]
    assert verdict.rows[0].low > 1 + RULES.margin


def test_only_what_was_measured_after_the_screening_counts():
    unlucky = arms(cases(1), fresh=LOOKS[-1])
    end = 2 * RULES.screen_blocks

    def slow_at_first(records):
        return [
            replace(r, metrics={**r.metrics, "latency_low_s": 1.3e-3}) if r.replicate < end else r
            for r in records
        ]

    verdict = judge(changed(unlucky, "new", slow_at_first), OPTIONS)
    assert verdict.verdict is Gate.PASS


def test_a_suspect_that_proves_equal_passes():
    found = arms(cases(), fresh=LOOKS[-1], spread=0.03, seed=4)
    assert suspects(found, OPTIONS)
    assert judge(found, OPTIONS).verdict is Gate.PASS


def slow_machine(first, last, arm="new"):
    """From block `first` to `last`, everything of one arm ran while the machine was slow."""

    def change(records):
        return [
            replace(r, metrics={**r.metrics, "latency_low_s": 1.5e-3, "reference_loop_s": 1.5e-5})
            if first <= r.replicate // 2 <= last
            else replace(r, metrics={**r.metrics, "reference_loop_s": 1e-5})
            for r in records
        ]

    return change


def quiet(found):
    for arm in ("base", "null", "new"):
        found = changed(found, arm, slow_machine(1, 0))
    return found


def test_blocks_in_which_the_machine_changed_its_speed_dont_count():
    found = quiet(arms(cases(1), fresh=LOOKS[-1]))
    last = RULES.screen_attempts + LOOKS[-1]
    disturbed = changed(found, "new", slow_machine(last - 10, last))
    assert judge(disturbed, OPTIONS).verdict is Gate.PASS
    assert counted_blocks(cases(1)[0], disturbed, RULES) == (RULES.screen_blocks, LOOKS[-1] - 10)
    assert unsteady_blocks(disturbed) == (10, RULES.screen_blocks + LOOKS[-1])


def test_a_machine_that_never_keeps_its_speed_leaves_the_gate_inconclusive():
    found = changed(quiet(arms(cases(1))), "new", slow_machine(0, RULES.screen_attempts))
    verdict = judge(found, OPTIONS)
    assert verdict.verdict is Gate.INCONCLUSIVE
    assert any("changed its speed" in row.reason for row in verdict.rows)


def test_without_a_reference_loop_all_blocks_count():
    assert unsteady_blocks(arms(cases(1))) == (0, RULES.screen_blocks)


def test_base_that_differs_from_itself_makes_slow_cases_inconclusive():
    found = arms(cases(), fresh=LOOKS[-1], factors=SLOW, null_factor=1.05)
    verdict = judge(found, OPTIONS)
    assert verdict.verdict is Gate.INCONCLUSIVE
    assert "base differed from itself" in verdict.reasons[0]
    assert [row.passes for row in verdict.null] == [False, False, False]
    slow = next(row for row in verdict.rows if row.case == cases()[1])
    assert (slow.verdict, slow.reason) == (Verdict.CANNOT_TELL, "identical code differed too")


def test_a_null_that_fired_in_the_screening_alone_does_not_excuse_fresh_data():
    found = arms(cases(1), fresh=LOOKS[-1], factors={cases()[0]: 1.10})

    def slow_at_first(records):
        return [
            replace(r, metrics={**r.metrics, "latency_low_s": 1.05 * r.metrics["latency_low_s"]})
            if r.replicate < 2 * RULES.screen_blocks
            else r
            for r in records
        ]

    assert judge(changed(found, "null", slow_at_first), OPTIONS).verdict is Gate.REGRESSION


def test_base_that_differs_from_itself_doesnt_excuse_a_counter():
    found = arms(cases(), null_factor=1.05, operations=41)
    assert judge(found, OPTIONS).verdict is Gate.REGRESSION


def test_every_gate_tells_of_base_against_base():
    null = judge(arms(cases()), OPTIONS).null
    assert [row.case for row in null] == cases()
    assert all(row.passes for row in null)


@pytest.mark.parametrize("factors", [{}, SLOW])
@pytest.mark.parametrize("seed", range(3))
def test_twice_the_drift_changes_no_verdict(factors, seed):
    def verdicts(drift):
        found = arms(cases(), fresh=LOOKS[-1], factors=factors, drift=drift, seed=seed)
        judged = judge(found, OPTIONS)
        return judged.verdict, [(row.case, row.metric, row.verdict) for row in judged.rows]

    once, twice = verdicts(0.02), verdicts(0.04)
    assert once[0] is twice[0]
    assert sorted(map(str, once[1])) == sorted(map(str, twice[1]))


def test_base_and_new_are_as_far_apart_as_the_change_whatever_the_machine_did():
    # From the middle on the machine is slower by half; which side's processes lie where is chance.
    found = changed(arms(cases(1), drift=0.5), "new", lambda r: [
        replace(one, metrics={**one.metrics, "latency_low_s": 1e-3 * (1 + 0.6 * (k >= 5))})
        for k, one in enumerate(r)
    ])  # fmt: skip
    judged = judge(found, OPTIONS)
    (row,) = [one for one in judged.rows if one.metric == "latency_low_s"]
    assert row.new / row.base == pytest.approx(row.ratio)
    assert row.new_median / row.base_median != pytest.approx(row.ratio, rel=0.02)


def test_medians_that_say_otherwise_than_processes_side_by_side_are_told():
    def rising(records, late):
        return [
            replace(r, metrics={**r.metrics, "latency_low_s": 1e-3 * (1.5 if k >= late else 1)
                                * (1 + 1e-3 * (k % 3))})
            for k, r in enumerate(records)
        ]  # fmt: skip

    found = arms(cases(1))
    found = changed(changed(found, "base", lambda r: rising(r, 7)), "null", lambda r: rising(r, 7))
    judged = judge(changed(found, "new", lambda r: rising(r, 5)), OPTIONS)
    (note,) = [text for text in judged.notes if "side by side" in text]
    assert "1.00 ms and 1.50 ms, +50 % against" in note
    assert not [text for text in judge(arms(cases()), OPTIONS).notes if "side by side" in text]


def test_a_case_that_breaks_is_red_and_the_others_are_judged():
    found = changed(
        arms(cases()), "new", lambda r: with_outcome(r, cases()[0], outcome=Outcome.OUT_OF_MEMORY)
    )
    verdict = judge(found, OPTIONS)
    assert verdict.verdict is Gate.REGRESSION
    assert verdict.rows[0].verdict is Verdict.BROKEN
    assert sum(row.metric == "latency_low_s" for row in verdict.rows) == 2
    assert [row.metric for row in verdict.rows if row.case == cases()[0]] == [OUTCOME]


def test_a_process_that_fails_in_the_first_block_leaves_no_green():
    def first_fails(records):
        return [
            replace(r, outcome=Outcome.TIMEOUT, metrics={}) if r.replicate == 0 else r
            for r in records
            if r.replicate < 2
        ]

    def first_block(records):
        return [r for r in records if r.replicate < 2]

    for failing in ("base", "null", "new"):
        found = arms(cases(1), factors={cases()[0]: 1.5})
        for arm in ("base", "null", "new"):
            found = changed(found, arm, first_fails if arm == failing else first_block)
        assert judge(found, OPTIONS).verdict is Gate.INCONCLUSIVE


def test_all_failed_is_incomparable():
    found = arms(cases(1))
    for arm in ("base", "null", "new"):
        found = changed(
            found, arm, lambda r: with_outcome(r, cases()[0], outcome=Outcome.ERROR, reason="no")
        )
    assert judge(found, OPTIONS).verdict is Gate.INCOMPARABLE


def test_a_block_cut_off_in_the_middle_is_left_out():
    found = arms(cases(1))
    whole = judge(found, OPTIONS)
    cut = judge(changed(found, "new", lambda r: r[:-1]), OPTIONS)
    assert cut.rows[0].base_processes <= whole.rows[0].base_processes
    assert cut.verdict is Gate.PASS


def test_suspects_are_settled_at_looks_only():
    slow = noisy(0.2, LOOKS[-1])
    assert not is_settled(slow[: LOOKS[0] - 1], RULES, 1)
    assert is_settled(slow[: LOOKS[0]], RULES, 1)
    assert not is_settled(slow[: LOOKS[0] + 1], RULES, 1)
    assert is_settled(noisy(np.log1p(RULES.margin), LOOKS[-1]), RULES, 1)


def test_unsettled_cases_are_those_that_more_blocks_would_tell_about():
    found = arms(cases()[:2], fresh=LOOKS[0], factors={cases()[0]: 1.03}, spread=0.01)
    assert unsettled(found, OPTIONS) == [cases()[0]]


def test_too_few_fresh_blocks_say_nothing():
    assert confirmed(noisy(0.2, MIN_BLOCKS - 1), RULES) is None
    assert confirmed(noisy(0.2, MIN_BLOCKS), RULES) is not None


def test_where_time_ran_out_there_are_no_more_looks_than_planned():
    rules = Rules(looks=(8, 16))
    assert rules.looks_at(5) == []
    assert rules.looks_at(7) == [7]
    assert rules.looks_at(8) == [8]
    assert rules.looks_at(11) == [8, 11]
    assert rules.looks_at(16) == [8, 16]
    assert rules.looks_at(40) == [8, 16]


def test_several_looks_cost_significance():
    fresh = noisy(0.05, LOOKS[-1], spread=0.02)
    one, two = (confirmed(fresh, Rules(looks=looks)) for looks in ((16,), (1, 16)))
    assert two.p_slower == pytest.approx(2 * one.p_slower)
    assert two.low <= one.low


def test_a_tiny_sure_difference_doesnt_fire_the_null():
    assert not null_fires(noisy(0.005, 64, spread=0.001), RULES)
    assert null_fires(noisy(0.02, 64, spread=0.001), RULES)
    assert not null_fires(noisy(0.02, 64, spread=0.001), RULES, tests=10**18)


def test_false_alarms_and_misses_at_the_margin_itself_stay_within_their_levels():
    rng = np.random.default_rng(7)
    shift, gates = RULES.log_margin, 2000
    alarms = passes = 0
    for _ in range(gates):
        base, new = 0.014 * rng.standard_normal((2, RULES.screen_blocks, 2))
        fresh = shift + 0.02 * rng.standard_normal(LOOKS[-1])
        judgement = confirmed(fresh, RULES)
        alarms += judgement.p_slower <= ALARM
        passes += screened(new + shift, base, RULES).passes or judgement.passes
    # Three standard deviations of 2,000 gates above 1 % and 5 %.
    assert alarms / gates <= 0.017
    assert passes / gates <= 0.065
