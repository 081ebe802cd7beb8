"""The signed-rank test and its limits, against scipy's and against themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmn_bench.analysis.multiplicity import benjamini_hochberg, holm
from lmn_bench.analysis.signed_rank import estimate, limits, p_above, p_below, walsh_averages

DIFFERENCES = st.lists(
    st.floats(-1, 1).map(lambda x: round(x, 9)), min_size=3, max_size=16, unique_by=abs
).filter(lambda found: 0 not in found)


@given(DIFFERENCES)
def test_p_values_are_those_of_the_exact_test(found):
    walsh = walsh_averages(np.array(found))
    for ours, side in ((p_above, "greater"), (p_below, "less")):
        theirs = stats.wilcoxon(found, alternative=side, method="exact").pvalue
        assert float(ours(walsh, 0.0)) == pytest.approx(theirs, rel=1e-9)


@given(DIFFERENCES, st.sampled_from([0.01, 0.025, 0.05, 0.2]))
def test_a_limit_excludes_exactly_what_the_test_rejects(found, level):
    walsh = walsh_averages(np.array(found))
    low, high = limits(walsh, level)
    if math.isinf(low):
        assert float(p_above(walsh, -10.0)) > level
        return
    assert float(p_above(walsh, float(low) - 1e-6)) <= level
    assert float(p_above(walsh, float(low) + 1e-6)) > level
    assert float(p_below(walsh, float(high) + 1e-6)) <= level


def test_ties_with_the_shift_are_no_evidence():
    walsh = walsh_averages(np.zeros(12))
    assert float(p_above(walsh, 0.0)) == 1.0
    assert float(p_below(walsh, 0.0)) == 1.0


def test_one_wild_pair_moves_the_estimate_little():
    usual = np.array([0.01, 0.02, 0.015, 0.012, 0.018, 0.011])
    wild = np.append(usual, 5.0)
    before, after = (float(estimate(walsh_averages(x))) for x in (usual, wild))
    assert abs(after - before) < 0.005


def test_many_rows_are_judged_at_once():
    rows = np.random.default_rng(1).normal(size=(5, 8))
    together = p_above(walsh_averages(rows), 0.1)
    assert together == pytest.approx([float(p_above(walsh_averages(row), 0.1)) for row in rows])


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_benjamini_hochberg_is_less_strict_than_holm():
    p_values = [0.001, 0.01, 0.02, 0.03]
    assert all(b <= h for b, h in zip(benjamini_hochberg(p_values), holm(p_values), strict=True))
    assert benjamini_hochberg([]) == []
