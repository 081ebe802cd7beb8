from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from bench_helpers import GPU, case, environment, failed, ok, run_info, series, suite, sweep
from rich.console import Console

from lmn_bench.analysis.results import result_set
from lmn_bench.plan import plan
from lmn_bench.report.build import build_report
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.facts import environment_rows
from lmn_bench.report.inspect import inspect_cases, inspect_run
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.planned import plan_document
from lmn_bench.report.tabular import render_csv, render_json
from lmn_bench.report.text import render_document
from lmn_bench.schema import Claim, ModelSpec, NoiseWarning, Outcome, Record
from lmn_bench.store import BadLine
from lmn_bench.units import format_cap

CAP = 64 * 2**20
LONG_NAME = "my_package.my_subpackage.my_very_long_module_name:make_the_model_that_is_measured"


def document_of(records, **info):
    return build_report(run_info(**info), result_set(records), records, len(records))


def words_of(document):
    """Everything a document says, as one text."""
    return render_markdown(document)


def shown(document, width=80):
    """A document as the terminal shows it."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render_document(document, console))
    return console.file.getvalue()


def flat(_):
    return 1e-3


def linear(length):
    return 3e-3 * length / 300


def counted(subject, mode="prefill", lengths=(64, 128, 256, 512)):
    """One untimed process per length."""
    return [
        Record.of(
            case(subject, mode, n), 0, Outcome.OK,
            metrics={"operations": 3 * n, "flops": 64 * n, "allocator_peak_bytes": 4 * n,
                     "working_memory_bytes": 4096, "peak_memory_bytes": 8192, "floor_bytes": 4096,
                     "parameters": 8, "parameter_bytes": 32, "state_bytes": 16, "slots": 1},
        )
        for n in lengths
    ]  # fmt: skip


COUNTED = [*counted("lmn"), *counted("gru"), *counted("lmn", "decode"), *counted("gru", "decode")]
COMPLETE = [
    *series("lmn", flat, mode="decode"),
    *series("transformer", linear, mode="decode"),
    *series("gru", flat, mode="decode"),
    *series("lmn", linear),
    *series("transformer", flat),
]
CAPPED = [
    *series("lmn", flat, lengths=(64, 128), memory_cap_bytes=CAP),
    failed(case("lmn", length=256, memory_cap_bytes=CAP), Outcome.OUT_OF_MEMORY),
    *series("gru", flat, lengths=(64, 128, 256), memory_cap_bytes=CAP),
    failed(case("rnn", length=64, memory_cap_bytes=CAP), Outcome.OUT_OF_MEMORY),
]
RUNS = {
    "complete": COMPLETE,
    "only failures": [failed(case(length=n), Outcome.ERROR, "boom") for n in (64, 128)],
    "one length": series("lmn", flat, lengths=(64,)),
    "one process": [*series("lmn", flat, processes=1), *series("gru", linear, processes=1)],
    "counted": COUNTED,
    "two settings": [*series("lmn", flat, threads=1), *series("lmn", flat, threads=2)],
    "two sizes": [*series("lmn", flat), *series("lmn", flat, model=ModelSpec(64, 4, 2, 2, 1))],
    "capped": CAPPED,
    "partly failed": [ok(case(), 0), failed(case(), Outcome.KILLED, "signal 9", 1)],
    "a long name": [*series(LONG_NAME, flat), *series("lmn", linear)],
    "no records": [],
    "not a number": [
        *(
            ok(case(length=n), r, float("nan") if r == 0 else 1e-3, state_bytes=float("inf"))
            for n in (64, 128, 256)
            for r in range(3)
        ),
        *(ok(case("gru", length=64), r, float("nan")) for r in range(3)),
    ],
    "zeros": [
        ok(case(length=n), r, state_bytes=0, working_memory_bytes=0)
        for n in (64, 128)
        for r in range(3)
    ],
}

# ------------------------------------------------------------------------------- every kind of run


@pytest.mark.parametrize("name", list(RUNS))
def test_every_kind_of_run_has_a_report_in_every_form(name):
    records = RUNS[name]
    document = document_of(records)
    assert render_markdown(document).startswith("# ")
    assert shown(document)
    assert render_csv(result_set(records))
    assert json.loads(render_json(run_info(), result_set(records)))


@pytest.mark.parametrize("width", [80, 60, 120])
@pytest.mark.parametrize("name", list(RUNS))
def test_no_line_is_wider_than_the_terminal(name, width):
    lines = shown(document_of(RUNS[name]), width).splitlines()
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("name", list(RUNS))
def test_every_row_has_a_cell_for_every_column(name):
    for section in document_of(RUNS[name]).sections:
        for table in section.tables:
            assert {len(row) for row in table.rows} <= {len(table.columns)}


def test_compiled_settings_say_so_and_how_many_graphs_there_are():
    records = [
        *series("lmn", flat),
        *(
            ok(case(length=n, compile=True), r, 1e-3, compile_s=9.0, compiled_graphs=2)
            for n in (64, 128)
            for r in range(5)
        ),
    ]
    said = words_of(document_of(records))
    assert "float32, compiled, width 32" in said
    assert "**Compiled graphs**" in said
    assert said.count("**Compiling**") == 1
    rows = list(csv.DictReader(io.StringIO(render_csv(result_set(records)))))
    assert {row["compile"] for row in rows} == {"True", "False"}


# ------------------------------------------------------------------------------- answers


def answer_about(records, *needles):
    """The one answer that names all of these."""
    answers = document_of(records).answers
    (found,) = [answer for answer in answers if all(needle in answer for needle in needles)]
    return found


def test_the_answer_says_from_which_length_on_lmn_is_ahead_and_where_it_is_not():
    records = [*series("lmn", flat), *series("transformer", lambda n: 1e-3 * n / 300)]
    said = answer_about(records, "lmn is")
    assert "ahead of transformer from 512 tokens on" in said
    assert "behind it up to 256" in said
    assert "4.7× at 64" in said.replace("4.69", "4.7")


def test_the_answer_about_decode_says_how_its_time_grows():
    records = [*series("lmn", flat, mode="decode"), *series("transformer", linear, mode="decode")]
    said = answer_about(records, "per token")
    assert "with lmn the time per token stays flat within the noise (1.00× [0.975, 1.03])" in said
    assert "with transformer it grows 16× [16, 16], like n (exponent 1.00" in said


def test_a_run_where_nothing_finished_says_so_and_why():
    document = document_of(RUNS["only failures"])
    assert "Nothing was measured" in document.answers[0]
    assert "boom" in words_of(document)


def test_a_run_that_ended_at_its_caps_says_where_for_that_is_its_result():
    ends = [(4096, Outcome.OUT_OF_MEMORY), (8192, Outcome.OUT_OF_MEMORY), (64, Outcome.SKIPPED)]
    records = [failed(case("lmn", length=n, memory_cap_bytes=CAP), end) for n, end in ends]
    records += [failed(case("gru", "decode", 64, memory_cap_bytes=CAP), Outcome.KILLED)]
    (said,) = document_of(records).answers
    cap = format_cap(CAP)
    assert said == (
        f"No case finished: lmn prefill at 4,096, 8,192 tokens ran out of memory under {cap}; "
        f"gru decode at 64 tokens was killed under {cap}."
    )


@pytest.mark.parametrize("end", [Outcome.OUT_OF_MEMORY, Outcome.KILLED])
def test_running_out_of_memory_without_a_cap_is_no_result(end):
    assert "Nothing was measured" in document_of([failed(case(), end)]).answers[0]


def test_ends_that_find_no_room_in_the_sentence_are_counted():
    records = [failed(case(subject, memory_cap_bytes=CAP), Outcome.OUT_OF_MEMORY)
               for subject in ("lmn", "gru", "rnn", "lstm", "transformer", "lmn-conv")]  # fmt: skip
    records += [failed(case("gru", "decode"), Outcome.ERROR)]
    (said,) = document_of(records).answers
    assert said.endswith("; 3 more: see “Not measured, or not in every process” in the report.")


@pytest.mark.parametrize(
    ("name", "said"),
    [("one length", "Only one length was measured"), ("one process", "One process per case"),
     ("not a number", "Values that are no finite numbers were left out")],
)  # fmt: skip
def test_a_run_that_cannot_tell_says_so_first(name, said):
    assert any(said in answer for answer in document_of(RUNS[name]).answers)


def test_values_that_are_no_numbers_are_counted_with_their_case():
    said = words_of(document_of(RUNS["not a number"]))
    assert "latency is no finite number in 1 of 3 processes" in said


def test_one_process_is_said_to_give_no_interval():
    document = document_of(RUNS["one process"], of=suite(processes=1))
    assert "one process: no interval" in words_of(document)


def test_a_run_that_only_counts_says_that_nothing_was_timed_and_tells_its_counts():
    claims = (Claim("lmn", "prefill", "latency_s", "n"), Claim("lmn", "prefill", "flops", "n"))
    untimed = replace(suite(processes=1, timing=False), claims=claims)
    words = words_of(document_of(COUNTED, suite=untimed))
    assert "Nothing was timed, as asked" in words
    assert "No latency was measured for it." in words
    assert "supported exactly" in words
    assert "1 process per case, each with its own check and memory pass, untimed" in words
    for table in ("Operations", "FLOPs", "Allocator peak"):
        assert table in words
    for unwanted in ("Nothing was measured", "no interval, and no noise", "Time per decoded"):
        assert unwanted not in words


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        (({"threads": 1}, {"threads": 2}), ("1 thread", "2 threads")),
        (({"batch": 1}, {"batch": 8}), ("batch 1", "batch 8")),
        (({}, {"compile": True}), ("plain", "compiled")),
        (({}, {"model": ModelSpec(64, 2)}), ("width 32", "width 64")),
    ],
)
def test_settings_of_one_mode_are_told_apart_by_what_differs(changes, places):
    records = [record for change in changes for name in ("lmn", "gru")
               for record in series(name, flat, (64,), **change)]  # fmt: skip
    said = " ".join(document_of(records).answers)
    assert all(f"Prefill ({place}): lmn is level with gru" in said for place in places)


def test_settings_are_kept_apart():
    titles = [section.title for section in document_of(RUNS["two settings"]).sections]
    assert any("1 thread," in title for title in titles)
    assert any("2 threads," in title for title in titles)


# ------------------------------------------------------------------------------- tables


def table_of(records, caption):
    """The first table whose caption holds these words, as a dict of rows by first cell."""
    for section in document_of(records).sections:
        for table in section.tables:
            if caption in table.caption:
                return {
                    row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows
                }
    raise AssertionError(f"no table about {caption!r}")


def test_the_time_of_every_model_stands_by_length():
    rows = table_of(COMPLETE, "Time per decoded token")
    assert list(rows) == ["64", "128", "256", "512", "1,024"]
    assert rows["1,024"] == {"lmn": "1.00 ms", "transformer": "10.2 ms", "gru": "1.00 ms"}


def test_a_case_without_a_number_shows_how_it_ended():
    records = [
        *series("lmn", flat, lengths=(64,)),
        failed(case(length=128), Outcome.OUT_OF_MEMORY),
        failed(case(length=256), Outcome.SKIPPED, "out_of_memory at length 128"),
        failed(case(length=512), Outcome.INCORRECT),
    ]
    rows = table_of(records, "whole sequence")
    assert [row["lmn"] for row in rows.values()] == ["1.00 ms", "OOM", "skipped", "wrong"]


def test_an_unsure_value_is_marked():
    rows = table_of(series("lmn", flat, lengths=(64,), noise=0.2), "whole sequence")
    assert rows["64"]["lmn"].startswith("~")


def test_growth_is_named():
    rows = table_of(COMPLETE, "Growth")
    assert rows["lmn"]["grows like"] == "constant"
    assert rows["transformer"]["grows like"] == "n"


def test_under_a_cap_the_longest_length_that_fits_is_told():
    rows = table_of(CAPPED, "longest length that fits")
    assert {subject: row["64MiB"] for subject, row in rows.items()} == {
        "lmn": "128", "gru": "≥ 256", "rnn": "OOM",
    }  # fmt: skip


def by(mechanism, records):
    """The same records under caps that this enforced, 200 MiB being held before."""
    return [
        replace(r, cap_mechanism=mechanism, metrics={**r.metrics, "cap_floor_bytes": 200 * 2**20})
        for r in records
    ]


KILLED = [
    *by("cgroup v2", series("lmn", flat, lengths=(64,), memory_cap_bytes=CAP)),
    *by("cgroup v2", [failed(case("lmn", length=128, memory_cap_bytes=CAP), Outcome.KILLED)]),
]


def test_a_report_says_by_what_caps_are_enforced_and_what_that_counts():
    document = document_of(KILLED)
    assert any("under a cap of 64MiB by cgroup v2" in answer for answer in document.answers)
    said = words_of(document)
    assert "enforced by cgroup v2 (see Method)" in said
    assert "Memory caps by cgroup v2: memory.max, without swap" in said
    assert "cpu, cap 64MiB by cgroup v2" in said


def test_a_cap_on_cuda_is_said_to_be_emulated():
    records = by("cuda fraction", series("lmn", flat, device="cuda", memory_cap_bytes=CAP))
    assert "emulated on torch's allocator" in words_of(document_of(records))


def test_a_report_of_records_that_tell_no_mechanism_names_none():
    said = words_of(document_of(CAPPED))
    assert "enforced by" not in said
    assert "Memory caps by" not in said


def test_the_end_at_a_cap_is_told_beside_the_longest_length_that_fits():
    rows = table_of(KILLED, "longest length that fits")
    assert rows["lmn"]["64MiB"] == "64 (killed)"


@pytest.mark.parametrize(
    ("ends", "cell"),
    [
        ([Outcome.OK, Outcome.OUT_OF_MEMORY], "64 (not in every process)"),
        ([Outcome.OK, Outcome.OK], "≥ 64"),
    ],
)
def test_a_length_that_fits_in_some_processes_only_is_told_so(ends, cell):
    one = case(length=64, memory_cap_bytes=CAP)
    records = [ok(one, r) if end is Outcome.OK else failed(one, end, replicate=r)
               for r, end in enumerate(ends)]  # fmt: skip
    assert table_of(records, "longest length that fits")["lmn"]["64MiB"] == cell


def test_what_was_not_tried_under_a_cap_is_not_told():
    records = [
        *series("lmn", flat, lengths=(64, 128)),
        failed(case("lmn", length=64, memory_cap_bytes=CAP), Outcome.SKIPPED),
    ]
    assert not any("cap" in answer for answer in document_of(records).answers)


def test_times_of_capped_cases_are_left_out_of_the_tables_of_times():
    records = [*series("lmn", flat, lengths=(64,)),
               *series("lmn", linear, lengths=(64,), memory_cap_bytes=CAP)]  # fmt: skip
    tables = [table for section in document_of(records).sections for table in section.tables]
    (times,) = [table for table in tables if "whole sequence" in table.caption]
    assert times.rows == (("64", "1.00 ms"),)


def test_the_parameters_of_every_model_are_stated():
    records = [*series("lmn", flat), ok(case("gru"), parameters=1005, parameter_bytes=4020)]
    rows = table_of(records, "width 32")
    assert rows["gru"]["parameters"] == "1,005"
    assert "+0.50%" in rows["gru"].values()


def test_what_was_not_measured_is_told_with_its_reason():
    records = [ok(case(), 0), failed(case(), Outcome.KILLED, "signal 9", 1),
               failed(case("gru"), Outcome.SKIPPED, "no NVIDIA GPU on this machine")]  # fmt: skip
    said = words_of(document_of(records))
    assert "no NVIDIA GPU on this machine" in said
    assert "1 of 2 processes ok: signal 9" in said


def test_the_method_counts_replicates_and_warns_of_noise():
    warning = NoiseWarning("busy", "load average 3", "close other programs")
    said = words_of(
        build_report(
            run_info(environment=environment(warnings=(warning,))), result_set(COMPLETE),
            COMPLETE, 1000,
        )
    )  # fmt: skip
    assert f"{len(COMPLETE)} of 1,000 planned processes" in said
    assert "load average 3" in said


# ------------------------------------------------------------------------------- Markdown and text

NASTY = "a|b *bold* _it_ `code` <script>alert(1)</script> [link](x) \\ two\nlines"


def test_markdown_turns_no_data_into_markup():
    table = Table(NASTY, ("model", NASTY), ((NASTY, NASTY),), NASTY)
    document = Document(NASTY, NASTY, (NASTY,), (Section(NASTY, (NASTY,), (table,)),))
    text = render_markdown(document)
    assert not re.search(r"(?<!\\)(<script|\*bold|_it_|`code|\[link)", text)


def test_a_bar_in_a_name_makes_no_new_column():
    table = Table("", ("model", "a|b"), (("x|y", "1"),))
    text = render_markdown(Document("t", "s", (), (Section("S", (), (table,)),)))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}


def test_text_turns_no_data_into_markup():
    document = Document("[bold]t", "[red]s", ("[x]a",), (Section("[b]S", ("[i]say",)),))
    text = shown(document)
    assert all(word in text for word in ("[bold]t", "[red]s", "[x]a", "[b]S", "[i]say"))


def test_a_table_too_wide_for_the_terminal_is_cut_by_columns_with_names_repeated():
    columns = ("length", *(f"subject-{i}" for i in range(20)))
    table = Table("", columns, (("64", *(f"{i}.00 ms" for i in range(20))),))
    text = shown(Document("t", "s", (), (Section("S", (), (table,)),)))
    assert all(column in text for column in columns)
    assert text.count("length") > 1
    assert "…" not in text


# ------------------------------------------------------------------------------- CSV and JSON


def test_csv_has_a_row_per_case_and_metric_that_agrees_with_the_records():
    rows = list(csv.DictReader(io.StringIO(render_csv(result_set(COMPLETE)))))
    (row,) = [
        r for r in rows
        if r["metric"] == "latency_s" and r["mode"] == "decode" and r["length"] == "1024"
        and r["subject"] == "transformer"
    ]  # fmt: skip
    assert float(row["median"]) == pytest.approx(linear(1024))
    assert float(row["low"]) == pytest.approx(linear(1024) * 0.98)
    assert float(row["high"]) == pytest.approx(linear(1024) * 1.02)
    assert (row["unit"], row["processes"], row["outcome"]) == ("s", "5", "ok")


def test_csv_keeps_whole_numbers_whole_and_absent_ones_absent():
    rows = list(csv.DictReader(io.StringIO(render_csv(result_set([*CAPPED, ok(case())])))))
    assert {row["memory_cap_bytes"] for row in rows} == {str(CAP), ""}


def test_csv_has_one_row_for_a_case_without_a_number():
    rows = list(csv.DictReader(io.StringIO(render_csv(result_set(RUNS["only failures"])))))
    assert [(row["outcome"], row["reason"], row["metric"]) for row in rows] == [
        ("error", "boom", ""), ("error", "boom", ""),
    ]  # fmt: skip


def test_json_holds_the_run_and_every_case_with_its_metrics():
    data = json.loads(render_json(run_info(), result_set(CAPPED)))
    assert data["run"]["run_id"] == run_info().run_id
    by_id = {one["case_id"]: one for one in data["cases"]}
    good = by_id[case("gru", length=256, memory_cap_bytes=CAP).id]
    assert good["metrics"]["latency_s"]["value"] == pytest.approx(1e-3)
    bad = by_id[case("lmn", length=256, memory_cap_bytes=CAP).id]
    assert (bad["outcome"], bad["metrics"]) == ("out_of_memory", {})


def test_json_tells_mechanism_budget_floor_and_verdict_of_every_cap():
    data = json.loads(render_json(run_info(), result_set([*KILLED, ok(case())])))
    assert [one["cap"] for one in data["cases"]] == [
        {"budget_bytes": CAP, "mechanism": "cgroup v2", "floor_bytes": 200 * 2**20,
         "verdict": verdict}
        for verdict in ("fits", "killed")
    ] + [None]  # fmt: skip


def test_csv_tells_the_verdict_of_every_cap():
    rows = list(csv.DictReader(io.StringIO(render_csv(result_set([*KILLED, ok(case())])))))
    told = {(r["cap_mechanism"], r["cap_floor_bytes"], r["cap_verdict"]) for r in rows}
    floor = str(200 * 2**20)
    assert told == {("cgroup v2", floor, "fits"), ("cgroup v2", floor, "killed"), ("", "", "")}


# ------------------------------------------------------------------------------- plan and show


def test_a_plan_says_how_much_there_is_to_do_and_what_is_skipped():
    of = suite(sweep(threads=(1, 8)), processes=3)
    document = plan_document(of, plan(of, environment()), environment())
    assert "6 cases × 3 processes = 18 measurements" in document.answers[0]
    said = words_of(document)
    assert "6 cases are skipped, see below" in said
    assert "8 threads asked for, 4 cores here" in said


def test_a_plan_of_ones_own_model_says_what_it_cannot_forecast():
    of = suite(sweep(subjects=("mine:make",)))
    document = plan_document(of, plan(of, environment()), environment())
    assert "not counting 3 cases of models of your own" in document.answers[0]


def test_show_tells_outcomes_failures_and_lines_left_out(tmp_path):
    records = [ok(case()), failed(case("gru"), Outcome.ERROR, "boom")]
    document = inspect_run(
        run_info(), tmp_path, records, [BadLine(3, '{"schema":1,"ca', "not JSON")]
    )
    said = words_of(document)
    assert "2: 1 ok, 1 error" in said
    assert "boom" in said
    assert "not JSON" in said
    assert "lmn-bench run --resume" in said


def test_show_of_a_case_sets_its_processes_side_by_side():
    document = inspect_cases(run_info(), [ok(case(), 1, 2e-3), ok(case(), 0, 1e-3)])
    (table,) = document.sections[0].tables
    assert table.columns == ("metric", "process 0", "process 1")
    assert ("latency", "1.00 ms", "2.00 ms") in table.rows


def test_show_of_a_case_says_how_each_process_fared_under_its_cap():
    said = [text for one in inspect_cases(run_info(), KILLED).sections for text in one.sentences]
    assert "process 0: fits 64MiB by cgroup v2 on top of 200 MiB" in said
    assert "process 0: killed under 64MiB by cgroup v2 on top of 200 MiB" in said


def test_the_machine_is_told_with_its_gpus():
    rows = environment_rows(environment(gpus=(GPU,), memory_limit_bytes=2**30))
    assert ("GPU", "Imaginary H1, 80.0 GiB, driver 1.0") in rows
    assert ("container limit", "1.00 GiB") in rows


def test_models_without_parameters_are_reported():
    records = [ok(case("my:bare", length=n), parameters=0, parameter_bytes=0) for n in (64, 128)]
    assert "my:bare" in words_of(document_of(records))


def test_what_a_model_wrote_to_standard_error_is_told_once_for_all_its_processes():
    told = [
        replace(ok(case("my:model", length=n)), stderr=("model.py:3: UserWarning: slow path",))
        for n in (64, 128)
    ]
    words = words_of(document_of(told))
    assert words.count("UserWarning: slow path") == 1
    assert "my:model wrote to standard error" in words
