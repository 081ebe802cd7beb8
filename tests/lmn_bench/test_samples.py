"""The quick rounds of one process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.samples import low_latency_s, quantile


def test_the_undisturbed_latency_of_a_call_is_the_lower_quartile_of_its_samples():
    assert low_latency_s([5.0, 1.0, 3.0, 2.0, 4.0], "prefill", 32) == 2.0


def test_one_sample_is_its_own_lower_quartile():
    assert low_latency_s([3.0], "train", 32) == 3.0


def test_half_of_the_rounds_disturbed_do_not_move_it():
    quiet = [1.0] * 5
    assert low_latency_s([*quiet, *[9.0] * 5], "prefill", 32) == 1.0


def test_a_round_of_decode_is_the_mean_of_its_window_without_the_step_before_it():
    first, second = [100.0, 1.0, 3.0], [100.0, 5.0, 7.0]
    assert low_latency_s([*first, *second], "decode", 2) == pytest.approx(2 + 0.25 * (6 - 2))


@pytest.mark.parametrize(("mode", "count"), [("prefill", 0), ("decode", 0), ("decode", 5)])
def test_samples_that_are_no_whole_rounds_are_refused(mode, count):
    with pytest.raises(ValueError, match=f"{count} samples"):
        low_latency_s([1.0] * count, mode, 2)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values, share):
    import numpy as np

    assert quantile(values, share) == pytest.approx(float(np.quantile(values, share)))
