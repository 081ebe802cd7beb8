from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from law_helpers import OCTAVES, as_sample, made_up, table, truth
from scipy.optimize import nnls

from lmn_bench.analysis.fitting import fit_laws
from lmn_bench.analysis.growth import growth
from lmn_bench.analysis.laws import growth_functions, law_exponent, law_words, rank
from lmn_bench.analysis.sample import crossed_sample, median_variances, sample_of, spreads
from lmn_bench.analysis.scaling import scaling
from lmn_bench.analysis.sentences import growth_words, scaling_sentence
from lmn_bench.errors import UnknownNameError
from lmn_bench.schema import LAWS

GROWING = ("log n", "log^2 n", "n", "n log n", "n^2")
SHORT = OCTAVES[:5]

# ------------------------------------------------------------------------------- laws


def test_laws_stand_by_growth():
    slopes = [law_exponent(law, (2.0**16, 2.0**17)) for law in LAWS]
    assert slopes == sorted(slopes)
    assert [rank(law) for law in LAWS] == list(range(len(LAWS)))


def test_an_unknown_law_is_told_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        rank("nlog n")
    assert "did you mean 'n log n'?" in caught.value.hint


def test_laws_in_words():
    assert law_words(()) == "none of the laws"
    assert law_words(["n"]) == "n"
    assert law_words(["n", "n log n", "n^2"]) == "n, n log n or n^2"


# ------------------------------------------------------------------------------- fitting


@given(st.sampled_from(LAWS[1:]), st.floats(0, 10), st.floats(1e-3, 10))
def test_a_law_without_noise_gives_back_its_coefficients(law, a, b):
    functions = growth_functions(OCTAVES)
    row = LAWS.index(law)
    fits = fit_laws(np.log(a + b * functions[row])[None], np.ones(len(OCTAVES)), functions)
    assert fits.misfit[0, row] < 1e-12
    assert fits.a[0, row] == pytest.approx(a, abs=1e-6 * (a + b))
    assert fits.b[0, row] == pytest.approx(b, abs=1e-6 * (a + b))


@given(st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=11), st.sampled_from(LAWS))
def test_coefficients_are_never_negative_and_as_good_as_those_of_nnls(errors, law):
    lengths = OCTAVES[: len(errors)]
    functions = growth_functions(lengths)
    variances = np.full(len(errors), 0.01)
    logs = np.array(errors)
    row = LAWS.index(law)
    fits = fit_laws(logs[None], variances, functions)
    a, b = fits.a[0, row], fits.b[0, row]
    assert a >= 0
    assert b >= 0
    basis = np.stack([np.ones(len(lengths)), functions[row]], axis=1)
    other, _ = nnls(basis / np.exp(logs)[:, None], np.ones(len(lengths)))
    theirs = ((logs - np.log(basis @ other)) ** 2 / variances).sum()
    assert fits.misfit[0, row] <= theirs + 1e-6


# ------------------------------------------------------------------------------- noise


def test_spreads_of_equal_noise_are_drawn_together():
    sample = made_up("n", 0.05, seed=3)
    raw = np.nanstd(sample.values, axis=0, ddof=1)
    assert np.ptp(spreads(sample)) < np.ptp(raw) / 2
    assert spreads(sample).mean() == pytest.approx(0.05, rel=0.3)


def test_one_noisy_length_counts_less():
    values = table(truth("n", OCTAVES), 0.01, processes=8)
    values[:, 4] *= np.exp(np.linspace(-0.6, 0.6, 8))
    variances = median_variances(as_sample(OCTAVES, values))
    assert variances[4] > 20 * np.median(variances)


def test_a_process_that_is_slow_throughout_is_not_noise():
    values = table(truth("n", OCTAVES), 0.01, processes=4)
    slow = values * np.array([1.0, 1.5, 2.0, 0.7])[:, None]
    assert np.median(spreads(as_sample(OCTAVES, slow))) > 0.2
    assert np.median(spreads(crossed_sample(OCTAVES, np.log(slow)))) < 0.03


def test_a_process_that_lacks_a_length_does_not_matter():
    values = np.log(table(truth("n log n", OCTAVES), 0.02))
    values[1, 3] = values[2, 7] = np.nan
    found = scaling(crossed_sample(OCTAVES, values))
    assert "n log n" in found.plausible


# ------------------------------------------------------------------------------- the set


@pytest.mark.parametrize("law", GROWING)
def test_a_pure_law_is_decided(law):
    found = scaling(made_up(law, 0.01))
    assert (found.plausible, found.decided) == ((law,), True)
    assert all(one.inside for one in found.held_out)
    assert found.valid_from == found.first == 128


def test_constant_data_are_constant():
    found = scaling(made_up("constant", 0.02))
    assert (found.plausible, found.decided) == (("constant",), True)
    assert found.rise.low < 1 < found.rise.high < 1.1
    assert all(fit.invisible for fit in found.fits if fit.law != "constant")


def test_what_noise_hides_is_not_decided_and_what_would_tell_is_said():
    found = scaling(made_up("log n", 0.03, overhead=0.5, seed=2))
    assert {"log n", "log^2 n"} <= set(found.plausible)
    assert not found.decided
    assert not found.power.enough
    assert found.power.lengths_to > found.last or found.power.processes > 5
    assert "should decide" in scaling_sentence(found)


