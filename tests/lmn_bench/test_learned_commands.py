"""Commands that read runs of trainings, and those that have no use for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench_helpers import run_info, series
from learned_helpers import LEARNING, OTHER_SHA, TASKS, TEXTS, group, learned_run

from lmn_bench.cli import run_command_line
from lmn_bench.store import dump_info, dump_record

OTHER = replace(LEARNING, corpus_name="plays", corpus_sha256=OTHER_SHA)
SUITE = """
name = "learns"
[learning]
steps = 10
[[sweep]]
modes = ["learn"]
subjects = ["lmn"]
lengths = [16]
"""


@pytest.fixture
def results(tmp_path):
    """Three stored runs that learned, and one that measured calls."""
    learned = {"texts": learned_run([*TEXTS, *TASKS]), "again": learned_run(group({"lmn": 2.0})),
               "plays": learned_run(group({"lmn": 1.0}, learning=OTHER), OTHER)}  # fmt: skip
    for name, run in learned.items():
        store(tmp_path / name, run.info, run.records)
    store(tmp_path / "calls", run_info(), series("lmn", lambda _: 1e-3))
    return tmp_path


def store(folder: Path, info, records):
    folder.mkdir()
    (folder / "run.json").write_text(dump_info(replace(info, run_id=folder.name)))
    lines = [dump_record(record).rstrip("\n") + "\n" for record in records]
    (folder / "records.jsonl").write_text("".join(lines))


def told(capsys, *arguments):
    """Exit code, stdout, and stderr as one line."""
    code = run_command_line([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, " ".join(captured.err.split())


def test_a_run_that_learned_is_reported(results, capsys):
    code, out, _ = told(capsys, "report", results / "texts")
    assert code == 0
    assert "the lowest mean validation loss is lstm's" in " ".join(out.split())


@pytest.mark.parametrize("form", ["html", "csv", "json", "md"])
def test_a_run_that_learned_is_written_in_every_format(results, tmp_path, form, capsys):
    path = tmp_path / f"report.{form}"
    assert told(capsys, "report", results / "texts", "-o", path)[0] == 0
    text = path.read_text()
    assert "validation_loss" in text or "Validation loss" in text


def test_several_runs_that_learned_are_reported_together(results, capsys):
    runs = [results / name for name in ("texts", "again", "plays", "calls")]
    code, out, _ = told(capsys, "report", *runs)
    assert code == 0
    assert "plays · Method" in out
    code, out, _ = told(capsys, "report", *runs, "--json")
    assert [len(run.get("learned", [])) for run in json.loads(out)["runs"]] == [4, 1, 1, 0]


def test_a_run_that_learned_is_shown(results, capsys):
    code, out, _ = told(capsys, "show", results / "texts")
    assert code == 0
    assert "Trainings that did not end well" in out


def test_compare_sends_runs_of_one_lesson_to_the_report(results, capsys):
    code, _, err = told(capsys, "compare", results / "texts", results / "again")
    assert code == 5
    assert f"lmn-bench report {results / 'texts'} {results / 'again'}" in err


def test_compare_names_both_texts_where_they_differ(results, capsys):
    code, _, err = told(capsys, "compare", results / "again", results / "plays")
    assert code == 5
    assert "no lesson in common: again has python-docs (sha256 2a95af4ac93f…)" in err
    assert "plays has plays (sha256 86c4e6aa9db7…) in characters, 1,000 steps" in err


def test_compare_refuses_calls_against_trainings(results, capsys):
    code, _, err = told(capsys, "compare", results / "calls", results / "plays")
    assert code == 5
    assert "plays learned, calls measured calls" in err


def test_a_baseline_keeps_no_trainings(results, capsys):
    code, _, err = told(capsys, "baseline", "save", "kept", results / "again",
                        "--results", results)  # fmt: skip
    assert code == 2
    assert "hint: set learned runs side by side with `lmn-bench report" in err
    assert not (results / "baselines").exists()


def test_ab_refuses_a_suite_that_learns(tmp_path, capsys):
    path = tmp_path / "learns.toml"
    path.write_text(SUITE)
    code, _, err = told(capsys, "ab", "--base", "HEAD", "--suite", path, "--results", tmp_path)
    assert code == 2
    assert "the suite 'learns' is of mode learn; ab measures single calls" in err


def test_sizes_are_not_foretold_from_trainings(results, capsys):
    code, _, err = told(capsys, "size", "--context", "1K", "--from", results / "again")
    assert code == 2
    assert "did not measure what sizes are foretold from" in err


def test_a_dry_run_of_a_suite_that_learns_speaks_of_trainings(tmp_path, capsys):
    path = tmp_path / "learns.toml"
    path.write_text(SUITE)
    code, out, _ = told(capsys, "run", "--suite", path, "--dry-run", "--results", tmp_path)
    assert code == 0
    assert "1 case × 1 seed = 1 training" in out
