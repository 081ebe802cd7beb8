"""The law set, whether it decides, the exponent and the words of one fit never contradict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from law_helpers import OCTAVES, as_sample, table, truth

from lmn_bench.analysis.laws import law_exponent
from lmn_bench.analysis.observed import Design
from lmn_bench.analysis.sample import crossed_sample
from lmn_bench.analysis.scaling import DECIDING_LENGTHS, EXPONENT_SLACK, scaling
from lmn_bench.analysis.selection import FLAT_RISE
from lmn_bench.analysis.sentences import scaling_sentence
from lmn_bench.report.courses import course
from lmn_bench.report.fitted import FittedGroup, fitted_document, fitted_json
from lmn_bench.schema import LAWS

LEVEL = ("no growth", "stays flat", "is level", "stays within", "may still be noise")


@st.composite
def samples(draw):
    """Made-up data: laws, falls, bends and bumps, quiet and noisy, one process to seven."""
    count, processes = draw(st.integers(3, 8)), draw(st.integers(1, 7))
    lengths = OCTAVES[:count]
    curve = truth(draw(st.sampled_from(LAWS)), lengths, draw(st.sampled_from([0.0, 0.5, 0.95])))
    shape = draw(st.sampled_from(["plain", "falls", "floor", "ceiling", "bump"]))
    middle = curve[count // 2]
    if shape == "falls":
        curve = 1 / curve
    elif shape == "floor":
        curve = np.maximum(curve, middle)
    elif shape == "ceiling":
        curve = np.minimum(curve, middle)
    elif shape == "bump":
        curve = curve * np.where(np.arange(count) == count // 2, 1.5, 1.0)
    noise = draw(st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.6]))
    values = table(curve, noise, processes, draw(st.integers(0, 10**6)))
    if draw(st.booleans()):
        return as_sample(lengths, values)
    levels = np.log(values)
    for row in range(1, processes):
        levels[row, draw(st.integers(0, count - 1))] = np.nan
    return crossed_sample(lengths, levels)


@settings(max_examples=150, deadline=None)
@given(samples())
def test_laws_decision_exponent_and_words_agree(sample):
    found = scaling(sample, advice=False)
    said, sentence = course(found, found.growth), scaling_sentence(found)
    low, high = found.growth.ratio.low, found.growth.ratio.high
    level = low is not None and low <= 1 <= high
    if said.startswith("stays flat"):
        assert level
        assert 1 / FLAT_RISE < low < high < FLAT_RISE
        assert "constant" in found.plausible
    if said.startswith("falls"):
        assert high < 1
    if said.startswith("grows"):
        assert low > 1
    if "none of the laws" in said:
        assert not found.plausible
    if low is None:
        assert said.startswith("becomes")
    assert ("not decided" in sentence or "too few lengths" in sentence) <= (not found.decided)
    if not found.decided:
        return
    (law,) = found.plausible
    assert len(found.curve) >= DECIDING_LENGTHS
    if law == "constant":
        assert 1 / FLAT_RISE < found.reach.low <= found.reach.high < FLAT_RISE
    else:
        assert found.reach.low > 1
        assert not said.startswith(LEVEL) or "yet along the lengths it grows" in said
    if found.valid_from == found.first:
        exponent = found.growth.exponent
        own = law_exponent(law, (found.growth.top_from, found.last))
        assert exponent.low <= own + EXPONENT_SLACK
        assert exponent.high >= -EXPONENT_SLACK


@settings(max_examples=40, deadline=None)
@given(samples())
def test_the_json_says_what_the_text_says(sample):
    one = FittedGroup("t", Design("rows", 5), scaling(sample, advice=False), ())
    (group,) = fitted_json("n", "t", [one])["groups"]
    document = fitted_document("n", "t", [one])
    (row,) = document.sections[0].tables[0].rows
    assert group["grows_like"] == row[1]
    assert group["decided"] == (row[2] == "yes") == (group["undecided"] is None)
    (said,) = document.answers
    assert group["course"] in said
    assert group["sentence"] in said
    assert group["design"]["words"] in said


def test_what_a_break_ends_is_not_called_flat_throughout():
    curve = np.minimum(truth("n", OCTAVES), 1 / 64)
    found = scaling(as_sample(OCTAVES, table(curve, 0.01)))
    said = course(found, found.growth)
    assert said.startswith("grows 16×")
    assert "then stays level from" in said


def test_growth_that_the_ends_alone_do_not_show_is_not_decided():
    noise = np.array([2.5, *[0.01] * 9, 2.5])
    errors = np.random.default_rng(2).standard_normal((5, len(OCTAVES)))
    found = scaling(as_sample(OCTAVES, truth("log^2 n", OCTAVES) * np.exp(noise * errors)))
    assert found.growth.ratio.holds(1.0)
    assert (found.plausible, found.undecided) == (("log^2 n",), "ends show no growth")
    said = course(found, found.growth)
    assert said.startswith("shows no growth beyond the noise from end to end")
    assert said.endswith("yet along the lengths it grows, like log^2 n")


def test_wide_equality_is_no_equality():
    found = scaling(as_sample(OCTAVES, table(truth("constant", OCTAVES), 0.12, 3, seed=1)))
    assert found.growth.ratio.holds(1.0)
    assert found.growth.ratio.low < 1 / FLAT_RISE
    assert not found.decided
    assert "stays flat" not in course(found, found.growth)


def test_too_few_lengths_are_the_reason_that_is_given():
    found = scaling(as_sample(OCTAVES[:3], table(truth("n^2", OCTAVES[:3]), 0.01)))
    sentence = scaling_sentence(found)
    assert found.undecided == "too few lengths"
    assert "too few lengths to decide: 4 are needed" in sentence
    assert "no design" not in sentence


def test_designs_that_nobody_sought_are_not_called_useless():
    found = scaling(as_sample(OCTAVES, table(truth("log n", OCTAVES, 0.5), 0.03)), advice=False)
    assert not found.decided
    assert "no design" not in scaling_sentence(found)


@pytest.mark.parametrize("law", ["constant", "n"])
def test_a_clear_law_is_still_decided(law):
    found = scaling(as_sample(OCTAVES, table(truth(law, OCTAVES), 0.02)))
    assert (found.plausible, found.undecided) == ((law,), None)


def test_laws_above_a_possible_break_leave_it_undecided():
    # One of the seeds whose noise looks a little like a bend.
    found = scaling(as_sample(OCTAVES, table(1e-3 + 1e-6 * np.array(OCTAVES), 0.03, 3, seed=17)))
    assert found.plausible == ("n",)
    assert set(found.beyond) == {"n", "n log n"}
    assert found.undecided == "possible break"
