from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_helpers import SMALL, case, failed, ok, run_info, series, suite
from hypothesis import given
from hypothesis import strategies as st
from law_helpers import OCTAVES, table, truth

from lmn.tree import slot_count
from lmn_bench.analysis.claims import judge
from lmn_bench.analysis.exact import formula
from lmn_bench.analysis.results import result_set
from lmn_bench.report.build import build_report
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.tabular import render_json
from lmn_bench.schema import LAWS, Claim, Outcome
from lmn_bench.store import read_run
from lmn_bench.suite import find_suite, load_suite

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference-scaling"
LENGTHS = (64, 100, 128, 200, 256, 512, 1024, 3000)


def counted(metric, law, subject="lmn", lengths=LENGTHS, **rest):
    """Two replicates per length of a counter."""
    return [
        ok(case(subject, "decode", n, **rest), replicate, **{metric: law(n)})
        for n in lengths
        for replicate in range(2)
    ]


def timed(law, noise, overhead=0.0, mode="prefill", processes=5, seed=0, **rest):
    """Records whose time follows a law."""
    values = table(1e-3 * truth(law, OCTAVES, overhead), noise, processes, seed)
    return [
        ok(case("lmn", mode, n, **rest), replicate, float(values[replicate, i]))
        for i, n in enumerate(OCTAVES)
        for replicate in range(processes)
    ]


def verdict(records, law, metric="latency_s", *, at_most=False, mode="prefill", subject="lmn"):
    """The verdict on one claim."""
    claim = Claim(subject, mode, metric, law, at_most)
    (found,) = judge(result_set(records), [claim])
    return found


# ------------------------------------------------------------------------------- counters


@given(
    st.integers(1, 4),
    st.integers(0, 3),
    st.lists(st.integers(1, 10**6), min_size=8, max_size=12, unique=True),
)
def test_the_slots_of_a_tree_have_their_formula_at_any_lengths(banks, expansion, lengths):
    levels = {n.bit_length() for n in lengths}
    found = formula({float(n): float(slot_count(n, banks, expansion)) for n in lengths})
    if len(levels) < 5:
        return  # too few steps to tell a line from a parabola
    assert found.law == ("log^2 n" if expansion else "log n")
    shape = {term: value for value, term in found.terms}
    assert shape["1"] == 1
    assert shape["L"] == banks * (1 + expansion / 2)
    assert shape.get("L²", 0) == banks * expansion / 2


@pytest.mark.parametrize(
    ("count", "law", "text"),
    [
        (lambda n: 512, "constant", "512"),
        (lambda n: 3 * n, "n", "3·n"),
        (lambda n: 10 + n * (n + 1) // 2, "n^2", "10 + 0.5·n + 0.5·n²"),
        (lambda n: 7 * n + 2 * n * (n.bit_length() - 1), "n log n", "7·n + 2·nL"),
    ],
)
def test_a_counter_has_the_slowest_law_that_gives_every_value(count, law, text):
    found = formula({float(n): float(count(n)) for n in LENGTHS})
    assert (found.law, found.text, found.lengths) == (law, text, len(LENGTHS))


def test_values_that_follow_nothing_have_no_formula():
    rng = np.random.default_rng(1)
    assert formula({float(n): float(rng.integers(1, 10**6)) for n in LENGTHS}) is None
    assert formula({1.0: 2.0, 2.0: 3.0}) is None  # any two values lie on a line
    assert formula({}) is None


def test_slots_and_state_are_supported_exactly():
    records = counted("slots", lambda n: slot_count(n, 1, 0))
    found = verdict(records, "log n", "slots", mode="decode")
    assert (found.verdict, found.exact, found.plausible) == ("supported", True, ("log n",))
    assert "1 + K(L + vL(L + 1)/2) with K = 1, v = 0" in found.sentence


def test_slots_off_by_one_at_one_length_are_not():
    records = counted("slots", lambda n: slot_count(n, 1, 0) + (n == 512))
    assert verdict(records, "log n", "slots", mode="decode").verdict != "supported"


def test_an_expander_is_log_squared_and_nothing_less():
    records = counted("slots", lambda n: slot_count(n, 2, 3), "lmn-expander",
                      model=replace(SMALL, banks=2, expansion=3))  # fmt: skip
    for law, at_most, expected in (
        ("log^2 n", False, "supported"), ("log n", False, "rejected"),
        ("log n", True, "rejected"), ("n", True, "supported"), ("n", False, "rejected"),
    ):  # fmt: skip
        found = verdict(records, law, "slots", at_most=at_most, mode="decode",
                        subject="lmn-expander")  # fmt: skip
        assert found.verdict == expected, (law, at_most)


def test_a_counter_without_a_formula_is_at_most_compatible():
    def wobbly(n):
        return 1000 * n + 3 * (n % 7)

    records = counted("flops", wobbly)
    assert verdict(records, "n", "flops", mode="decode").verdict == "compatible"
    assert verdict(records, "n log n", "flops", mode="decode", at_most=True).verdict == "supported"
    assert verdict(records, "n^2", "flops", mode="decode").verdict == "rejected"


# ------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("claimed", "at_most", "expected"),
    [
        ("n log n", False, "supported"), ("n log n", True, "supported"),
        ("n^2", True, "supported"), ("n", True, "rejected"), ("n", False, "rejected"),
        ("log n", True, "rejected"), ("n^2", False, "rejected"), ("constant", False, "rejected"),
    ],
)  # fmt: skip
def test_a_clear_law_supports_what_is_true_and_rejects_the_rest(claimed, at_most, expected):
    assert verdict(timed("n log n", 0.01), claimed, at_most=at_most).verdict == expected


