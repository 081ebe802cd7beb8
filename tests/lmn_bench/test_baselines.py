from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from bench_helpers import case, environment, failed, ok, run_info, suite, sweep

from lmn_bench.baselines import (
    find_baseline,
    find_runs,
    list_baselines,
    remove_baseline,
    save_baseline,
)
from lmn_bench.cli import run_command_line
from lmn_bench.errors import StoreError, UnknownNameError, UsageError
from lmn_bench.places import RUN_FILE
from lmn_bench.run_lock import locked
from lmn_bench.schema import Outcome, Record
from lmn_bench.store import RECORDS_FILE, RecordWriter, create_run, list_runs, read_run

ROOT = Path(__file__).parents[2]
A, B = case(length=64), case("lmn", "decode", 128)
WINDOW = 2
# Two passes of decode: a step before the window, then the window.
PASSES = (9.0, 1.0, 3.0, 9.0, 2.0, 2.0)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def stored(results, name="smoke-1", records=None, **changes):
    """A finished run on disk, as it reads."""
    finished = {"finished_at": "2026-01-01T00:01:00+00:00", **changes}
    of = finished.pop("suite", suite(decode_window=WINDOW))
    info = run_info(of, run_id=name, **finished)
    folder = create_run(results, info)
    with RecordWriter(folder) as writer:
        for record in records or [ok(A, 0), ok(A, 1, 2e-3)]:
            writer.append(record)
    return read_run(folder)


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = run_command_line([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(code), out, err

    return run


# ------------------------------------------------------------------------------- saving


def test_a_baseline_keeps_metrics_outcomes_and_machine_and_drops_samples(results):
    noisy = replace(
        ok(A, 0), warmup_samples_s=(1.0,), disturbed_samples_s=(2.0,),
        memory_timeline=((0.0, 1.0),), warnings=("busy",),
    )  # fmt: skip
    run = stored(results, records=[noisy, failed(B, Outcome.TIMEOUT)])
    saved = save_baseline("main", [run], results)
    read = read_run(saved.folder)
    assert saved.folder == results / "baselines" / "main"
    assert read.records == saved.run.records
    first, second = read.records
    assert first.metrics.items() >= noisy.metrics.items()
    assert not any((first.samples_s, first.warmup_samples_s, first.disturbed_samples_s,
                    first.memory_timeline, first.warnings))  # fmt: skip
    assert (second.outcome, second.reason) == (Outcome.TIMEOUT, "because")
    assert read.info.environment == run.info.environment
    assert read.info.suite == run.info.suite
    assert (read.info.run_id, read.info.sources) == ("main", ("smoke-1",))


def test_the_undisturbed_latency_of_an_older_record_comes_from_its_samples(results):
    prefill = replace(ok(A), samples_s=(4.0, 1.0, 2.0, 3.0, 5.0))
    decode = replace(ok(B), samples_s=PASSES)
    saved = save_baseline("main", [stored(results, records=[prefill, decode])], results)
    assert [record.metrics["latency_low_s"] for record in saved.run.records] == [2.0, 2.0]


def test_an_undisturbed_latency_that_is_there_is_kept(results):
    run = stored(results, records=[ok(A, latency_low_s=7.0)])
    (record,) = save_baseline("main", [run], results).run.records
    assert record.metrics["latency_low_s"] == 7.0


def test_samples_that_are_no_passes_are_told_with_the_case(results):
    run = stored(results, records=[replace(ok(B), samples_s=PASSES[:-1])])
    with pytest.raises(StoreError, match=r"lmn/decode/128.*5 samples are no rounds of 3"):
        save_baseline("main", [run], results)


def test_a_baseline_of_counters_alone_needs_no_samples(results):
    counted = Record.of(A, 0, Outcome.OK, metrics={"flops": 12})
    (record,) = save_baseline("main", [stored(results, records=[counted])], results).run.records
    assert record.metrics == {"flops": 12}


def test_a_baseline_can_be_made_of_a_baseline(results):
    first = save_baseline("main", [stored(results)], results)
    second = save_baseline("copy", [read_run(first.folder)], results)
    assert second.run.records == first.run.records
    assert second.run.info.sources == ("smoke-1",)


def test_a_baseline_is_replaced_only_when_told_to(results):
    save_baseline("main", [stored(results, "smoke-1")], results)
    other = stored(results, "smoke-2")
    with pytest.raises(StoreError) as caught:
        save_baseline("main", [other], results)
    assert "--force" in caught.value.hint
    assert read_run(find_baseline("main", results)).info.sources == ("smoke-1",)
    save_baseline("main", [other], results, force=True)
    assert read_run(find_baseline("main", results)).info.sources == ("smoke-2",)
    assert [path.name for path in (results / "baselines").iterdir()] == ["main"]


@pytest.mark.parametrize("name", ["", "Main", ".main", "a/b", "..", "main\n", "x" * 61, "ä"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(results, name):
    run = stored(results)
    with pytest.raises(UsageError, match="cannot be called"):
        save_baseline(name, [run], results)
    assert not (results / "baselines").exists()


def test_a_run_without_a_process_that_ended_well_is_refused(results):
    good, bad = stored(results), stored(results, "smoke-2", [failed(A, Outcome.ERROR)])
    with pytest.raises(StoreError, match="smoke-2 has no process that ended well"):
        save_baseline("main", [good, bad], results)


def test_what_makes_a_baseline_less_sure_is_noted(results):
    run = stored(results, finished_at=None, environment=environment(git_commit="aaa"))
    other = stored(results, "smoke-2", environment=environment(git_commit="bbb"))
    with (run.folder / RECORDS_FILE).open("a") as file:
        file.write("cut o")
    notes = save_baseline("main", [read_run(run.folder), other], results).notes
    assert notes == (
        "smoke-1 is not finished: cases may lack processes",
        "smoke-1 has 1 unreadable line, left out",
        "these runs are of different commits: aaa, bbb",
    )


def test_a_place_that_cannot_be_written_is_told(results):
    run = stored(results)
    (results / "baselines").write_text("a file in its place")
    with pytest.raises(StoreError, match="cannot write"):
        save_baseline("main", [run], results)


# ------------------------------------------------------------------------------- pooling


def test_the_processes_of_several_runs_stand_side_by_side(results):
    runs = [
        stored(results, "smoke-1", [ok(A, 1, 2e-3), ok(A, 0, 1e-3)], suite=suite()),
        stored(results, "smoke-2", [ok(A, 0, 3e-3), failed(A, Outcome.ERROR, replicate=1)],
               suite=suite(processes=9)),
    ]  # fmt: skip
    saved = save_baseline("main", runs, results).run
    of_a = [(r.replicate, r.metrics.get("latency_s")) for r in saved.records if r.case == A]
    assert of_a == [(0, 1e-3), (1, 2e-3), (2, 3e-3), (3, None)]
    assert saved.info.sources == ("smoke-1", "smoke-2")


def test_a_pool_dates_from_its_first_run_and_ends_with_its_last(results):
    early = stored(results, "smoke-1", created_at="2026-01-01", finished_at="2026-01-02")
    late = stored(results, "smoke-2", created_at="2026-02-01", finished_at="2026-02-02")
    info = save_baseline("main", [late, early], results).run.info
    assert (info.created_at, info.finished_at) == ("2026-01-01", "2026-02-02")


def test_runs_of_different_machines_are_refused_with_what_differs(results):
    run = stored(results)
    elsewhere = environment(cpu_model="Other CPU", memory_bytes=8 * 2**30)
    other = stored(results, "smoke-2", environment=elsewhere)
    with pytest.raises(StoreError) as caught:
        save_baseline("main", [run, other], results)
    assert "CPU Imaginary CPU and Other CPU" in caught.value.message
    assert "memory 16.0 GiB and 8.00 GiB" in caught.value.message
    assert "Python" not in caught.value.message


def test_runs_of_one_machine_under_several_host_names_are_pooled_and_it_is_told(results):
    run = stored(results)
    other = stored(results, "smoke-2", environment=environment(hostname="3f2a9c81d7e0"))
    notes = save_baseline("main", [run, other], results).notes
    assert any("2 host names (testbed, 3f2a9c81d7e0)" in note for note in notes)
    assert not any("host names" in note for note in save_baseline("one", [run], results).notes)


def test_runs_of_different_sizes_are_refused_with_what_differs(results):
    run = stored(results, suite=suite(sweep(lengths=(64,))))
    other = stored(results, "smoke-2", suite=suite(sweep(lengths=(64, 128)), time_goal_s=1.0))
    with pytest.raises(StoreError) as caught:
        save_baseline("main", [run, other], results)
    assert "sweep[0].lengths [64] and [64, 128]" in caught.value.message
    assert "measuring.time_goal_s 0.15 and 1.0" in caught.value.message


def test_the_same_run_does_not_count_twice(results):
    run = stored(results)
    baseline = save_baseline("main", [run], results).run
    with pytest.raises(StoreError, match="the same run smoke-1"):
        save_baseline("both", [run, baseline], results)


# ------------------------------------------------------------------------------- finding


def test_baselines_are_no_runs(results):
    run = stored(results)
    save_baseline("main", [run], results)
    assert list_runs(results) == [run.folder]
    assert [folder.name for folder in list_baselines(results)] == ["main"]


def test_there_are_no_baselines_where_there_is_no_folder(results):
    assert list_baselines(results) == []


def test_what_a_crash_left_over_is_no_baseline_and_is_cleared(results):
    left_over = results / "baselines" / ".main.new"
    left_over.mkdir(parents=True)
    (left_over / RUN_FILE).write_text("{}")
    assert list_baselines(results) == []
    save_baseline("main", [stored(results)], results)
    assert not left_over.exists()


def test_a_removed_baseline_is_gone_and_the_others_stay(results):
    for name in ("main", "next"):
        save_baseline(name, [stored(results, f"of-{name}")], results)
    remove_baseline("main", results)
    assert [folder.name for folder in list_baselines(results)] == ["next"]


@pytest.mark.parametrize("find", [find_baseline, remove_baseline, find_runs])
def test_a_misspelt_baseline_gets_the_nearest_one(results, find):
    save_baseline("nightly", [stored(results)], results)
    with pytest.raises(UnknownNameError, match="nigthly") as caught:
        find("nigthly", results)
    assert "did you mean 'nightly'?" in caught.value.hint


def test_a_baseline_cannot_take_the_name_of_a_run(results):
    run = stored(results, "run-1")
    with pytest.raises(StoreError, match="there is a run 'run-1'"):
        save_baseline("run-1", [run], results)


@pytest.fixture
def sides(results, monkeypatch):
    """Runs ci-1, ci-20 and run-1, baselines ci and ci-1; the results folder lies beneath us."""
    run = stored(results, "run-1")
    for name in ("ci", "ci-1"):
        save_baseline(name, [run], results)
    # A run may come to bear a baseline's name; a baseline may not take a run's.
    for name in ("ci-1", "ci-20"):
        stored(results, name)
    monkeypatch.chdir(results.parent)
    return Path("results")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ci", ["baselines/ci"]),
        ("run-1", ["run-1"]),
        ("ci-2", ["ci-20"]),
        ("r", ["run-1"]),
        ("ci-20, run", ["ci-20", "run-1"]),
        ("results/ci-1", ["ci-1"]),
        ("results/baselines/ci-1,ci", ["baselines/ci-1", "baselines/ci"]),
    ],
)
def test_a_side_of_a_comparison_is_runs_and_baselines_by_path_name_or_beginning(sides, text, found):
    assert find_runs(text, sides) == [sides / name for name in found]


def test_a_path_with_a_comma_is_taken_as_it_is(sides):
    (sides / "ci-20").rename(sides / "odd,name")
    assert find_runs("results/odd,name", sides) == [sides / "odd,name"]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("ci-1", StoreError, "both a baseline and a run: results/baselines/ci-1, results/ci-1"),
        ("c", StoreError, "fits several: results/baselines/ci, "),
        ("run-1,results/run-1", UsageError, "run-1 is named twice"),
        ("ci,,run-1", UsageError, "names nothing between two commas"),
        ("", UsageError, "no run is named"),
        ("results", StoreError, r"no run folder: it has no run\.json"),
        ("rnu-1", UnknownNameError, "unknown baseline or run 'rnu-1'"),
    ],
)
def test_a_side_that_cannot_be_told_is_an_error(sides, text, error, words):
    with pytest.raises(error, match=words):
        find_runs(text, sides)


