from __future__ import annotations

from itertools import chain, repeat

import pytest

from lmn_bench.schema import Measuring
from lmn_bench.worker.timing import (
    MIN_BLOCK_S,
    MIN_FOR_PRECISION,
    WINDOW,
    block_size,
    is_steady,
    relative_precision,
    sample,
)

# Goals that nothing meets, so that a test sets only the one it is about.
ENDLESS = {
    "time_goal_s": 1e9, "precision_goal": 1e-12, "max_samples": 10**6, "warmup_limit_s": 1e9,
}  # fmt: skip


def take_from(durations):
    """A round that takes these seconds, one after the other."""
    left = iter(durations)
    return lambda: (next(left),)


def noisy(seconds, share=0.01):
    """Durations around a value, never twice the same."""
    return (seconds * (1 + share * ((i * 7919) % 101 - 50) / 50) for i in range(10**6))


def timing(durations, already_warm_s=0.0, **goals):
    return sample(take_from(durations), Measuring(**{**ENDLESS, **goals}), already_warm_s)


# ------------------------------------------------------------------------------- warm-up


def test_warm_up_goes_on_until_the_samples_are_steady():
    falling = [1.0 / (n + 1) for n in range(10)]
    found = timing(chain(falling, repeat(0.05)), max_samples=3)
    assert found.warmup[: len(falling)] == tuple(falling)
    assert is_steady(found.warmup)
    assert not is_steady(found.warmup[:-1])
    assert set(found.rounds) == {(0.05,)}


def test_warm_up_ends_at_its_limit_where_nothing_gets_steady():
    found = timing((1.0 + 0.5 * n for n in range(100)), warmup_limit_s=10, max_samples=1)
    assert sum(found.warmup) >= 10
    assert sum(found.warmup[:-1]) < 10


def test_the_call_of_the_memory_pass_counts_as_warm_up():
    found = timing(repeat(1.0), already_warm_s=60.0, warmup_limit_s=50, max_samples=1)
    assert found.warmup == (60.0,)
    assert found.rounds == ((1.0,),)


def test_no_warm_up_sample_is_among_the_timed_ones():
    durations = [float(n) for n in range(1, 200)]
    found = timing(durations, warmup_limit_s=20, max_samples=5)
    timed = [one for (one,) in found.rounds]
    assert [*found.warmup, *timed] == durations[: len(found.warmup) + 5]


# ------------------------------------------------------------------------------- when it is enough


def test_sampling_stops_once_it_is_precise_enough():
    found = timing(repeat(1.0), precision_goal=0.01)
    assert len(found.rounds) == MIN_FOR_PRECISION


def test_more_noise_takes_more_samples():
    quiet = timing(noisy(1.0, 0.02), precision_goal=0.005)
    loud = timing(noisy(1.0, 0.04), precision_goal=0.005)
    assert MIN_FOR_PRECISION <= len(quiet.rounds) < len(loud.rounds)


def test_sampling_stops_when_its_time_is_spent():
    found = timing(repeat(1.0), time_goal_s=7)
    assert len(found.rounds) == 7


def test_sampling_stops_at_the_most_samples_allowed():
    assert len(timing(noisy(1.0), max_samples=25).rounds) == 25


def test_the_fewest_samples_are_taken_even_if_time_is_spent():
    assert len(timing(repeat(5.0), time_goal_s=1, min_samples=3).rounds) == 3


def test_every_round_is_kept_whole():
    rounds = iter([(1.0, 2.0, 3.0)] * 100)
    found = sample(lambda: next(rounds), Measuring(**{**ENDLESS, "max_samples": 2}))
    assert found.rounds == ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))


# ------------------------------------------------------------------------------- drifting


def test_samples_that_still_fall_are_flagged():
    falling = (1.0 / (n + 1) for n in range(1000))
    assert timing(falling, warmup_limit_s=0, max_samples=50).drifting


def test_samples_that_stay_are_not_flagged():
    assert not timing(noisy(1.0, 0.02), max_samples=50).drifting


def test_too_few_samples_to_tell_are_not_flagged():
    assert not timing([4.0, 1.0], warmup_limit_s=0, max_samples=2).drifting


@pytest.mark.parametrize("count", [0, 1, WINDOW - 1])
def test_a_few_equal_samples_are_not_steady_yet(count):
    assert not is_steady([1.0] * count)


def test_precision_of_too_few_samples_is_none():
    assert relative_precision([1.0] * (MIN_FOR_PRECISION - 1)) == float("inf")


# ------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("one_call_s", [0.0, 1e-9, 1e-6, 7e-6, MIN_BLOCK_S, 1.0])
def test_a_block_outlasts_the_clock(one_call_s):
    assert block_size(one_call_s) * max(one_call_s, 1e-9) >= MIN_BLOCK_S * (1 - 1e-9)


