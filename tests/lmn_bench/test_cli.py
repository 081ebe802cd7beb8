"""The command line as a person uses it: what it prints, and the exit code it ends in."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench_helpers import environment, run_info, series

from lmn_bench.cli import run_command_line
from lmn_bench.devices import load_devices
from lmn_bench.environment import read_gpus
from lmn_bench.learning.names import CORPORA, TASKS
from lmn_bench.metrics import METRICS
from lmn_bench.schema import ALL_MODES, DTYPES, Outcome, Record
from lmn_bench.store import RecordWriter, create_run, dump_record, list_runs, read_run
from lmn_bench.subjects.names import BUILTIN, LEARNERS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMMANDS = (
    "run", "report", "list", "fit", "show", "baseline", "train", "generate", "validate", "env",
)  # fmt: skip
TINY = (
    "--device", "cpu", "--lengths", "16", "--processes", "1", "--set", "time_goal_s=0.001",
    "--set", "counters=false",
)  # fmt: skip
MISTAKES = """
name = "mistakes"
[measuring]
proceses = 3
[[sweep]]
subjects = ["lmm"]
modes = ["train"]
lengths = [0]
"""


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command in this process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    path = [str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))

    def run(*arguments):
        code = run_command_line([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(code), out, err

    return run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results folder of one tiny run of smoke with two models."""
    folder = tmp_path_factory.mktemp("cli") / "results"
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "lmn_bench", "run", "--models", "lmn,gru", *TINY, "--seed", "5",
         "--results", folder],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


@pytest.fixture
def no_gpu():
    if read_gpus():
        pytest.skip("this machine has a GPU")


# ------------------------------------------------------------------------------- help


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from lmn_bench.cli import run_command_line; run_command_line(['--help']);"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'pydantic', 'altair', 'psutil',"
        "'vl_convert', 'jinja2'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


def test_help_documents_the_exit_codes(cli):
    code, out, _ = cli("--help")
    assert code == 0
    assert "Exit codes: 0 ok" in out
    assert "130 interrupted" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    code, out, err = cli(command, "--help")
    assert "\\" not in out
    assert (code, err) == (0, "")
    assert f"Usage: lmn-bench {command}" in out


def test_the_version_is_told(cli):
    code, out, _ = cli("--version")
    assert code == 0
    assert out.startswith("lmn-bench ")


