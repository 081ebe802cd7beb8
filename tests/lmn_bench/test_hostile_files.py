"""What hostile, broken and endless files end in: an error that says what came, no traceback."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from bench_helpers import case, ok, run_info
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.cli import run_command_line
from lmn_bench.cli.refusals import refusal
from lmn_bench.errors import ExitCode, StoreError, SuiteError, UsageError
from lmn_bench.gates import read_gate
from lmn_bench.grid import MAX_CASES, cases_of
from lmn_bench.lessons import Learning
from lmn_bench.plan import all_cases, plan
from lmn_bench.reading import DataError, read_bytes, read_stored, toml_data
from lmn_bench.schema import Environment, Measuring, Suite, Sweep
from lmn_bench.store import create_run, dump_record, list_runs, read_run
from lmn_bench.suite import load_suite, parse_suite

GOOD_SWEEP = {"subjects": "lmn", "modes": "train", "lengths": 64}


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command in this process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = run_command_line([str(one) for one in arguments])
        return code, *capsys.readouterr()

    return run


def stored(folder: Path, *lines: str, name: str = "made-up-1"):
    """A run folder with a good record and these lines after it."""
    run = create_run(folder, run_info(run_id=name))
    (run / "records.jsonl").write_text(dump_record(ok(case())) + "".join(f"{x}\n" for x in lines))
    return run


def line(**changes) -> str:
    """A line of a record with some of its fields replaced; a metric is given by its key."""
    data = json.loads(dump_record(ok(case(), 1)))
    metrics = {key: changes.pop(key) for key in [*changes] if key in data["metrics"]}
    return json.dumps({**data, **changes, "metrics": {**data["metrics"], **metrics}})


# --- suites -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [{"subjects": [["lmn"]]}, {"task": [["text"]]}, {"task": [{}], "modes": ["learn"]},
     {"subjects": [{"a": 1}], "modes": ["learn"]}, {"modes": [["train"]]}, {"width": [[1]]}],
)  # fmt: skip
def test_a_list_where_a_name_belongs_is_a_mistake_like_any_other(keys):
    with pytest.raises(SuiteError) as caught:
        parse_suite({"name": "a", "sweep": [{**GOOD_SWEEP, **keys}]}, "a.toml")
    assert any(next(iter(keys)) in problem.place for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 3000, "more than 32 deep"),
        ("a" + ".b" * 3000 + " = 1", "more than 32 deep"),
        ("a = " + "9" * 4000, "64 bits"),
        ("a = " + "9" * 9000, "64 bits"),
        ("a = 0x" + "f" * 9000, "64 bits"),
        ("a = ", "is not valid TOML"),
    ],
)
def test_toml_is_read_within_bounds(text, words):
    with pytest.raises(DataError, match=words):
        toml_data(text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_of_64_bits_are_read(number):
    assert toml_data(f"a = {number}") == {"a": number}


def test_a_suite_that_never_ends_is_not_read_to_its_end(cli):
    Path("endless.toml").symlink_to("/dev/zero")
    code, _, err = cli("train", "--config", "endless.toml", "-o", "m.safetensors")
    assert code == ExitCode.USAGE
    assert "endless.toml holds more than 1MiB" in err
    assert "a device that never ends" in err


def test_a_pipe_is_read_to_its_end_and_not_beyond_the_limit(tmp_path):
    reads, writes = os.pipe()
    os.write(writes, b"x" * 100)
    os.close(writes)
    assert read_bytes(Path(f"/dev/fd/{reads}"), 100) == b"x" * 100
    os.close(reads)
    (tmp_path / "large").write_bytes(b"x" * 101)
    with pytest.raises(UsageError, match="more than 100B"):
        read_bytes(tmp_path / "large", 100)


def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(OSError, match="Is a pipe or a device"):
        read_stored(tmp_path / "run.json", 100)


# --- grids ------------------------------------------------------------------------------------


def test_a_grid_is_counted_before_it_is_made():
    many = [*range(1, 201)]
    axes = {"width": [64], "heads": [1], "batch": many, "threads": many, "layers": many}
    with pytest.raises(SuiteError) as caught:
        parse_suite({"name": "a", "sweep": [{**GOOD_SWEEP, **axes}]}, "a.toml")
    assert "8,000,000 cases are too many: at most 10,000" in caught.value.problems[0].message


def test_processes_are_counted_too():
    sweep = {**GOOD_SWEEP, "batch": [*range(1, 101)], "threads": [*range(1, 21)]}
    with pytest.raises(SuiteError) as caught:
        parse_suite({"name": "a", "measuring": {"processes": 1000}, "sweep": [sweep]}, "a.toml")
    assert "2,000,000 processes" in caught.value.problems[0].message


def test_too_many_values_or_tables_are_refused_unread():
    sweep = {**GOOD_SWEEP, "batch": [*range(1, 202)]}
    with pytest.raises(SuiteError, match="mistake"):
        parse_suite({"name": "a", "sweep": [sweep]}, "a.toml")
    with pytest.raises(SuiteError, match="mistake"):
        parse_suite({"name": "a", "sweep": [GOOD_SWEEP] * 1001}, "a.toml")


@pytest.mark.parametrize(
    ("sweep", "learning"),
    [
        (Sweep(("lmn", "gru"), ("train", "decode"), (64, 128), width=(8, 16)), None),
        (Sweep(("lmn",), ("learn",), (64, 128), task=("text", "mqar-64")), Learning()),
        (Sweep(("lmn",), ("learn",), (), task=("mqar-64",), learning_rate=(1e-3, 1.0)), Learning()),
    ],
)  # fmt: skip
def test_the_count_is_that_of_the_cases(sweep, learning):
    suite = Suite("a", "", Measuring(), (sweep,), learning=learning)
    assert cases_of(sweep) == len(all_cases(suite))


def test_a_plan_of_the_longest_lengths_and_widest_models_takes_no_longer(environment_of_tests):
    sweep = Sweep(("lmn", "lmn-published", "transformer", "gru"),
                  ("train", "prefill", "decode", "stream", "read"), (2**32, 2**40),
                  width=(64, 2**20), heads=(1,), batch=(1, 2**40))  # fmt: skip
    planned = plan(Suite("a", "", Measuring(), (sweep,)), environment_of_tests)
    assert all(item.skip or item.seconds for item in planned)


@pytest.fixture
def environment_of_tests() -> Environment:
    return run_info().environment


def test_a_width_is_refused_by_its_size_and_not_by_trying_divisors(cli):
    code, _, err = cli("size", "--context", "4K", "--width", "9223372036854775807")
    assert code == ExitCode.USAGE
    assert "1<=x<=1048576" in err


@pytest.mark.parametrize(
    "words",
    [("--threads", "9" * 5000), ("--set", "batch=" + "9" * 5000), ("--set", "width=" + "[" * 3000),
     ("--set", "subjects=[['lmn']]"), ("--lengths", "9" * 5000), ("--set", "timeout_s=1e308")],
    ids=["threads", "batch", "width", "subjects", "lengths", "timeout"],
)  # fmt: skip
def test_options_no_one_means_are_refused_in_a_line_that_fits(cli, words):
    code, _, err = cli("run", "--dry-run", *words)
    assert code == ExitCode.USAGE
    assert "Traceback" not in err


# --- stored runs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latency_s": 1e308}, "its latency_s is 1e+308"),
        ({"latency_s": -1}, "its latency_s is -1"),
        ({"latency_s": 10**400}, "its latency_s is 1000"),
        ({"latency_s": 5e-324}, "its latency_s is"),
        ({"mode": "dream"}, "unknown mode 'dream' (of a newer lmn-bench?)"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"dtype": "int3"}, "unknown dtype 'int3'"),
        ({"length": 0}, "length 0 is out of range"),
        ({"samples_s": [0.001, -1]}, "a value of its samples_s is -1"),
        ({"samples_s": [0.001, float("nan")]}, "a value of its samples_s is nan"),
        ({"model": {"width": 0}}, "width 0 is out of range"),
        ({"mode": "learn"}, "mode learn lacks its lesson"),
        ({"replicate": -1}, "replicate -1 is out of range"),
    ],
)
def test_a_record_with_values_that_nothing_measures_is_named_and_left_out(tmp_path, changes, words):
    run = read_run(stored(tmp_path, line(**changes)))
    assert len(run.records) == 1
    assert [bad.number for bad in run.bad_lines] == [2]
    assert words in run.bad_lines[0].reason


def test_lines_nested_deep_or_with_half_characters_are_no_obstacle(tmp_path):
    run = read_run(stored(tmp_path, "[" * 200_000, '{"case_id": "\\ud800"}', "\x00", "9" * 5000))
    assert len(run.records) == 1
    assert [bad.number for bad in run.bad_lines] == [2, 3, 4, 5]


def test_a_metric_that_is_no_number_is_left_to_whoever_sums_up(tmp_path):
    run = read_run(stored(tmp_path, line(latency_s=float("inf"))))
    assert len(run.records) == 2


@pytest.mark.parametrize(
    "broken",
    ["[" * 200_000, "", "[]", '{"schema": 99}', '{"created_at": ' + "9" * 5000 + "}"],
)
def test_one_bad_folder_does_not_take_the_others_from_a_listing(cli, tmp_path, broken):
    stored(tmp_path / "results", name="good-1")
    bad = stored(tmp_path / "results", name="bad-1")
    (bad / "run.json").write_text(broken)
    code, out, _ = cli("list", "runs")
    assert code == ExitCode.OK
    assert "good-1" in out
    assert "unreadable" in out


def test_a_report_of_several_runs_names_the_one_that_cannot_be_read(cli, tmp_path):
    stored(tmp_path / "results", name="good-1")
    (stored(tmp_path / "results", name="bad-1") / "run.json").write_text("{")
    code, out, err = cli("report", "good-1", "bad-1")
    assert code == ExitCode.OK
    assert "good-1" in out
    assert "a run is left out: cannot read results/bad-1/run.json" in err
    code, _, err = cli("report", "bad-1")
    assert code == ExitCode.USAGE


def test_a_run_that_asks_for_a_grid_without_end_is_not_planned(tmp_path):
    run = stored(tmp_path)
    data = json.loads((run / "run.json").read_text())
    data["suite"]["sweeps"][0] |= {axis: [*range(1, 400)] for axis in ("width", "batch", "layers")}
    (run / "run.json").write_text(json.dumps(data))
    with pytest.raises(StoreError, match=f"cases are too many: at most {MAX_CASES:,}"):
        read_run(run)


def test_a_mode_of_a_newer_version_is_left_out_by_name(cli, tmp_path):
    run = stored(tmp_path / "results")
    data = json.loads((run / "run.json").read_text())
    data["suite"]["sweeps"][0]["modes"].append("dream")
    (run / "run.json").write_text(json.dumps(data))
    code, out, err = cli("report", "made-up-1")
    assert code == ExitCode.OK
    assert "Prefill" in out
    assert "made-up-1: mode 'dream' left out (of a newer lmn-bench?)" in err


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path, monkeypatch):
    good, shut = stored(tmp_path, name="good-1"), tmp_path / "shut"
    shut.mkdir()
    honest = os.lstat

    def refuse(path, *more):
        if str(path).startswith(str(shut)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return honest(path, *more)

    # As root, nothing is forbidden.
    monkeypatch.setattr(os, "lstat", refuse)
    assert list_runs(tmp_path) == [shut, good]


def test_a_looping_link_in_a_baseline_is_no_obstacle(cli, tmp_path):
    stored(tmp_path / "results" / "baselines", name="kept")
    loop = tmp_path / "results" / "baselines" / "kept" / "loop"
    loop.symlink_to(loop)
    code, out, _ = cli("baseline", "list")
    assert code == ExitCode.OK
    assert "kept" in out


@pytest.mark.parametrize("text", ['{"base": 1, "new": "b"}', '{"base": ["a"]}', "[" * 200_000, "1"])
def test_a_gate_of_other_kinds_is_told(tmp_path, text):
    (tmp_path / "gate.json").write_text(text)
    with pytest.raises(StoreError, match="is not what `lmn-bench ab` wrote"):
        read_gate(tmp_path)


# --- the last net -----------------------------------------------------------------------------


def test_a_path_that_is_too_long_is_the_users(cli):
    for words in (
        ("show", "x" * 5000),
        ("compare", "x" * 5000, "y"),
        ("validate", "x" * 300 + "/"),
    ):
        code, _, err = cli(*words)
        assert code == ExitCode.USAGE
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "cannot use /a: Permission"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found"), "TMPDIR"),
        (OSError(errno.EMFILE, "Too many open files"), "the system refuses what is needed: Too"),
        (RuntimeError("Symlink loop from '/a'"), "cannot follow a link"),
        (OSError(errno.EBADF, "Bad file descriptor"), None),
        (ValueError("ours"), None),
    ],
)  # fmt: skip
def test_what_the_system_refused_is_told_apart_from_our_mistakes(error, words):
    told = refusal(error)
    assert (told is None) if words is None else (words in f"{told.message} {told.hint}")


def test_a_file_with_very_many_mistakes_names_some_of_them(cli, tmp_path):
    (tmp_path / "many.toml").write_text('name = "a"\n' + "".join(f"k{i} = 1\n" for i in range(500)))
    code, _, err = cli("validate", "many.toml")
    assert code == ExitCode.USAGE
    assert "  and 4" in err
    assert len(err.splitlines()) < 120


def test_a_suite_too_large_to_be_one_is_refused(tmp_path):
    (tmp_path / "large.toml").write_text("#" * (2**20 + 1))
    with pytest.raises(SuiteError) as caught:
        load_suite(tmp_path / "large.toml")
    assert "more than 1MiB" in caught.value.problems[0].message
