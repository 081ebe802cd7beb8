from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.errors import UsageError
from lmn_bench.learning.windows import cut_windows


def counting(tokens, length):
    """Windows of a corpus whose tokens are their own positions."""
    return cut_windows(np.arange(tokens, dtype=np.int32), length)


@given(st.integers(20, 500), st.integers(1, 5), st.data())
def test_a_target_is_the_next_token_of_the_same_part(tokens, length, data):
    if tokens - tokens * 9 // 10 < length + 1:
        return
    windows = counting(tokens, length)
    step = data.draw(st.integers(0, 1000))
    batch = windows.training_batch(4, seed=0, step=step)
    assert batch.inputs.shape == batch.targets.shape == (4, length)
    assert batch.inputs.dtype == batch.targets.dtype == np.int64
    assert (batch.targets == batch.inputs + 1).all()
    assert (np.diff(batch.inputs, axis=1) == 1).all()
    assert batch.targets.max() < len(windows.training)
    for held_out in windows.validation_batches(4):
        assert (held_out.targets == held_out.inputs + 1).all()
        assert held_out.inputs.min() >= len(windows.training)


def test_the_last_tenth_is_held_out_as_published():
    windows = counting(1_115_394, 512)
    assert (len(windows.training), len(windows.validation)) == (1_003_854, 111_540)


def test_training_batches_depend_on_seed_and_step_alone():
    windows = counting(1000, 8)
    first = windows.training_batch(16, seed=3, step=7).inputs
    windows.training_batch(16, seed=3, step=8)
    assert (counting(1000, 8).training_batch(16, seed=3, step=7).inputs == first).all()
    assert (windows.training_batch(16, seed=3, step=8).inputs != first).any()
    assert (windows.training_batch(16, seed=4, step=7).inputs != first).any()


def test_every_place_of_the_training_part_is_drawn():
    batch = counting(20, 1).training_batch(2000, seed=0, step=0)
    assert set(batch.inputs[:, 0].tolist()) == set(range(17))


def test_validation_windows_lie_side_by_side_and_are_always_the_same():
    windows = counting(1000, 8)
    inputs = [batch.inputs for batch in windows.validation_batches(5)]
    assert [len(one) for one in inputs] == [5, 5, 2]
    assert np.concatenate(inputs).ravel().tolist() == list(range(900, 996))
    assert windows.validation_windows == 12


def test_a_limit_spreads_the_windows_over_the_validation_part():
    inputs = [batch.inputs for batch in counting(1000, 8).validation_batches(2, limit=4)]
    assert np.concatenate(inputs)[:, 0].tolist() == [900, 924, 948, 972]


def test_a_limit_above_the_number_of_windows_takes_all():
    assert sum(len(b.inputs) for b in counting(1000, 8).validation_batches(2, limit=99)) == 12


def test_a_corpus_just_long_enough_has_one_window():
    assert counting(90, 8).validation_windows == 1


@pytest.mark.parametrize(("tokens", "longest"), [(80, "at most 7"), (10, "longer"), (0, "longer")])
def test_a_corpus_shorter_than_a_window_and_a_token_is_refused(tokens, longest):
    with pytest.raises(UsageError) as caught:
        counting(tokens, 8)
    assert f"of its {tokens} tokens" in caught.value.message
    assert "needs 9" in caught.value.message
    assert longest in caught.value.hint


@pytest.mark.parametrize("length", [0, -1, 2.0, True, "8"])
def test_a_length_that_is_no_count_is_refused(length):
    with pytest.raises(UsageError, match="length: expected a whole number"):
        counting(1000, length)


@pytest.mark.parametrize("size", [0, -3, 1.5])
def test_a_batch_that_is_no_count_is_refused(size):
    windows = counting(1000, 8)
    with pytest.raises(UsageError, match="batch: expected"):
        windows.training_batch(size, seed=0, step=0)
    with pytest.raises(UsageError, match="batch: expected"):
        windows.validation_batches(size)


def test_a_limit_of_none_at_all_is_refused():
    with pytest.raises(UsageError, match="limit: expected"):
        counting(1000, 8).validation_batches(4, limit=0)