# ------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["unknown command 'rnu'", "did you mean 'run'?"]),
        (["run", "--suite", "scalign"], ["unknown suite 'scalign'", "did you mean 'scaling'?"]),
        (["run", "--suite", "no/such.toml"], ["no/such.toml: no such file"]),
        (["run", "--models", "lnm"], ["--models: unknown model 'lnm'", "did you mean 'lmn'?"]),
        (["run", "--modes", "trian"], ["--modes: unknown mode", "did you mean 'train'?"]),
        (["run", "--lengths", "2^9..2^7"], ["--lengths", "descends"]),
        (["run", "--device", "cudaa"], ["--device", "did you mean 'cuda'?"]),
        (["run", "--memory-cap", "12 parsec"], ["--memory-cap", "cannot read '12 parsec'"]),
        (["run", "--memory-cap", "64"], ["--memory-cap", "without a unit", '"64MiB"']),
        (["generate", "x", "--temperature", "0,8"], ["'0,8' is not a valid", "hint: write 0.8"]),
        (["run", "--steps", "1,000"], ["'1,000' is not a valid integer", "hint: write 1000"]),
        (["run", "--memory-cap", "1B"], ["--memory-cap", "nothing can run under"]),
        (["run", "--cap-mechanism", "ram"], ["--cap-mechanism", "unknown cap mechanism 'ram'"]),
        (["run", "--processes", "0"], ["--processes", "0 is not in the range"]),
        (["run", "--counters-only", "--processes", "2"], ["--counters-only and --processes"]),
        (["run", "--counters-only", "--set", "timing=true"], ["--counters-only and --set timing"]),
        (["run", "--set", "widht=3"], ["unknown key 'widht'", "did you mean 'width'?"]),
        (["run", "--set", "heads=5"], ["--set heads: 5 heads do not divide"]),
        (["run", "--modles", "lmn"], ["No such option", "--models"]),
        (["validate", "smok"], ["unknown suite 'smok'", "did you mean 'smoke'?"]),
        (["list", "model"], ["'model' is not one of", "models"]),
        (["report"], ["no runs in results", "lmn-bench run"]),
        (["report", "smoke-1"], ["unknown run 'smoke-1'"]),
        (["show", "smoke-1"], ["unknown run 'smoke-1'"]),
        (["run", "--resume"], ["no runs in results"]),
        (["run", "--resume", "x", "--models", "lmn"], ["--resume takes its suite, options"]),
        (["run", "--resume", "x", "--dry-run"], ["--resume takes its suite, options"]),
        (["run", "--resume", "x", "--seed", "3"], ["--resume takes its suite, options"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_ends_in_2_and_is_told_on_stderr_with_what_to_do(cli, arguments, words):
    code, out, err = cli(*arguments)
    assert code == 2
    assert out == ""
    for word in words:
        assert word in err
    assert "Traceback" not in err


def test_a_mistake_measures_nothing(cli, tmp_path):
    cli("run", "--models", "lnm")
    assert list(tmp_path.iterdir()) == []


def test_validate_tells_all_mistakes_at_once(cli, tmp_path):
    (tmp_path / "bad.toml").write_text(MISTAKES)
    code, _, err = cli("validate", "bad.toml")
    assert code == 2
    assert "bad.toml has 3 mistakes" in err
    for place in ("measuring.proceses", "sweep[0].subjects[0]", "sweep[0].lengths"):
        assert f"  {place}: " in err


def test_validate_tells_mistakes_as_json_too(cli, tmp_path):
    (tmp_path / "bad.toml").write_text(MISTAKES)
    code, out, _ = cli("validate", "bad.toml", "--json")
    told = json.loads(out)
    assert code == 2
    assert not told["valid"]
    assert len(told["problems"]) == 3


@pytest.mark.parametrize("name", ["smoke", "scaling", "memory", "paper", "speed", "ci", "sizing"])
def test_validate_finds_the_shipped_suites_sound(cli, name):
    code, out, _ = cli("validate", name)
    assert code == 0
    assert "ok" in out


def test_cuda_asked_for_by_name_without_a_gpu_is_an_error(cli, tmp_path, no_gpu):
    code, _, err = cli("run", "--device", "cuda")
    assert code == 2
    assert "no NVIDIA GPU on this machine" in err
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_cuda_cases_out_and_says_so_in_one_line(cli, tmp_path, no_gpu):
    (tmp_path / "both.toml").write_text(
        'name = "both"\n[[sweep]]\nsubjects = "lmn"\nmodes = "prefill"\nwidth = 16\n'
        'heads = 2\nlengths = 8\nthreads = [1, 9999]\ndevice = ["cpu", "cuda"]\n'
    )
    code, out, err = cli("run", "--suite", "both.toml", "--counters-only")
    assert code == 0, err
    assert err.count("CUDA cases left out: no NVIDIA GPU on this machine (2 cases).") == 1
    assert "1 ok, 1 skipped" in out
    assert "Skipped: 1 × 9999 threads asked for" in out
    (folder,) = (tmp_path / "results").iterdir()
    assert {record.device for record in read_run(folder).records} == {"cpu"}


def test_a_run_with_skipped_cuda_cases_of_before_is_resumed_and_complete(cli, tmp_path, no_gpu):
    (tmp_path / "both.toml").write_text(
        'name = "both"\n[measuring]\nprocesses = 1\n[[sweep]]\nsubjects = "lmn"\n'
        'modes = "prefill"\nwidth = 16\nheads = 2\nlengths = 8\ndevice = ["cpu", "cuda"]\n'
    )
    assert cli("run", "--suite", "both.toml", "--counters-only")[0] == 0
    (folder,) = (tmp_path / "results").iterdir()
    (measured,) = read_run(folder).records
    other = replace(measured.case, device="cuda")
    old = Record.of(other, 0, Outcome.SKIPPED, reason="no NVIDIA GPU on this machine")
    with (folder / "records.jsonl").open("a") as file:
        file.write(dump_record(old))
    code, out, err = cli("run", "--resume", folder)
    assert code == 0, err
    assert "Skipped: 1 × no NVIDIA GPU on this machine." in out
    assert "2 of 2 planned processes recorded" in (folder / "report.md").read_text()


def test_the_plan_for_programs_has_no_cases_left_out(cli, no_gpu):
    code, out, err = cli("run", "--dry-run", "--models", "lmn", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert {case["device"] for case in said["cases"]} == {"cpu"}
    assert said["left_out"] == {"no NVIDIA GPU on this machine": 8}


def test_a_suite_with_nothing_for_this_machine_is_an_error(cli, tmp_path, no_gpu):
    (tmp_path / "gpu.toml").write_text(
        'name = "gpu"\n[[sweep]]\nsubjects = "lmn"\nmodes = "train"\nlengths = 8\ndevice = "cuda"\n'
    )
    code, _, err = cli("run", "--suite", "gpu.toml")
    assert code == 2
    assert "nothing to measure: no NVIDIA GPU" in err


def test_a_results_folder_that_cannot_be_written_is_found_before_measuring(cli, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = cli("run", *TINY, "--results", "file/results")
    assert code == 2
    assert "cannot create the folder" in err
    assert "--results" in err


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("rogue_subjects:goood", "did you mean 'good'?"),
        ("rogue_subject:good", "no module named 'rogue_subject'"),
        ("rogue_subjects:cannot_be_built", "no such size"),
    ],
)
def test_a_model_of_ones_own_that_cannot_be_built_is_told_before_measuring(
    cli, tmp_path, model, words
):
    code, _, err = cli("run", "--models", model, *TINY)
    assert code == 2
    assert words in err
    assert not (tmp_path / "results").exists()


def test_a_run_of_another_machine_is_not_continued(cli, tmp_path):
    create_run(tmp_path / "results", run_info(environment=environment(hostname="elsewhere")))
    code, _, err = cli("run", "--resume")
    assert code == 2
    assert "was measured on elsewhere" in err


def test_a_run_folder_of_a_newer_schema_is_refused(cli, tmp_path):
    folder = create_run(tmp_path / "results", run_info())
    data = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**data, "schema": 99}))
    for command in (["report"], ["show"], ["run", "--resume"]):
        code, _, err = cli(*command)
        assert code == 2
        assert "upgrade lmn-bench" in err


