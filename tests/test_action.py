"""The GitHub action: its scripts run for real, with a made-up lmn-bench and a made-up pip."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ACTION = ROOT / ".github" / "actions" / "lmn-bench"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Writes what it was told to, keeps its arguments, and ends as it is told.
FAKE = """#!{python}
import json, os, pathlib, sys
given = sys.argv[1:]
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(given))
if os.environ["VERDICT"]:
    print(json.dumps({{"verdict": os.environ["VERDICT"]}}))
    report = "# Report\\n" * int(os.environ["LINES"])
    for option in ("--markdown", "--html", "--junit"):
        pathlib.Path(given[given.index(option) + 1]).write_text(report)
sys.exit(int(os.environ["CODE"]))
"""
NASTY = '"; touch pwned; $(touch pwned) `touch pwned` * ${HOME} && touch pwned'


def executable(path, text):
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A repository of two commits."""
    place = tmp_path / "checkout"
    place.mkdir()
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    for message in ("one", "two"):
        commit = ["git", *who, "commit", "-q", "--allow-empty", "-m", message]
        subprocess.run(commit, cwd=place, check=True)
    return place


@pytest.fixture
def gate(tmp_path, checkout):
    """Run gate.sh as GitHub would: (exit code, outputs, summary, stdout, lmn-bench's arguments)."""
    tools, temporary = tmp_path / "tools", tmp_path / "runner"
    tools.mkdir()
    temporary.mkdir()
    executable(tools / "lmn-bench", FAKE.format(python=sys.executable))
    (tools / "python").symlink_to(sys.executable)

    def run(code=0, verdict="pass", lines=1, **inputs):
        given = {"BASE": "HEAD^", "SUITE": "ci", "MARGIN": "3%", "FAIL_ON": "regression",
                 "MODELS": "", "OPTIONS": "", "PYTHON": str(tools / "python")}  # fmt: skip
        files = {name: tmp_path / name for name in ("OUTPUT", "SUMMARY", "SEEN")}
        for file in files.values():
            file.write_text("")
        done = subprocess.run(
            ["bash", ACTION / "gate.sh"], cwd=checkout, capture_output=True, text=True, check=False,
            env={**os.environ, **given, **inputs, "RUNNER_TEMP": str(temporary),
                 "GITHUB_OUTPUT": str(files["OUTPUT"]), "SEEN": str(files["SEEN"]),
                 "GITHUB_STEP_SUMMARY": str(files["SUMMARY"]), "CODE": str(code),
                 "VERDICT": verdict, "LINES": str(lines)},
        )  # fmt: skip
        outputs = dict(line.split("=", 1) for line in files["OUTPUT"].read_text().splitlines())
        seen = json.loads(files["SEEN"].read_text() or "[]")
        return done.returncode, outputs, files["SUMMARY"].read_text(), done.stdout, seen

    return run


# ------------------------------------------------------------------------------- the gate


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, "pass"), (0, "inconclusive"), (1, "regression"), (4, "inconclusive"), (5, "incomparable")],
)
def test_the_gate_ends_as_the_comparison_did_with_everything_written(gate, code, verdict):
    ended, outputs, summary, _, _ = gate(code, verdict)
    assert ended == code
    assert summary == "# Report\n"
    assert outputs["verdict"] == verdict
    for name, file in (("markdown", "ab.md"), ("html", "ab.html"), ("junit", "ab.xml")):
        assert Path(outputs[name]) == Path(outputs["folder"]) / file
        assert Path(outputs[name]).read_text() == "# Report\n"
    assert json.loads(Path(outputs["json"]).read_text()) == {"verdict": verdict}


@pytest.mark.parametrize(
    ("code", "verdict", "words"),
    [
        (0, "inconclusive", "::warning "),
        (1, "regression", "::error "),
        (4, "inconclusive", "::error "),
        (5, "incomparable", "nothing could be compared"),
        (130, "", "exit code 130"),
    ],
)
def test_anything_but_a_pass_is_an_annotation(gate, code, verdict, words):
    assert words in gate(code, verdict)[3]


def test_a_pass_says_nothing(gate):
    assert gate()[3] == ""


