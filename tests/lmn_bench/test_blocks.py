"""Blocks: which process of which arm runs when."""

from __future__ import annotations

import math
from collections import Counter

from bench_helpers import FakeSpawner, case, death, ok_reply

from lmn_bench.run.blocks import Blocks, Ended, Step
from lmn_bench.schema import Measuring, Outcome

CASES = [case(length=length) for length in (64, 128, 256)]
ARMS = ("base", "null", "new")


def spawners(**answers):
    return {arm: FakeSpawner(answers.get(arm, lambda _: ok_reply())) for arm in ARMS}


def ended(events):
    return [event for event in events if isinstance(event, Ended)]


def test_every_arm_measures_every_case_twice_in_a_block():
    events = ended(Blocks(Measuring(), 1).run(CASES, spawners(), math.inf))
    counts = Counter((event.arm, event.record.case) for event in events)
    assert counts == {(arm, one): 2 for arm in ARMS for one in CASES}


def test_the_second_half_of_a_block_mirrors_the_first():
    events = ended(Blocks(Measuring(), 1).run(CASES, spawners(), math.inf))
    for at in range(0, len(events), 6):
        order = [event.arm for event in events[at : at + 6]]
        assert order == order[::-1]
        assert len({event.record.case for event in events[at : at + 6]}) == 1


def test_order_differs_from_block_to_block():
    blocks = Blocks(Measuring(), 1)
    orders = set()
    for _ in range(12):
        events = ended(blocks.run(CASES[:1], spawners(), math.inf))
        orders.add(tuple(event.arm for event in events[:3]))
    assert len(orders) > 3


def test_replicates_count_on_over_blocks():
    blocks = Blocks(Measuring(), 1)
    for number in range(3):
        events = ended(blocks.run(CASES[:1], spawners(), math.inf))
        replicates = {(event.arm, event.record.replicate) for event in events}
        assert replicates == {(arm, 2 * number + half) for arm in ARMS for half in range(2)}


def test_blocks_after_a_stage_have_numbers_of_their_own():
    blocks = Blocks(Measuring(), 1)
    ended(blocks.run(CASES[:1], spawners(), math.inf))
    blocks.start_at(12)
    for number in (12, 13):
        events = ended(blocks.run(CASES[:1], spawners(), math.inf))
        assert {event.record.replicate // 2 for event in events} == {number}


def test_a_block_is_given_up_where_the_machine_changes_its_speed():
    loops = iter([1e-5, 1e-5, 1.02e-5, 1.6e-5, 1e-5, 1e-5])

    def answer(_):
        return ok_reply(reference_loop_s=next(loops))

    blocks = Blocks(Measuring(), 1)
    same = FakeSpawner(answer)
    events = ended(blocks.run(CASES[:1], dict.fromkeys(ARMS, same), math.inf))
    assert len(events) == 4
    assert not blocks.failed


def test_every_process_is_told_how_fast_the_machine_can_be():
    loops = iter([2e-5, 1.98e-5, 2e-5, 2e-5, 2e-5, 2e-5])

    def answer(_):
        return ok_reply(reference_loop_s=next(loops))

    same = FakeSpawner(answer)
    ended(Blocks(Measuring(), 1).run(CASES[:1], dict.fromkeys(ARMS, same), math.inf))
    assert [job.get("best_loop_s") for job in same.jobs] == [None, 2e-5, *[1.98e-5] * 4]


def test_the_same_seed_gives_the_same_order():
    def order(seed):
        events = ended(Blocks(Measuring(), seed).run(CASES, spawners(), math.inf))
        return [(event.arm, event.record.case) for event in events]

    assert order(5) == order(5)
    assert order(5) != order(6)


def test_a_case_that_fails_finishes_its_block_and_is_left_out_of_the_next():
    arms = spawners(new=lambda one: death() if one == CASES[0] else ok_reply())
    blocks = Blocks(Measuring(), 1)
    first = ended(blocks.run(CASES, arms, math.inf))
    assert sum(event.record.case == CASES[0] for event in first) == 6
    assert {e.record.outcome for e in first if e.arm == "base"} == {Outcome.OK}
    second = ended(blocks.run(CASES, arms, math.inf))
    assert {event.record.case for event in second} == set(CASES[1:])


def test_no_block_is_begun_after_the_limit_but_one_is_finished():
    clock = iter(range(1000))
    blocks = Blocks(Measuring(), 1, now=lambda: next(clock))
    events = ended(blocks.run(CASES, spawners(), until=5))
    assert len(events) == 6


def test_steps_tell_how_far_a_round_is():
    steps = [e for e in Blocks(Measuring(), 1).run(CASES, spawners(), math.inf)
             if isinstance(e, Step)]  # fmt: skip
    assert [step.done for step in steps] == list(range(18))
    assert {step.total for step in steps} == {18}


def test_without_timing_one_process_is_enough():
    arms = {arm: FakeSpawner() for arm in ("base", "new")}
    events = ended(Blocks(Measuring(timing=False), 1, halves=1).run(CASES, arms, math.inf))
    assert len(events) == 2 * len(CASES)
    assert {event.record.replicate for event in events} == {0}