def test_a_reader_that_goes_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "lmn_bench", "list", "metrics"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=writing, stderr=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------- plans and lists


def test_a_dry_run_shows_the_plan_and_measures_nothing(cli, tmp_path):
    code, out, _ = cli("run", "--suite", "scaling", "--dry-run")
    assert code == 0
    assert "Plan of scaling" in out
    assert "× 5 processes" in out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_lists_every_case_with_its_forecast_as_json(cli):
    code, out, _ = cli("run", "--dry-run", "--json", "--models", "lmn,gru", "--lengths", "16")
    plan = json.loads(out)
    assert code == 0
    assert {row["subject"] for row in plan["cases"]} == {"lmn", "gru"}
    for row in plan["cases"]:
        assert row["predicted_memory_bytes"] > 0
        assert row["predicted_seconds"] > 0


@pytest.mark.parametrize(
    ("what", "names"),
    [
        (
            "suites",
            {
                "smoke",
                "scaling",
                "memory",
                "paper",
                "speed",
                "ci",
                "sizing",
                "sizing-training",
                "language",
                "language-quick",
                "recall",
                "recall-quick",
            },
        ),
        ("models", {*BUILTIN, *LEARNERS, "lmn@INIT", "package.module:factory"}),
        ("tasks", {"text", *TASKS}),
        ("corpora", {*CORPORA, "PATH"}),
        ("modes", set(ALL_MODES)),
        ("metrics", set(METRICS)),
        ("devices", set(load_devices())),
        ("runs", set()),
    ],
)
def test_a_list_names_all_there_is(cli, what, names):
    code, out, _ = cli("list", what, "--json")
    assert code == 0
    assert {row["name"] for row in json.loads(out)} == names