@pytest.mark.parametrize("code", [2, 3])
def test_a_comparison_that_failed_has_no_reports_and_a_summary_that_says_so(gate, code):
    ended, outputs, summary, _, _ = gate(code, verdict="")
    assert ended == code
    assert outputs["verdict"] == "error"
    assert {outputs[name] for name in ("json", "markdown", "html", "junit")} == {""}
    assert f"exit code {code}" in summary


def test_the_inputs_reach_the_comparison(gate):
    seen = gate(SUITE="smoke", MARGIN="5%", FAIL_ON="inconclusive", BASE="HEAD")[4]
    given = dict(itertools.pairwise(seen))
    assert seen[0] == "ab"
    assert (given["--base"], given["--suite"], given["--margin"], given["--fail-on"]) == (
        "HEAD", "smoke", "5%", "inconclusive",
    )  # fmt: skip
    assert "--json" in seen
    assert "--" not in seen


def test_models_and_options_go_on_to_the_run(gate):
    seen = gate(MODELS="lmn,gru", OPTIONS="  --threads 2\n--set width=32 ")[4]
    rest = seen[seen.index("--") + 1 :]
    assert rest == ["--models", "lmn,gru", "--threads", "2", "--set", "width=32"]


@pytest.mark.parametrize("name", ["SUITE", "MARGIN", "FAIL_ON", "MODELS", "OPTIONS", "BASE"])
def test_an_input_is_never_a_command(gate, checkout, name):
    seen = gate(**{name: NASTY})[4]
    assert [path.name for path in checkout.iterdir()] == [".git"]
    # A base like this is no revision, so nothing is run at all.
    assert (NASTY in " ".join(seen)) == (name != "BASE")


@pytest.mark.parametrize("python", ["no-such-python", "", "cd", "./python3", "/", NASTY])
def test_a_python_that_is_none_is_told_and_nothing_of_the_checkout_is_run(gate, checkout, python):
    executable(checkout / "lmn-bench", "#!/bin/sh\ntouch pwned\n")
    code, outputs, summary, out, seen = gate(PYTHON=python)
    assert (code, outputs, seen) == (2, {"verdict": "error"}, [])
    assert "No comparison" in summary
    assert "::error title=lmn-bench::The input python names no command" in out
    assert {path.name for path in checkout.iterdir()} == {".git", "lmn-bench"}


def test_a_python_may_be_named_from_the_working_directory(gate, checkout):
    (checkout / "mine").symlink_to(checkout.parent / "tools")
    assert gate(PYTHON="mine/python")[0] == 0


@pytest.mark.parametrize("base", ["0" * 40, "no-such-branch", "--help", ""])
def test_a_base_that_is_not_in_the_clone_is_told_with_what_to_do(gate, base):
    code, outputs, summary, out, seen = gate(BASE=base)
    assert (code, outputs["verdict"], seen) == (2, "error", [])
    assert "fetch-depth: 0" in out
    assert "exit code 2" in summary


def test_a_verdict_that_is_no_word_does_not_reach_the_outputs(gate):
    outputs = gate(verdict="pass\njson=/etc/passwd")[1]
    assert outputs["verdict"] == "error"
    assert outputs["json"].endswith("ab.json")


def test_a_report_too_long_for_the_summary_is_left_to_the_files(gate):
    _, outputs, summary, _, _ = gate(lines=200_000)
    assert len(summary) < 200
    assert len(Path(outputs["markdown"]).read_text()) == 200_000 * len("# Report\n")


def test_the_checkout_stays_as_it_was(gate, checkout):
    gate()
    status = ["git", "status", "--porcelain"]
    assert subprocess.run(status, cwd=checkout, capture_output=True, check=True).stdout == b""


# ------------------------------------------------------------------------------- installing