def test_data_that_follow_no_law_reject_all():
    curve = truth("n", OCTAVES) * np.where(np.arange(len(OCTAVES)) % 2, 1.3, 1.0)
    found = scaling(as_sample(OCTAVES, table(curve, 0.01)))
    assert (found.plausible, found.decided, found.power) == ((), False, None)
    assert "rejects every law" in scaling_sentence(found)


def test_falling_data_follow_no_law():
    found = scaling(as_sample(OCTAVES, table(1 / truth("n", OCTAVES), 0.02)))
    assert found.plausible == ()


def test_above_an_overhead_floor_the_law_and_its_range_are_found():
    curve = np.maximum(1.0, np.array(OCTAVES) / 8192)
    found = scaling(as_sample(OCTAVES, table(curve, 0.02)))
    assert "n" in found.plausible
    assert 4096 <= found.valid_from <= 16384
    assert "below, another law holds" in scaling_sentence(found)
    assert f"from {int(found.valid_from):,} on" in growth_words(found)


def test_a_unit_does_not_matter():
    sample = made_up("n log n", 0.03)
    values = {n: np.exp(sample.values[:, i]) for i, n in enumerate(sample.lengths)}
    for factor in (1e-9, 1e12):
        scaled = scaling(sample_of({n: (factor * v).tolist() for n, v in values.items()}))
        assert scaled.plausible == scaling(sample).plausible
        assert scaled.growth.exponent.estimate == pytest.approx(
            scaling(sample).growth.exponent.estimate
        )


def test_the_same_data_give_the_same_answer():
    assert scaling(made_up("n", 0.05)) == scaling(made_up("n", 0.05))


def test_exact_repeats_do_no_harm():
    found = scaling(made_up("n log n", 0.0))
    assert (found.plausible, found.decided) == (("n log n",), True)


@pytest.mark.parametrize("processes", [1, 2])
def test_few_processes_decide_nothing(processes):
    found = scaling(made_up("n", 0.01, processes=processes))
    assert not found.decided
    assert found.power is None
    assert found.growth.exponent.low is None
    assert "n" in found.plausible


def test_fewer_than_three_lengths_are_too_few():
    assert scaling(made_up("n", 0.01, lengths=(128, 256))) is None


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.integers(1, 10**9),
        st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=6),
        min_size=3,
        max_size=9,
    )
)
def test_any_positive_numbers_are_judged_without_complaint(values):
    found = scaling(sample_of(values), advice=False)
    assert set(found.plausible) <= set(LAWS)
    assert {fit.law for fit in found.fits} == set(LAWS)
    assert scaling_sentence(found).endswith(".")
    assert growth_words(found)


@pytest.mark.parametrize("law", ["constant", *GROWING])
def test_the_truth_is_kept_and_falsehoods_are_not_decided(law):
    """A small piece of `tests/scripts/laws_table.py`, whose table is results/evidence/laws.md."""
    kept = false = 0
    for seed in range(12):
        for lengths, noise in ((OCTAVES, 0.05), (SHORT, 0.1)):
            sample = made_up(law, noise, overhead=0.3, lengths=lengths, seed=100 + seed)
            found = scaling(sample, advice=False, seed=seed)
            kept += law in found.plausible
            false += found.decided and found.plausible != (law,)
    assert kept >= 22
    assert false == 0


# ------------------------------------------------------------------------------- exponents


def test_an_exponent_is_that_of_the_longest_lengths_however_far_apart_they_are():
    """Overhead holds the first ones flat: over all of four times four lengths e would be 0.3."""
    lengths = [128, 512, 2048, 8192, 32768]
    curve = 3e-4 + 6e-8 * np.array(lengths)
    found = growth(as_sample(lengths, table(curve, 0.01)))
    assert found.top_from == 8192
    between = np.log(curve[-1] / curve[-2]) / np.log(4)
    assert found.exponent.estimate == pytest.approx(between, abs=0.03)


@pytest.mark.parametrize(("law", "exponent"), [("constant", 0), ("n", 1), ("n^2", 2)])
def test_exponents_and_ratios_need_no_law(law, exponent):
    found = growth(made_up(law, 0.01))
    for slope in (found.exponent, found.overall):
        assert slope.estimate == pytest.approx(exponent, abs=0.02)
        assert slope.holds(exponent)
    assert found.ratio.estimate == pytest.approx(1024.0**exponent, rel=0.05)
    assert found.top_from == OCTAVES[-4]
    assert len(found.doublings) == len(OCTAVES) - 1
    for doubling in found.doublings:
        assert doubling.last == 2 * doubling.first
        assert doubling.ratio.low < 2.0**exponent < doubling.ratio.high


def test_intervals_of_exponents_hold_the_truth_as_often_as_they_say():
    held = [growth(made_up("n", 0.1, processes=3, seed=s)).exponent.holds(1) for s in range(300)]
    assert 0.91 <= np.mean(held) <= 0.99


def test_one_length_has_no_growth():
    assert growth(made_up("n", 0.01, lengths=(128,))) is None