@pytest.mark.parametrize("what", ["suites", "models", "modes", "metrics", "devices", "runs"])
def test_a_list_fits_the_terminal(cli, what):
    code, out, _ = cli("list", what)
    assert code == 0
    # An address that is longer stays one word: it can be copied.
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in out.splitlines())


def test_env_tells_the_machine_as_json_too(cli):
    _, text, _ = cli("env")
    code, out, _ = cli("env", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["cpu_model"] in text
    assert facts["logical_cores"] >= 1


def test_env_tells_every_mechanism_of_memory_caps_or_why_it_lacks(cli):
    _, text, _ = cli("env")
    found = json.loads(cli("env", "--json")[1])["cap_mechanisms"]
    assert [one["name"] for one in found] == ["rlimit", "cgroup", "cuda fraction"]
    assert all(one["detail"] in text for one in found)


def test_env_measures_ceilings_when_asked(cli):
    code, out, _ = cli("env", "--ceilings", "--threads", 1, "--json")
    found = json.loads(out)["ceilings"]
    assert code == 0
    assert {(c["device"], c["threads"], c["dtype"]) for c in found} >= {
        ("cpu", 1, dtype) for dtype in DTYPES
    }
    assert all(c["matrix_flops_per_s"] > 1e8 and c["copy_bytes_per_s"] > 1e7 for c in found)


def test_env_without_ceilings_says_nothing_of_them(cli):
    assert "ceilings" not in json.loads(cli("env", "--json")[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--threads", 1], "--threads is for --ceilings"),
     (["--ceilings", "--threads", 4096], "4096 threads asked for")],
)  # fmt: skip
def test_threads_that_ceilings_cannot_have_are_told(cli, arguments, words):
    code, _, err = cli("env", *arguments)
    assert code == 2
    assert words in err


# ------------------------------------------------------------------------------- a real run


def test_a_run_keeps_the_ceilings_that_its_suite_asks_for(cli, tmp_path):
    code, _, _ = cli("run", "--models", "lmn", "--modes", "prefill", *TINY, "--lengths", 64,
                     "--set", "ceilings=true", "--results", tmp_path)  # fmt: skip
    assert code == 0
    (ceiling,) = read_run(list_runs(tmp_path)[0]).info.ceilings
    assert (ceiling.device, ceiling.threads, ceiling.dtype) == ("cpu", 1, "float32")
    assert "of ceiling" in cli("report", "--results", tmp_path)[1]
    assert "matrix product" in cli("show", "--results", tmp_path)[1]


def test_a_run_writes_one_folder_with_run_records_and_report(results):
    (folder,) = list_runs(results)
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "records.jsonl", "report.md", "report.html",
    }  # fmt: skip
    assert (folder / "report.md").read_text().startswith("# smoke: ")


def test_a_run_measures_every_case_of_its_plan_once(results, cli):
    _, out, _ = cli("run", "--dry-run", "--json", "--models", "lmn,gru", *TINY)
    planned = {row["case_id"] for row in json.loads(out)["cases"]}
    run = read_run(list_runs(results)[0])
    assert sorted(record.case_id for record in run.records) == sorted(planned)
    assert not run.bad_lines


def test_a_run_records_its_seed_suite_and_end(results):
    info = read_run(list_runs(results)[0]).info
    assert info.seed == 5
    assert info.suite.name == "smoke"
    assert info.finished_at


def test_a_run_that_only_counts_is_reported_in_every_form(cli):
    code, out, _ = cli("run", "--counters-only", "--models", "lmn,gru", "--device", "cpu",
                       "--modes", "decode,prefill", "--lengths", "8,16", "--set", "ceilings=true",
                       "--seed", "1")  # fmt: skip
    assert code == 0
    assert "Nothing was timed, as asked" in out
    (run,) = list_runs(Path("results"))
    assert all("operations" in record.metrics for record in read_run(run).records)
    for form in ("text", "md", "html", "csv", "json"):
        code, out, _ = cli("report", "--format", form, "--claims", "scaling")
        assert code == 0
        assert "operations" in out.lower()
    assert cli("show")[0] == 0


def test_the_last_line_of_a_run_says_what_to_type_next(results):
    last = (results / "stdout.txt").read_text().splitlines()[-1]
    assert last.startswith("next: lmn-bench report ")


