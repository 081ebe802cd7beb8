"""Which settings carry no claim about times, what is said instead, and what is still said."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from bench_helpers import case, ok, run_info, series, suite
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.analysis.claims import judge
from lmn_bench.analysis.crossover import crossover
from lmn_bench.analysis.results import result_set
from lmn_bench.disturbance import has_waited, is_steady, lost_share
from lmn_bench.report.build import build_report
from lmn_bench.report.method import disturbed_sentences
from lmn_bench.report.tabular import render_json
from lmn_bench.schema import Claim, Watched

SETTING = case().setting


def watched(lost=0.0, counted=None, **changes):
    """A process of one thread on 2 cores that had no core for this share of its timed rounds."""
    standard = Watched(
        wall_s=1.0, cores=2, own_cpu_s=0.4, others_cpu_s=2 * lost, stolen_s=0.0, switches=9,
        load_average=1.0, pressure_s=lost, timed_s=0.2, timed_cpu_s=0.2 * (1 - lost),
        waited_s=0.2 * lost, counted_s=0.1, counted_waited_s=0.1 * (counted or 0.0),
    )  # fmt: skip
    return replace(standard, **changes)


def crossing(seen=lambda record: None, **rest):
    """lmn and transformer whose times cross, each record with what was seen beside it."""
    records = [
        *series("lmn", lambda n: 2e-3, **rest),
        *series("transformer", lambda n: 1e-5 * n, **rest),
    ]
    return [replace(record, watched=seen(record)) for record in records]


def answers(records, **measuring):
    """What a report says in sentences."""
    of = suite(**measuring)
    return build_report(run_info(of), result_set(records), records, len(records)).answers


def text(records):
    """All that a report says, tables included."""
    document = build_report(run_info(), result_set(records), records, len(records))
    tables = [table for section in document.sections for table in section.tables]
    return " ".join([*document.answers, *(table.caption + table.note for table in tables)])


BUSY = watched(0.95, counted=0.95, others_cpu_s=1.9)


# ------------------------------------------------------------------------------- quiet


@pytest.mark.parametrize("seen", [None, watched(), watched(0.04, counted=0.04)])
def test_on_a_quiet_machine_nothing_is_withdrawn(seen):
    records = crossing(lambda _: seen)
    assert result_set(records).disturbed(SETTING) is None
    assert "ahead of transformer from" in text(records)


def test_a_few_processes_beside_other_work_withdraw_nothing():
    records = crossing(lambda r: watched(0.9, counted=0.0) if r.replicate == 0 else watched())
    assert result_set(records).disturbed(SETTING) is None


def test_rounds_that_waited_now_and_then_withdraw_nothing():
    """They were set apart; the others are as good as ever."""
    assert result_set(crossing(lambda _: watched(0.2))).disturbed(SETTING) is None


@given(st.integers(0, 4), st.floats(1.5, 100))
def test_one_slow_process_of_five_withdraws_nothing(slow, factor):
    records = [
        replace(r, metrics={**r.metrics, "latency_s": r.metrics["latency_s"] * factor})
        if r.replicate == slow else r
        for r in crossing()
    ]  # fmt: skip
    assert result_set(records).disturbed(SETTING) is None


# ------------------------------------------------------------------------------- disturbed


def test_a_run_beside_other_work_names_it_and_claims_no_crossover():
    said = answers(crossing(lambda _: BUSY))
    assert said[0] == (
        "Prefill: cannot tell which model is ahead in time, nor how times grow; the machine was "
        "disturbed: other processes took 1.9 of 2 cores during 50 of 50 processes, which waited "
        "for a core 95% of the time; 10 of 10 cases have too few processes that had their cores to "
        "themselves. Measure again when it is quiet."
    )
    assert not any("ahead of" in one or "overtakes" in one for one in said)


def test_tables_claim_nothing_about_disturbed_times_either():
    whole = text(crossing(lambda _: BUSY))
    assert "Where lmn is ahead" not in whole
    assert "Growth of the time" not in whole
    assert "these times are no measure of the models" in whole


def test_json_has_no_standing_in_time_but_what_was_seen():
    records = [*crossing(lambda _: BUSY), *crossing(lambda _: watched(), mode="train")]
    data = json.loads(render_json(run_info(), result_set(records), records))
    assert [one["setting"]["mode"] for one in data["standings"]] == ["train"]
    (disturbed,) = data["disturbed"]
    assert disturbed["setting"]["mode"] == "prefill"
    assert (disturbed["beside"], disturbed["processes"], disturbed["lost_share"]) == (50, 50, 0.95)
    assert data["cases"][0]["ends"] == {"ok": 5}


def test_the_method_tells_of_shared_cores_that_withdraw_nothing():
    records = crossing(lambda r: watched(0.2) if r.replicate == 0 else watched())
    (said,) = disturbed_sentences(records)
    assert said.startswith(
        "10 of 50 processes shared their cores with other work, which took 0.4 of 2 cores: they "
        "had none for 20% of the time"
    )


def test_the_method_of_a_quiet_run_tells_of_no_disturbance():
    assert disturbed_sentences(crossing(lambda _: watched())) == []


def test_memory_is_told_of_a_disturbed_machine_all_the_same():
    assert "Working memory" in text(crossing(lambda _: BUSY))
    series_of = result_set(crossing(lambda _: BUSY)).series
    found = crossover(
        series_of(SETTING, "lmn"), series_of(SETTING, "transformer"), "working_memory_bytes"
    )
    assert found is not None


def test_a_disturbed_setting_leaves_others_alone():
    records = [*crossing(lambda _: BUSY), *crossing(lambda _: watched(), mode="train")]
    results = result_set(records)
    assert results.disturbed(SETTING) is not None
    assert results.disturbed(case(mode="train").setting) is None


def test_claims_about_times_cannot_be_told_and_those_about_memory_can():
    claims = [Claim("lmn", "prefill", metric, "constant") for metric in
              ("latency_s", "tokens_per_s", "working_memory_bytes")]  # fmt: skip
    judged = judge(result_set(crossing(lambda _: BUSY)), claims)
    assert [("disturbed" in one.sentence) for one in judged] == [True, True, False]
    assert {one.verdict for one in judged[:2]} == {"cannot tell"}


def test_half_of_all_processes_beside_other_work_is_too_much():
    seen = lambda r: watched(0.5) if (r.replicate + r.length // 64) % 2 else watched()  # noqa: E731
    disturbed = result_set(crossing(seen, processes=4)).disturbed(SETTING)
    assert (disturbed.beside, disturbed.processes, disturbed.lacking) == (20, 40, 0)


def test_too_few_processes_that_did_not_wait_withdraw_a_setting():
    seen = lambda r: watched(0.3, counted=0.3) if r.length == 64 and r.replicate < 3 else watched()  # noqa: E731
    disturbed = result_set(crossing(seen)).disturbed(SETTING)
    assert (disturbed.beside, disturbed.lacking, disturbed.cases) == (6, 2, 10)
    assert disturbed.words == (
        "other processes took 0.6 of 2 cores during 6 of 50 processes, which waited for a core 30% "
        "of the time; 2 of 10 cases have too few processes that had their cores to themselves"
    )


def test_long_rounds_beside_a_little_work_withdraw_nothing():
    """Every round of seconds waits for a tenth of a second; that moves no headline."""
    records = crossing(lambda _: watched(0.1, counted=0.1))
    assert result_set(records).disturbed(SETTING) is None


def test_a_spread_far_beyond_the_usual_is_a_finding_of_its_own():
    records = crossing(noise=0.4)
    disturbed = result_set(records).disturbed(SETTING)
    assert disturbed.words == "in a quarter of the cases processes differ by a factor of 7 or more"
    assert "ahead of" not in text(records)


def test_a_spread_alone_is_not_put_down_to_the_machine():
    said = answers(crossing(noise=0.4))[0]
    assert "the machine was busy, or a model's time varies by itself" in said
    assert "was disturbed" not in said


def test_of_one_model_alone_it_is_said_that_growth_cannot_be_told():
    alone = [record for record in crossing(lambda _: BUSY) if record.subject == "lmn"]
    assert answers(alone)[0].startswith("Prefill: cannot tell how times grow; the machine was")


def test_others_that_take_a_core_beside_are_named_though_nothing_waited():
    said = answers(crossing(lambda _: watched(others_cpu_s=1.1)))
    assert said[0].endswith(
        "the machine was disturbed: other processes took 1.1 of 2 cores during 50 of 50 "
        "processes. Measure again when it is quiet."
    )
    assert not any("ahead of" in one or "overtakes" in one for one in said)


def test_others_that_take_little_withdraw_nothing():
    assert result_set(crossing(lambda _: watched(others_cpu_s=0.5))).disturbed(SETTING) is None


def test_one_process_that_waited_is_told_without_others():
    records = crossing(lambda _: BUSY, processes=1)
    assert result_set(records).disturbed(SETTING).lacking == 10


# ------------------------------------------------------------------------------- what was lost


def test_a_model_with_more_threads_than_cores_waits_for_itself():
    seen = watched(0.5, timed_cpu_s=0.4, counted_waited_s=0.05)
    record = replace(ok(case()), watched=seen)
    assert lost_share(record) == 0.0
    assert not has_waited(record)


def test_time_that_a_hypervisor_took_is_lost_too():
    seen = watched(stolen_s=1.0, timed_cpu_s=0.1)
    assert lost_share(replace(ok(case()), watched=seen)) == pytest.approx(0.5)


def test_no_more_than_all_the_time_is_lost():
    seen = watched(1.4, timed_cpu_s=0.1, counted_waited_s=0.1)
    assert lost_share(replace(ok(case()), watched=seen)) == 1.0


def test_where_nobody_tells_who_waited_a_lack_of_cores_speaks():
    seen = watched(0.0, others_cpu_s=1.5, waited_s=None, counted_waited_s=None)
    assert lost_share(replace(ok(case()), watched=seen)) == pytest.approx(0.5)
    assert lost_share(replace(ok(case(threads=2)), watched=seen)) == pytest.approx(0.75)


def test_of_an_older_record_nothing_is_known():
    assert lost_share(ok(case())) is None
    assert not has_waited(ok(case()))


def test_a_block_in_which_a_process_waited_is_not_steady():
    quiet = [ok(case(), r, reference_loop_s=7e-5) for r in range(3)]
    assert is_steady(quiet)
    assert not is_steady([*quiet[:2], replace(quiet[2], watched=BUSY)])