# ------------------------------------------------------------------------------- crashes and turns


def sources(results, name="main"):
    return read_run(find_baseline(name, results)).info.sources


@pytest.mark.parametrize("at", range(6))
def test_a_crash_at_any_moment_of_a_save_keeps_the_old_baseline_or_the_new_one(
    results, monkeypatch, at
):
    """A child is killed before its `at`-th rename, or removal of a folder."""
    save_baseline("main", [stored(results, "smoke-1")], results)
    other = stored(results, "smoke-2")
    pid = os.fork()
    if pid == 0:
        calls = count()

        def dying(call):
            return lambda *given, **named: (
                os._exit(9) if next(calls) == at else call(*given, **named)
            )

        for owner, call in ((os, "rename"), (os, "replace"), (shutil, "rmtree")):
            monkeypatch.setattr(owner, call, dying(getattr(owner, call)))
        save_baseline("main", [other], results, force=True)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == (9 if at < 5 else 0)
    assert sources(results) == (("smoke-1",) if at < 4 else ("smoke-2",))
    assert [path.name for path in (results / "baselines").iterdir()] == ["main"]
    save_baseline("main", [other], results, force=True)
    assert sources(results) == ("smoke-2",)


def test_a_crash_halfway_through_a_removal_leaves_no_half_baseline(results, monkeypatch):
    save_baseline("main", [stored(results)], results)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", raising(OSError(5, "Input/output error")))
        with pytest.raises(StoreError, match="cannot remove"):
            remove_baseline("main", results)
    assert list_baselines(results) == []
    assert list((results / "baselines").iterdir()) == []


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_full_disk_keeps_the_old_baseline_and_is_left_no_fuller(results, monkeypatch):
    save_baseline("main", [stored(results, "smoke-1")], results)
    other = stored(results, "smoke-2")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", raising(OSError(errno.ENOSPC, "No space")))
        with pytest.raises(StoreError, match="the disk is full"):
            save_baseline("main", [other], results, force=True)
    assert sources(results) == ("smoke-1",)
    assert [path.name for path in (results / "baselines").iterdir()] == ["main"]