def test_a_run_shows_no_progress_where_stderr_is_no_terminal(results):
    assert "so far, about" not in (results / "stderr.txt").read_text()


@pytest.mark.parametrize("command", ["report", "show"])
def test_a_run_is_shown_within_the_terminal(cli, results, command):
    code, out, _ = cli(command, "--results", results)
    assert code == 0
    assert "smoke" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_report_as_csv_agrees_with_the_records(cli, results):
    code, out, _ = cli("report", "smoke", "--format", "csv", "--results", results)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    reported = {
        (row["case_id"], row["metric"]): float(row["median"]) for row in rows if row["metric"]
    }
    for record in read_run(list_runs(results)[0]).records:
        for key, value in record.metrics.items():
            assert reported[record.case_id, key] == pytest.approx(value)


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_a_report_as_json_parses(cli, results, option):
    code, out, _ = cli("report", *option, "--results", results)
    data = json.loads(out)
    assert code == 0
    assert {one["subject"] for one in data["cases"]} == {"lmn", "gru"}


def test_a_report_as_markdown_is_the_one_in_the_folder(cli, results):
    code, out, _ = cli("report", "--format", "md", "--results", results)
    assert code == 0
    assert out == (list_runs(results)[0] / "report.md").read_text()


def test_a_report_judges_the_claims_of_another_suite_when_asked(cli, results):
    _, without, _ = cli("report", "--results", results)
    code, judged, _ = cli("report", "--results", results, "--claims", "scaling")
    assert code == 0
    assert "claims about growth" in judged
    assert "claims about growth" not in without


def test_a_report_compares_with_the_model_that_is_asked_for(cli, tmp_path):
    # Made up: of what a busy machine measured, nothing is said.
    records = [*series("lmn", lambda n: n * 1e-6), *series("gru", lambda n: n * 1e-5)]
    with RecordWriter(create_run(tmp_path, run_info())) as writer:
        for record in records:
            writer.append(record)
    code, out, _ = cli("report", "--results", tmp_path, "--reference", "gru", "--json")
    found = {(one["reference"], one["against"]) for one in json.loads(out)["standings"]}
    assert (code, found) == (0, {("gru", "lmn")})
    _, out, _ = cli("report", "--results", tmp_path, "--json")
    found = {(one["reference"], one["against"]) for one in json.loads(out)["standings"]}
    assert found == {("lmn", "gru")}


@pytest.mark.parametrize("form", ["text", "md", "json", "html"])
def test_a_model_that_is_not_in_the_run_is_no_reference(cli, results, form):
    code, out, err = cli("report", "--results", results, "--reference", "rnn", "--format", form)
    assert (code, out) == (2, "")
    assert "has no model 'rnn'" in err
    assert "it has lmn, gru" in err


def test_a_run_refuses_a_reference_that_it_does_not_measure(cli):
    code, _, err = cli("run", "--dry-run", "--models", "lmn,gru", "--reference", "rnn")
    assert code == 2
    assert "--reference: no sweep measures 'rnn'" in err
    assert "it has lmn, gru" in err


def test_a_run_keeps_the_reference_that_it_was_given(cli):
    code, out, _ = cli("run", "--dry-run", "--models", "lmn,gru", "--reference", "gru", "--json")
    assert (code, json.loads(out)["suite"]["reference"]) == (0, "gru")


@pytest.mark.parametrize(
    "name", ["report.md", "report.csv", "report.json", "report.txt", "report.html"]
)
def test_a_report_goes_to_a_file_in_the_form_of_its_ending(cli, results, tmp_path, name):
    code, out, err = cli("report", "-o", name, "--results", results)
    assert (code, out) == (0, "")
    assert f"wrote {name}" in err
    assert (tmp_path / name).read_text()


def test_markdown_can_have_its_charts_beside_it(cli, results, tmp_path):
    code, _, _ = cli("report", "-o", "pr.md", "--charts", "svg", "--results", results)
    assert code == 0
    pictures = re.findall(r"\((pr-charts/[^)]+\.svg)\)", (tmp_path / "pr.md").read_text())
    assert pictures
    assert all((tmp_path / name).read_text().startswith("<svg") for name in pictures)