def test_a_long_call_stands_alone():
    assert block_size(1e-3) == 1


def test_garbage_is_collected_again_after_a_failure():
    import gc

    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        sample(fail, Measuring())
    assert gc.isenabled()


# ------------------------------------------------------------------------------- the machine itself

QUIET_LOOP_S, SLOW_LOOP_S = 70e-6, 115e-6


class FakeMachine:
    """Reference loops that take these seconds, and rounds that wait so long, in turn."""

    def __init__(self, loops_s, waits_s=None):
        self._loops = iter(loops_s)
        self._waits = repeat(0.0) if waits_s is None else iter(waits_s)
        self.best_s = (QUIET_LOOP_S, QUIET_LOOP_S)

    def measure(self):
        told = next(self._loops)
        return told if isinstance(told, tuple) else (told,)

    def begin(self):
        pass

    def waited(self):
        return next(self._waits)


def beside(loops_s, durations, waits_s=None, **goals):
    measuring = Measuring(**{**ENDLESS, "warmup_limit_s": 0.0, **goals})
    return sample(take_from(durations), measuring, reference=FakeMachine(loops_s, waits_s))


def test_rounds_beside_a_slow_loop_are_set_apart_and_kept():
    loops = [QUIET_LOOP_S, SLOW_LOOP_S, QUIET_LOOP_S, QUIET_LOOP_S, QUIET_LOOP_S]
    found = beside(loops, [1.0, 2.0, 3.0, 4.0], max_samples=2, quiet_wait_s=9)
    # The slow reading lies between the first and the second round, so it spoils both.
    assert found.disturbed == ((1.0,), (2.0,))
    assert found.rounds == ((3.0,), (4.0,))
    assert found.reference_s == (QUIET_LOOP_S,)


def test_a_taken_core_that_only_the_loop_on_all_threads_sees_sets_a_round_apart():
    taken, free = (QUIET_LOOP_S, 50 * QUIET_LOOP_S), (QUIET_LOOP_S, 2 * QUIET_LOOP_S)
    found = beside([free, taken, free, free], [1.0, 2.0, 3.0], max_samples=1, quiet_wait_s=9)
    assert found.disturbed == ((1.0,), (2.0,))
    assert found.rounds == ((3.0,),)
    assert found.reference_s == free


def test_rounds_that_waited_for_a_core_are_set_apart_and_kept():
    waits = [0.01, 8.0, 0.0]
    found = beside(repeat(QUIET_LOOP_S), [1.0, 9.0, 1.0], waits, max_samples=2, quiet_wait_s=9)
    assert found.rounds == ((1.0,), (1.0,))
    assert found.disturbed == ((9.0,),)
    assert (found.waiting.timed_s, found.waiting.waited_s) == (11.0, 8.01)
    assert (found.counted_waiting.timed_s, found.counted_waiting.waited_s) == (2.0, 0.01)


def test_a_short_round_that_waited_spoils_no_other_of_its_group():
    waits = [0.0, 1e-3, 0.0, 0.0]
    found = beside(repeat(QUIET_LOOP_S), repeat(1e-3), waits_s=waits, max_samples=3)
    assert (len(found.rounds), len(found.disturbed)) == (3, 1)


def test_where_every_round_waited_all_count_and_the_waiting_is_told():
    found = beside(repeat(QUIET_LOOP_S), repeat(1.0), repeat(0.7), time_goal_s=2, quiet_wait_s=1)
    assert found.rounds == ((1.0,),) * 3
    assert found.counted_waiting.waited_s == pytest.approx(2.1)


def test_where_nobody_tells_of_waiting_nothing_waited():
    found = beside(repeat(QUIET_LOOP_S), repeat(1.0), waits_s=repeat(None), max_samples=3)
    assert len(found.rounds) == 3
    assert found.waiting.waited_s is None


def test_once_enough_was_taken_quiet_is_waited_for_no_longer_than_allowed():
    found = beside(repeat(SLOW_LOOP_S), repeat(1.0), max_samples=4, quiet_wait_s=3)
    assert len(found.rounds) == 7


def test_a_slow_machine_is_waited_for_no_longer_than_allowed():
    found = beside(repeat(SLOW_LOOP_S), repeat(1.0), time_goal_s=5, quiet_wait_s=3)
    assert len(found.rounds) == 8


def test_on_a_machine_that_is_slow_throughout_all_rounds_count():
    found = beside(repeat(SLOW_LOOP_S), repeat(1.0), time_goal_s=2, quiet_wait_s=1)
    assert found.rounds == ((1.0,),) * 3
    assert found.disturbed == ()
    assert found.reference_s == (SLOW_LOOP_S,)


def test_short_rounds_share_a_reading_of_the_loop():
    found = beside(repeat(QUIET_LOOP_S, 3), repeat(1e-3), max_samples=10)
    assert len(found.rounds) == 10