@pytest.mark.parametrize("force", [True, False])
def test_saves_of_one_name_at_once_take_turns(results, force):
    run = stored(results)
    with ThreadPoolExecutor(5) as pool:
        saves = [pool.submit(save_baseline, "main", [run], results, force=force) for _ in range(5)]
    refused = [save.exception() for save in saves if save.exception()]
    assert len(refused) == (0 if force else 4)
    assert all("already" in str(error) for error in refused)
    assert [path.name for path in (results / "baselines").iterdir()] == ["main"]


def test_a_save_that_takes_for_ever_is_not_waited_for(results, monkeypatch):
    monkeypatch.setattr("lmn_bench.baselines._WAIT_S", 0.0)
    run = stored(results)
    (results / "baselines").mkdir()
    with (
        locked(results / "baselines"),
        pytest.raises(StoreError, match="another lmn-bench is saving into"),
    ):
        save_baseline("main", [run], results)


def test_folders_that_only_look_like_what_a_crash_left_stay(results):
    strange = results / "baselines" / ".Main.new"
    strange.mkdir(parents=True)
    linked = results / "baselines" / ".next.old"
    linked.symlink_to(results)
    save_baseline("main", [stored(results)], results)
    assert strange.is_dir()
    assert linked.is_symlink()


# ------------------------------------------------------------------------------- the command