@pytest.mark.parametrize(
    ("install", "index", "asked"),
    [
        ("", "https://i", ["--extra-index-url", "https://i", f"{ACTION}/../../.."]),
        ("", "", [f"{ACTION}/../../.."]),
        ("-e . lmn-bench>=0.1", "", ["-e", ".", "lmn-bench>=0.1"]),
        ("$(touch pwned) *", "", ["$(touch", "pwned)", "*"]),
        ("none", "https://i", None),
    ],
)
def test_what_is_installed_is_what_was_asked_for(tmp_path, install, index, asked):
    python, seen = tmp_path / "python", tmp_path / "seen"
    executable(python, f'#!/usr/bin/env bash\nprintf "%s\\n" "$@" > "{seen}"\n')
    subprocess.run(
        ["bash", ACTION / "install.sh"], cwd=tmp_path, check=True,
        env={**os.environ, "PYTHON": str(python), "INSTALL": install, "TORCH_INDEX": index,
             "INSTALL_MINUTES": "20", "GITHUB_ACTION_PATH": str(ACTION)},
    )  # fmt: skip
    given = seen.read_text().splitlines() if seen.exists() else None
    assert (given and given[5:]) == asked
    assert {path.name for path in tmp_path.iterdir()} <= {"python", "seen"}


def test_the_action_installs_the_repository_that_it_is_in():
    assert (ACTION / "../../.." / "pyproject.toml").resolve() == ROOT / "pyproject.toml"


@pytest.fixture
def install(tmp_path):
    """Run install.sh with this as its pip, in a folder of tools: (exit code, stdout)."""
    tools = tmp_path / "tools"
    tools.mkdir()
    # Waits for nothing, so that the deadline is there at once.
    executable(tools / "sleep", "#!/bin/sh\n")

    def run(pip, **inputs):
        executable(tools / "python", f"#!/bin/sh\n{pip}\n")
        given = {"INSTALL": "", "TORCH_INDEX": "", "INSTALL_MINUTES": "20",
                 "PYTHON": str(tools / "python"), "PATH": f"{tools}:{os.environ['PATH']}",
                 "TMPDIR": str(tmp_path), "GITHUB_ACTION_PATH": str(ACTION)}  # fmt: skip
        done = subprocess.run(
            ["bash", ACTION / "install.sh"], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, **given, **inputs}, check=False, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout

    return run


def test_installing_has_a_deadline_as_a_whole(install, tmp_path):
    code, out = install("tail -f /dev/null & wait")
    assert code == 137
    assert out == "::error title=lmn-bench::Installing was ended: not done within 20 min\n"
    assert [path.name for path in tmp_path.iterdir()] == ["tools"]


@pytest.mark.parametrize("minutes", ["", "0", "08", "x[$(touch pwned)]", "1000000"])
def test_minutes_that_are_none_are_refused(install, tmp_path, minutes):
    code, out = install("touch pwned", INSTALL_MINUTES=minutes)
    assert code == 2
    assert out.startswith("::error title=lmn-bench::The input install-minutes")
    assert [path.name for path in tmp_path.iterdir()] == ["tools"]


def test_nothing_is_installed_with_a_python_that_is_none(install):
    code, out = install("", PYTHON="no-such-python")
    assert code == 1
    assert "The input python names no command" in out


# ------------------------------------------------------------------------------- the YAML


@pytest.mark.parametrize(
    "path", [ACTION / "action.yml", *WORKFLOWS, ROOT / "README.md"], ids=lambda path: path.name
)
def test_actions_of_others_are_named_by_a_commit_that_nobody_can_move(path):
    lines = re.findall(r"^ *(?:- )? *uses: *(\S+)(.*)$", path.read_text(), flags=re.MULTILINE)
    used = [(name, behind) for name, behind in lines if not name.startswith("./")]
    for name, behind in used:
        if not name.startswith("OWNER/lmn-bench/"):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", name), name
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", behind), name
    assert used


@pytest.mark.parametrize("path", [ACTION / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_no_script_has_an_expression_pasted_into_it(path):
    scripts = re.findall(r"^ *-? *run: *(.*)$", path.read_text(), flags=re.MULTILINE)
    # One-liners all: a block would hide from the expression above.
    assert all(script and script[0] not in "|>" and "${{" not in script for script in scripts)


@pytest.mark.parametrize("script", ["gate.sh", "install.sh"])
def test_the_action_sets_every_variable_that_its_scripts_read(script):
    text = (ACTION / script).read_text()
    assert subprocess.run(["bash", "-n", ACTION / script], check=False).returncode == 0
    promised = re.search(r"From the environment: ([A-Z_, \n#]+)", text).group(1)
    (step,) = [s for s in (ACTION / "action.yml").read_text().split("- name:") if script in s]
    for name in re.findall(r"[A-Z_]{2,}", promised):
        assert f"{name}: ${{{{" in step
