"""How growth is put into words on the front page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.sample import sample_of
from lmn_bench.analysis.scaling import scaling
from lmn_bench.report.courses import course
from lmn_bench.schema import LAWS


def found_in(law):
    """The scaling of a quiet quantity that follows a law over ten octaves."""
    rng = np.random.default_rng(3)
    lengths = [2.0**k for k in range(7, 17)]
    noise = {n: law(n) * np.exp(rng.normal(0, 0.01, 5)) for n in lengths}
    return scaling(sample_of({n: tuple(values) for n, values in noise.items()}), advice=False)


LINEAR, FLAT = found_in(lambda n: n), found_in(lambda _: 1.0)


def said(found, ratio=None, **changes):
    grown = found.growth if ratio is None else replace(found.growth, ratio=Interval(*ratio))
    return course(replace(found, **changes), grown)


def test_flat_is_said_with_its_interval():
    assert said(FLAT).startswith("stays flat within the noise (1.01× [")


@pytest.mark.parametrize(
    ("plausible", "words"),
    [(("constant", "n^2"), "; a rise towards the end is not excluded)"),
     (("constant", "log n"), "; slow growth is not excluded)")],
)  # fmt: skip
def test_what_flat_may_hide_is_said(plausible, words):
    assert words in said(FLAT, plausible=plausible, beyond=())


def test_noise_that_hides_nearly_any_law_is_not_called_flat():
    words = said(FLAT, ratio=(1.4, 0.87, 2.2), plausible=LAWS, beyond=())
    assert words == (
        "shows no growth beyond the noise (1.40× [0.870, 2.20]; nearly any law is left)"
    )


def test_a_possible_late_rise_is_said():
    late = said(FLAT, plausible=("constant",), beyond=("n",), beyond_from=8192.0)
    assert "a rise from 8,192 on is not excluded" in late


def test_growth_is_said_with_its_law_and_its_exponent():
    assert "like n (exponent 1.00 [" in said(LINEAR, plausible=("n",), beyond=())


@pytest.mark.parametrize(
    ("plausible", "beyond", "words"),
    [
        (("n log n", "n"), (), "like n or n log n"),
        (("n log^2 n",), ("n", "n log n"), "between n and n log^2 n"),
        (("n^2", "n"), (), "like n or n^2"),
        (("n", "n log n", "sqrt n", "log n", "n^2"), (), "by a law that the data leave open"),
        ((), (), "by none of the laws"),
    ],
)
def test_no_law_is_said_to_hold_that_the_data_leave_open(plausible, beyond, words):
    assert words in said(LINEAR, plausible=plausible, beyond=beyond)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [((1.1, 0.9, 1.3), "shows no growth beyond the noise"), ((0.5, 0.4, 0.6), "falls to 0.500×")],
)
def test_what_does_not_grow_is_not_said_to(ratio, words):
    assert words in said(LINEAR, ratio=ratio)


def test_too_little_to_judge_by_is_said():
    assert "no noise to judge by" in said(LINEAR, processes=1)
    assert "too few lengths" in course(None, LINEAR.growth)


def test_a_ratio_without_an_interval_is_one_of_medians():
    grown = replace(LINEAR.growth, ratio=Interval(1.5, None, None))
    assert course(None, grown).startswith("becomes 1.50× by the medians (")
    assert "by the medians" not in course(None, LINEAR.growth)
