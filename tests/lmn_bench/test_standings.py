"""Who is compared with whom, and that every form of a report says the same of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from bench_helpers import case, failed, ok, run_info, series, suite

from lmn_bench.analysis.results import result_set
from lmn_bench.cli.reports import read_runs
from lmn_bench.errors import UsageError
from lmn_bench.report.build import build_report
from lmn_bench.report.findings import Findings
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.page import page_of
from lmn_bench.report.standings import rivals
from lmn_bench.report.tabular import render_json
from lmn_bench.schema import Claim, Outcome, RunInfo
from lmn_bench.store import RecordWriter, create_run, read_info

USER, OTHER_USER = "mine:make", "yours:make"
BUILTIN = ("lmn", "lmn-conv", "transformer", "lstm", "gru", "rnn")
REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference-scaling"


def same(_):
    return 1e-3


def findings(records, asked=None):
    """What is found in records of one setting, and the setting."""
    results = result_set(records)
    return Findings(results, asked), results.cases[0].case.setting


def report(records, of=None):
    return build_report(run_info(of), result_set(records), records, len(records))


# ------------------------------------------------------------------------------- who


@pytest.mark.parametrize(
    ("subjects", "asked", "reference"),
    [
        (("gru", "lmn"), None, "lmn"),
        (("gru", "rnn"), None, "gru"),
        (("lmn", USER, OTHER_USER), None, USER),
        (("lmn", USER), "lmn", "lmn"),
        (("lmn", USER, OTHER_USER), OTHER_USER, OTHER_USER),
        (("lmn", "gru"), "gru", "gru"),
        (("lmn", "gru"), "rnn", "lmn"),  # another setting of the run has it
    ],
)
def test_the_others_are_compared_with_the_one_that_was_asked_for_or_the_users_own(
    subjects, asked, reference
):
    found, setting = findings([r for name in subjects for r in series(name, same)], asked)
    assert found.reference(setting) == reference
    assert {one.reference for one in found.standings(setting)} == {reference}
    assert {one.other for one in found.standings(setting)} == set(subjects) - {reference}


def test_a_model_of_the_users_without_a_single_result_is_no_reference_by_default():
    records = [*series("lmn", same), failed(case(USER, length=64), Outcome.ERROR)]
    found, setting = findings(records)
    assert found.reference(setting) == "lmn"


@pytest.mark.parametrize(
    ("reference", "subjects", "alone"),
    [
        ("lmn", BUILTIN, ["transformer"]),
        ("lmn", (*BUILTIN, USER, OTHER_USER), ["transformer", USER, OTHER_USER]),
        (USER, (*BUILTIN, USER), ["transformer", "lmn"]),
        ("transformer", BUILTIN, ["lmn"]),
        ("lmn", ("lmn", "gru", "rnn", "lstm"), ["gru", "rnn", "lstm"]),
    ],
)
def test_few_rivals_the_transformer_and_users_models_have_sentences_of_their_own(
    reference, subjects, alone
):
    found = rivals(reference, subjects)
    assert [name for name, is_alone in found if is_alone] == alone
    assert {name for name, _ in found} == set(subjects) - {reference}


def test_a_users_model_is_told_with_factor_and_crossover_as_a_builtin_one_is():
    records = [*series(USER, same), *series("lmn", lambda n: 1e-3 * n / 300)]
    said = report(records).answers[0]
    assert f"{USER} is ahead of lmn from 512 tokens on (3.41× at 1,024)" in said
    assert "behind it up to 256 (by up to 4.69× at 64); it overtakes at about 300" in said


def test_too_few_processes_are_told_with_what_ended_the_others():
    others = series("transformer", lambda n: 9e-3, (64, 128), processes=3)
    others[-1] = failed(case("transformer", length=128), Outcome.TIMEOUT, "took longer than 60 s")
    (said, *_) = report([*series("lmn", same, (64, 128), processes=3), *others]).answers
    assert "3 processes of lmn and 2 processes of transformer: no interval" in said
    assert "at 128 transformer finished in 2 of 3 processes: 1 timed out" in said


# ------------------------------------------------------------------------------- one voice

CROSSED = [*series("lmn", same), *series("transformer", lambda n: 1e-3 * n / 300),
           *series("gru", lambda n: 1e-3, noise=0.3), *series("rnn", same),
           *series("lstm", same, processes=1)]  # fmt: skip


def standings_of(records, of=None):
    """The standings of the JSON by the name of the other subject."""
    data = json.loads(render_json(run_info(of), result_set(records)))
    return {one["against"]: one for one in data["standings"]}


def test_json_has_the_words_of_the_sentences_and_the_table():
    found = standings_of(CROSSED)
    by_length = {c["length"]: c["standing"] for c in found["transformer"]["comparisons"]}
    assert by_length == {64: "behind", 128: "behind", 256: "behind", 512: "ahead", 1024: "ahead"}
    assert (found["transformer"]["ahead_from"], found["transformer"]["behind_until"]) == (512, 256)
    assert found["transformer"]["margin"] == pytest.approx(0.1)
    last = {name: one["comparisons"][-1]["standing"] for name, one in found.items()}
    assert last == {"transformer": "ahead", "gru": "cannot tell", "rnn": "level",
                    "lstm": "cannot tell"}  # fmt: skip
    whys = {name: one["comparisons"][-1]["why"] for name, one in found.items()}
    assert (whys["gru"], whys["lstm"], whys["rnn"]) == ("wide interval", "few processes", None)
    document = report(CROSSED)
    (table,) = [t for s in document.sections for t in s.tables if t.caption.startswith("How lmn")]
    cells = {row[0]: row[-1].split("] ")[-1].split("× ")[-1] for row in table.rows}
    assert cells == last
    (others,) = [one for one in document.answers if "against the others" in one]
    assert "level with rnn" in others
    assert "cannot tell against" in others


def test_json_tells_what_was_not_compared_and_why():
    records = [*series("lmn", same, (64, 128)), *series("gru", same, (64,)),
               failed(case("gru", length=128), Outcome.ERROR, "boom")]  # fmt: skip
    (gap,) = standings_of(records)["gru"]["missing"]
    assert (gap["length"], gap["b"]["kind"]) == (128, "failed")
    assert "boom" in gap["b"]["words"]


def test_settings_under_a_cap_and_runs_without_times_have_no_standings():
    capped = [*series("lmn", same, memory_cap_bytes=2**24),
              *series("gru", same, memory_cap_bytes=2**24)]  # fmt: skip
    assert standings_of(capped) == {}
    untimed = [replace(r, metrics={k: v for k, v in r.metrics.items() if k != "latency_s"})
               for r in CROSSED]  # fmt: skip
    assert standings_of(untimed) == {}
    assert not any("is ahead" in one or "cannot tell" in one for one in report(untimed).answers)


@pytest.mark.parametrize("name", ["made up", "reference run"])
def test_growth_is_the_same_number_in_answers_table_and_claims(name):
    if name == "made up":
        of = replace(suite(), claims=(Claim("lmn", "decode", "latency_s", "constant"),))
        records = [*series("lmn", same, mode="decode"), *series("gru", same, mode="decode")]
        document = report(records, of)
    else:
        (run,) = read_runs([str(REFERENCE)], REFERENCE.parent)
        document = build_report(run.info, run.results, run.records, run.planned)
    tables = [table for section in document.sections for table in section.tables]
    growth = next(t for t in tables if t.caption.startswith("Growth of the time"))
    (number,) = [row[2] for row in growth.rows if row[0] == "lmn"]
    assert re.fullmatch(r"[\d.]+× \[[\d.]+, [\d.]+\]", number)
    assert f"with lmn the time per token stays flat within the noise ({number}" in str(
        document.answers
    )
    claims = [row for t in tables if "verdict" in t.columns for row in t.rows]
    (said,) = [row[2] for row in claims if row[0].startswith("lmn, decode: latency")]
    assert f"from end to end {number};" in said


# ------------------------------------------------------------------------------- pointers

POINTED = [
    CROSSED,
    [],
    [failed(case(length=n), Outcome.ERROR) for n in (64, 128)],
    [failed(case(name, memory_cap_bytes=2**24), Outcome.OUT_OF_MEMORY) for name in BUILTIN],
    [ok(case(length=n), r, float("nan") if r else 1e-3) for n in (64, 128) for r in range(3)],
]


@pytest.mark.parametrize("records", POINTED)
def test_whatever_a_sentence_points_to_is_there(records):
    of = replace(suite(), claims=(Claim("lmn", "prefill", "latency_s", "n"),))
    document = report(records, of)
    said = " ".join(document.answers)
    titles = {section.title for section in document.sections}
    pointed = set(re.findall(r"see “([^”]+)”", said))
    assert pointed <= titles
    assert "below" not in said
    assert {f"## {title}" for title in pointed} <= set(render_markdown(document).splitlines())


# ------------------------------------------------------------------------------- what is stored


@pytest.fixture
def stored(tmp_path):
    """A folder with a run of lmn and gru, whose suite compares with gru."""
    of = replace(suite(), reference="gru")
    folder = create_run(tmp_path, run_info(of))
    with RecordWriter(folder) as writer:
        for record in (*series("lmn", same, (64,)), *series("gru", lambda n: 2e-3, (64,))):
            writer.append(record)
    return folder


def test_a_run_remembers_its_reference(stored):
    assert read_info(stored).suite.reference == "gru"
    (run,) = read_runs([str(stored)], stored.parent)
    assert build_report(run.info, run.results, run.records, run.planned).answers[0] == (
        "Prefill: gru is behind lmn at 64 (by 2.00×)."
    )
    assert "gru is behind lmn" in page_of([run])


def test_a_report_may_compare_with_another(stored):
    (run,) = read_runs([str(stored)], stored.parent, None, "lmn")
    document = build_report(run.info, run.results, run.records, run.planned)
    assert document.answers[0] == "Prefill: lmn is ahead of gru at 64 (2.00×)."


def test_of_several_runs_one_needs_the_reference_and_the_others_keep_their_own(stored, tmp_path):
    (sweep,) = suite().sweeps
    of = replace(suite(), sweeps=(replace(sweep, subjects=("rnn", "gru")),))
    other = create_run(tmp_path / "other", run_info(of))
    text = (stored / "records.jsonl").read_text().replace('"lmn', '"rnn')
    (other / "records.jsonl").write_text(text)
    runs = read_runs([str(stored), str(other)], tmp_path, None, "lmn")
    said = [build_report(r.info, r.results, r.records, r.planned).answers[0] for r in runs]
    assert said[0] == "Prefill: lmn is ahead of gru at 64 (2.00×)."
    assert said[1].startswith("Prefill: rnn is")


def test_a_reference_that_a_run_lacks_is_told_with_those_that_it_has(stored):
    with pytest.raises(UsageError) as caught:
        read_runs([str(stored)], stored.parent, None, "rnn")
    assert "has no model 'rnn'" in caught.value.message
    assert caught.value.hint == "it has lmn, gru"


def test_runs_from_before_there_was_a_reference_are_read():
    info = read_info(REFERENCE)
    assert isinstance(info, RunInfo)
    assert info.suite.reference is None


# ------------------------------------------------------------------------------- no parameters


def test_a_model_without_parameters_divides_nothing():
    bare = [ok(case(USER, length=n), r, parameters=0, parameter_bytes=0)
            for n in (64, 128) for r in range(3)]  # fmt: skip
    records = [*series("lmn", same, (64, 128)), *bare]
    said = render_markdown(report(records))
    assert f"{USER} has no parameters, lmn 1,000." in said
    assert f"| {USER} | 0 | – |" in said