def test_laws_that_cannot_be_told_apart_are_compatible():
    records = timed("log n", 0.03, overhead=0.5, seed=2)
    assert verdict(records, "log n").verdict == "compatible"
    assert verdict(records, "log^2 n").verdict == "compatible"
    assert verdict(records, "log n", at_most=True).verdict == "compatible"
    assert verdict(records, "n", at_most=True).verdict == "supported"
    assert verdict(records, "constant").verdict == "rejected"


def test_flat_data_support_constant_and_say_nothing_of_growth():
    records = timed("constant", 0.02)
    assert verdict(records, "constant").verdict == "supported"
    assert verdict(records, "log n", at_most=True).verdict == "supported"
    assert verdict(records, "log n").verdict == "cannot tell"


def test_much_noise_tells_nothing():
    found = verdict(timed("constant", 0.4), "constant")
    assert found.verdict == "cannot tell"
    assert found.scaling.noise > 0.3


@pytest.mark.parametrize("processes", [1, 2])
def test_few_processes_tell_nothing(processes):
    found = verdict(timed("n", 0.01, processes=processes), "n")
    assert found.verdict == "cannot tell"
    assert "no noise to judge by" in found.sentence


def test_where_no_law_fits_the_exponent_may_still_reject():
    odd = [1.3 if i % 2 else 1.0 for i in range(len(OCTAVES))]
    records = [
        ok(case("lmn", length=n), r, 1e-6 * n * n * odd[i] * (1 + 0.01 * r))
        for i, n in enumerate(OCTAVES)
        for r in range(5)
    ]
    assert verdict(records, "n log n", at_most=True).verdict == "rejected"
    assert verdict(records, "n^2").verdict == "cannot tell"


@pytest.mark.parametrize(
    "records",
    [
        [],
        [failed(case(length=n), Outcome.ERROR) for n in OCTAVES],
        series("lmn", lambda n: 1e-3, lengths=(64,)),
        series("gru", lambda n: 1e-3),
    ],
    ids=["nothing", "only failures", "one length", "another model"],
)
def test_what_was_not_measured_cannot_be_told(records):
    assert verdict(records, "n").verdict == "cannot tell"


def test_a_counter_at_two_lengths_tells_nothing():
    records = counted("slots", lambda n: slot_count(n, 1, 0), lengths=(64, 128))
    found = verdict(records, "log n", "slots", mode="decode")
    assert (found.verdict, found.exact) == ("cannot tell", False)
    assert "too few" in found.sentence


def test_values_that_are_no_numbers_are_left_out():
    records = [*timed("n", 0.01), ok(case(length=128), 9, float("nan"))]
    assert verdict(records, "n").verdict == "supported"


def test_a_claim_is_judged_in_every_setting_but_those_under_a_cap():
    records = [*timed("n", 0.01), *timed("n", 0.01, threads=2),
               *timed("n", 0.01, memory_cap_bytes=2**26)]  # fmt: skip
    found = judge(result_set(records), [Claim("lmn", "prefill", "latency_s", "n")])
    assert [one.setting.threads for one in found] == [1, 2]


# ------------------------------------------------------------------------------- the report


def test_a_report_has_a_verdict_for_every_claim_and_counts_them():
    records = counted("slots", lambda n: slot_count(n, 1, 0))
    claims = tuple(Claim("lmn", "decode", "slots", law) for law in ("log n", "n"))
    info = run_info(replace(suite(), claims=claims))
    document = build_report(info, result_set(records), records, len(records))
    text = render_markdown(document)
    assert "2 claims about growth: 1 supported (1 exactly, by counting), 1 rejected" in text
    (section,) = [section for section in document.sections if section.title == "Claims"]
    assert [row[1] for row in section.tables[0].rows] == ["supported exactly", "rejected"]
    assert '"verdict": "rejected"' in render_json(info, result_set(records))


def test_claims_are_counted_once_however_many_settings_they_are_judged_in():
    records = [
        record
        for threads in (1, 2)
        for record in counted("slots", lambda n: slot_count(n, 1, 0), threads=threads)
    ]
    claims = (Claim("lmn", "decode", "slots", "log n"), Claim("lmn", "decode", "slots", "n"))
    document = build_report(run_info(replace(suite(), claims=claims)), result_set(records), [], 0)
    (said,) = [answer for answer in document.answers if "about growth" in answer]
    assert said.startswith("2 claims about growth, 4 verdicts in all settings: 2 supported")


def test_a_run_without_claims_says_nothing_of_them():
    records = series("lmn", lambda n: 1e-3)
    document = build_report(run_info(), result_set(records), records, len(records))
    assert "Claims" not in [section.title for section in document.sections]


def test_on_the_reference_run_every_claim_has_a_verdict_and_counters_are_exact():
    claims = load_suite(find_suite("scaling")).claims
    found = judge(result_set(read_run(REFERENCE).records), claims)
    assert {one.claim for one in found} == set(claims)
    for one in found:
        assert one.setting is not None
        if one.claim.metric in ("slots", "state_bytes"):
            assert (one.verdict, one.exact) == ("supported", True), one.sentence
        # a cache that outgrows the processor's own makes a Transformer's decode worse than linear
        assert one.verdict != "rejected" or one.claim.subject == "transformer", one.sentence
        assert set(one.plausible) <= set(LAWS)