@pytest.mark.parametrize("options", [["--charts", "svg"], ["--charts", "png", "-o", "r.html"]])
def test_charts_without_a_markdown_file_are_refused(cli, results, options):
    code, _, err = cli("report", *options, "--results", results)
    assert code == 2
    assert "--format md and -o FILE" in err


def test_several_runs_are_reported_side_by_side(cli, results, tmp_path):
    (one,) = list_runs(results)
    other = tmp_path / "other"
    shutil.copytree(one, other)
    text = (other / "run.json").read_text()
    (other / "run.json").write_text(text.replace(one.name, "another-run"))
    for form in ("html", "md", "csv", "json", "text"):
        code, out, _ = cli("report", one, other, "--format", form)
        assert code == 0
        assert one.name in out
        assert "another-run" in out


def test_a_run_given_twice_is_refused(cli, results):
    (one,) = list_runs(results)
    code, _, err = cli("report", one, one)
    assert code == 2
    assert "is given twice" in err


def test_a_report_that_cannot_be_written_is_told(cli, results):
    code, _, err = cli("report", "-o", "nowhere/report.md", "--results", results)
    assert code == 2
    assert "there is no folder nowhere" in err


def test_a_bad_line_is_named_in_the_report(cli, tmp_path):
    folder = create_run(tmp_path / "results", run_info())
    (folder / "records.jsonl").write_text('{"schema":1,"case_id":"lmn/pre')
    code, _, err = cli("report")
    assert code == 0
    assert "records.jsonl line 1 left out" in err


def test_show_of_a_case_has_its_samples(cli, results):
    code, out, _ = cli("show", "--case", "gru/decode", "--json", "--results", results)
    (record,) = json.loads(out)["records"]
    assert code == 0
    assert record["subject"] == "gru"
    assert record["samples_s"]


def test_show_tells_the_run_as_json(cli, results):
    code, out, _ = cli("show", "--json", "--results", results)
    shown = json.loads(out)
    assert code == 0
    assert shown["run"]["seed"] == 5
    assert sum(shown["outcomes"].values()) == len(read_run(list_runs(results)[0]).records)


def test_show_of_an_unknown_case_is_told(cli, results):
    code, _, err = cli("show", "--case", "zebra", "--results", results)
    assert code == 2
    assert "unknown case 'zebra'" in err


def test_list_runs_tells_the_run(cli, results):
    _, out, _ = cli("list", "runs", "--json", "--results", results)
    (row,) = json.loads(out)
    assert row["name"].startswith("smoke-")
    assert row["records"] == len(read_run(list_runs(results)[0]).records)


def test_a_finished_run_resumed_measures_nothing_more(cli, results):
    before = read_run(list_runs(results)[0]).records
    code, _, _ = cli("run", "--resume", "--results", results)
    assert code == 0
    assert read_run(list_runs(results)[0]).records == before


def test_a_run_is_continued_in_another_container_and_it_is_told(cli, results, tmp_path):
    (folder,) = list_runs(shutil.copytree(results, tmp_path / "moved"))
    info = json.loads((folder / "run.json").read_text())
    info["environment"]["hostname"] = "3f2a9c81d7e0"
    (folder / "run.json").write_text(json.dumps(info))
    code, _, err = cli("run", "--resume", "--results", tmp_path / "moved")
    assert code == 0
    assert "note: measured under 2 host names (3f2a9c81d7e0, " in err


def test_a_failed_case_ends_in_1_and_points_to_show(cli):
    code, out, _ = cli("run", "--models", "rogue_subjects:raises", "--modes", "prefill",
                       *TINY, "--lengths", "64")  # fmt: skip
    assert code == 1
    assert out.splitlines()[-1].startswith("next: lmn-bench show ")


def test_a_run_as_json_says_where_it_is_and_how_it_ended(cli):
    code, out, _ = cli("run", "--models", "rogue_subjects:allocates", "--modes", "prefill", *TINY,
                       "--lengths", "64", "--memory-cap", "32MiB", "--json")  # fmt: skip
    told = json.loads(out)
    assert (code, told["exit_code"], told["failed"]) == (0, 0, 0)
    assert told["outcomes"] == {"out_of_memory": 1}
    assert Path(told["report"]).is_file()