def test_the_latest_run_is_saved_listed_shown_and_removed(cli, results):
    stored(results, "smoke-1", created_at="2026-01-01")
    stored(results, "smoke-2", created_at="2026-01-02")
    code, out, err = cli("baseline", "save", "main")
    assert (code, err) == (0, "")
    assert "1 case, 2 processes each" in out
    assert "from smoke-2" in out
    code, out, _ = cli("baseline", "list", "--json")
    (row,) = json.loads(out)
    assert (row["name"], row["cases"], row["processes"]) == ("main", 1, {"least": 2, "most": 2})
    assert json.loads(cli("baseline", "show", "main", "--json")[1]) == row
    assert row["size_bytes"] == sum(p.stat().st_size for p in Path(row["folder"]).iterdir())
    shown = cli("baseline", "show", "main")[1]
    assert all(words in shown for words in ("Imaginary CPU", "2026-01-02", "smoke-2", "2 ok"))
    assert cli("baseline", "rm", "main")[0] == 0
    assert "no baselines" in cli("baseline", "list")[1]


def test_an_unfinished_run_is_saved_with_a_warning(cli, results):
    stored(results, finished_at=None)
    code, _, err = cli("baseline", "save", "main", "smoke-1")
    assert code == 0
    assert "warning: smoke-1 is not finished" in err


def test_a_baseline_is_not_measured_into(cli, results):
    saved = save_baseline("main", [stored(results, finished_at=None)], results)
    code, _, err = cli("run", "--resume", saved.folder)
    assert code == 2
    assert "main is a baseline" in err


def test_a_baseline_that_cannot_be_read_is_listed_as_such(cli, results):
    save_baseline("main", [stored(results)], results)
    (results / "baselines" / "main" / RUN_FILE).write_text("{")
    code, out, _ = cli("baseline", "list")
    assert code == 0
    assert "unreadable" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["save", "Main"], ["cannot be called 'Main'", "hint: use up to 60"]),
        (["save", "main"], ["no runs in results", "hint: make one with `lmn-bench run`"]),
        (["show", "main"], ["unknown baseline 'main'", "lmn-bench baseline list"]),
        (["sav", "main"], ["unknown command of baseline 'sav'", "did you mean 'save'?"]),
    ],
)
def test_a_mistake_ends_in_exit_code_2_with_what_to_do(cli, results, arguments, words):
    if words[0].startswith("cannot"):
        stored(results)
    code, _, err = cli("baseline", *arguments)
    assert code == 2
    assert all(word in " ".join(err.split()) for word in words)


def test_git_keeps_baselines_and_not_runs():
    paths = ["results/baselines/ci/records.jsonl", "results/ci-20260101-000000/records.jsonl"]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "not a git repository" in done.stderr:
        pytest.skip("not in a checkout")
    assert done.stdout.split() == paths[1:]
