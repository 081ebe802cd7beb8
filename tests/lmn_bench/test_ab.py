"""`lmn-bench ab` as a user runs it: a repository of one's own, real revisions, real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from forked_commands import Command

from lmn_bench.store import read_run

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")

ROOT = Path(__file__).parents[2]
MODEL = """
import torch

class Model(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = torch.nn.Linear(width, width)

    def forward(self, x):
        return self.inner(x)

def make(spec, dtype, device):
    return Model(spec.width)
"""
COPIES = MODEL.replace("self.inner(x)", "self.inner(x.clone())")
BREAKS = MODEL.replace("self.inner(x)", "self.inner(x if x.shape[1] < 64 else x[..., :1])")
SUITE = """
name = "tiny"
[measuring]
processes = 1
time_goal_s = 0.002
warmup_limit_s = 0.001
[[sweep]]
subjects = ["models:make"]
modes = ["prefill"]
lengths = [32, 64]
width = 16
"""


class Project:
    """A user's repository: a model, a suite, one commit, and something that isn't committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.cache = folder.parent / "cache"
        self.write("models.py", MODEL)
        self.write("tiny.toml", SUITE)
        self.write(".gitignore", "results/\n__pycache__/\n")
        self.git("init", "--quiet")
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "First")
        self.write("staged.txt", "staged")
        self.git("add", "staged.txt")
        self.write("untracked.txt", "untracked")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=b", *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout

    @property
    def environ(self) -> dict[str, str]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self.cache)}
        environ.pop("GITHUB_ACTIONS", None)
        return environ

    def start(self, *arguments: str, command: str = "ab") -> Command:
        words = ["--suite", "tiny.toml"] if command == "ab" else []
        return Command([command, *words, *arguments], self.folder, environ=self.environ)

    def ab(self, *arguments: str) -> tuple[int, dict, str]:
        """Exit code, what --json printed, and what was said on stderr."""
        process = self.start("--json", *arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, json.loads(out) if out else {}, err

    @property
    def worktrees(self) -> list[str]:
        return self.git("worktree", "list", "--porcelain").split("\n\n")[:-1]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


def test_a_copy_more_is_caught_by_counters_alone(project):
    project.write("models.py", COPIES)
    # The only one here whose processes all start as a user's do.
    done = subprocess.run(
        [sys.executable, "-m", "lmn_bench", "ab", "--suite", "tiny.toml", "--base", "HEAD",
         "--counters-only", "--json"],
        cwd=project.folder, env=project.environ, text=True, capture_output=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["verdict"] == "regression"
    changed = {
        (row["metric"], row["new"] - row["base"]) for row in found["cases"] if row["regression"]
    }
    assert ("operations", 1) in changed
    assert "allocator_peak_bytes" in {metric for metric, _ in changed}
    assert not [row for row in found["cases"] if not row["exact"]]


def test_equal_counters_pass_and_the_repository_is_untouched(project):
    before = (project.git("status", "--porcelain"), project.git("diff", "--cached"),
              (project.folder / ".git" / "index").read_bytes())  # fmt: skip
    code, found, _ = project.ab("--base", "HEAD", "--counters-only")
    after = (project.git("status", "--porcelain"), project.git("diff", "--cached"),
             (project.folder / ".git" / "index").read_bytes())  # fmt: skip
    assert (code, found["verdict"]) == (0, "pass")
    assert after == before
    assert len(project.worktrees) == 1


def test_a_case_that_breaks_is_red_and_the_other_is_compared(project):
    project.write("models.py", BREAKS)
    code, found, _ = project.ab("--base", "HEAD", "--counters-only")
    assert code == 1
    broken = [row for row in found["cases"] if row["verdict"] == "broken"]
    assert [(row["case_id"].split("/")[2], row["new_outcome"]) for row in broken] == [
        ("64", "error")
    ]


def test_a_model_that_can_no_longer_be_built_is_a_regression(project):
    project.write("models.py", MODEL.replace("def forward", "def backward"))
    code, found, _ = project.ab("--base", "HEAD", "--counters-only")
    assert code == 1
    assert {row["verdict"] for row in found["cases"]} == {"broken"}


def test_a_model_that_neither_side_has_is_a_mistake(project):
    code, _, err = project.ab("--base", "HEAD", "--counters-only", "--models", "models:made")
    assert code == 2
    assert "did you mean 'make'" in err


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """A gate with times, cut off after its screening: project, exit code, JSON, talk."""
    project = Project(tmp_path_factory.mktemp("timed") / "project")
    return project, *project.ab("--base", "HEAD", "--time-limit", "0", "--lengths", "32")


def test_times_are_measured_in_mirrored_blocks_and_kept(timed):
    project, code, found, err = timed
    assert code == 0
    assert found["verdict"] in ("pass", "inconclusive")
    (folder,) = (project.folder / "results").glob("ab-tiny-*")
    assert str(folder) in err
    arms = {arm: read_run(folder / arm) for arm in ("base", "null", "new")}
    assert all(run.info.finished_at for run in arms.values())
    order = sorted(
        (r.order, r.replicate // 2, arm) for arm, run in arms.items() for r in run.records
    )
    blocks = {}
    for _, number, arm in order:
        blocks.setdefault(number, []).append(arm)
    assert len(blocks) >= 6
    for block in blocks.values():
        # A block is given up where the machine changes its speed.
        assert block == [*block[:3], *block[2::-1]][: len(block)]
        assert len(set(block[:3])) == len(block[:3])


def test_base_against_base_is_part_of_every_gate_with_times(timed):
    _, _, found, _ = timed
    times = {row["case_id"]: row for row in found["cases"] if row["metric"] == "latency_low_s"}
    assert len(times) == 1
    # A machine that changes its speed during every block leaves nothing to judge.
    steady = [one for one, row in times.items() if "during every block" not in row["reason"]]
    assert [(row["case_id"], row["metric"]) for row in found["null"]] == [
        (one, "latency_low_s") for one in steady
    ]


def test_the_folder_of_a_gate_holds_its_reports(timed):
    project, *_ = timed
    (folder,) = (project.folder / "results").glob("ab-tiny-*")
    assert {path.suffix for path in folder.glob("report.*")} == {".html", ".md", ".json"}


def test_a_stored_gate_can_be_judged_again(timed):
    project, *_ = timed
    (folder,) = (project.folder / "results").glob("ab-tiny-*")
    process = project.start(str(folder), "--json", "--margin", "90%", command="compare")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads(out)["margin"] == 0.9


def test_options_after_two_dashes_choose_models_and_lengths(project):
    _, found, _ = project.ab("--base", "HEAD", "--counters-only", "--", "--lengths", "16")
    assert {row["case_id"].split("/")[2] for row in found["cases"]} == {"16"}


def test_another_checkout_is_a_base_too(project, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "models.py").write_text(COPIES)
    _, found, _ = project.ab("--base", str(other), "--counters-only")
    operations = [row for row in found["cases"] if row["metric"] == "operations"]
    assert {row["verdict"] for row in operations} == {"less"}


def test_the_same_files_on_both_sides_are_incomparable(project):
    code, found, _ = project.ab("--base", "HEAD", "--counters-only", "--models", "gru")
    assert code == 5
    assert found["verdict"] == "incomparable"
    assert "both sides take the same files" in found["reasons"][0]


def test_a_base_of_which_nothing_runs_is_no_pass(project):
    project.write("more.py", MODEL)
    code, found, _ = project.ab("--base", "HEAD", "--counters-only", "--models", "more:make")
    assert (code, found["verdict"]) == (5, "incomparable")
    assert "no module named 'more'" in found["reasons"][0]
    assert "what git ignores" in found["reasons"][1]


def test_outputs_that_are_no_numbers_are_a_regression(project):
    project.write("models.py", MODEL.replace("self.inner(x)", "self.inner(x) * float('nan')"))
    code, found, _ = project.ab("--base", "HEAD", "--counters-only", "--lengths", "32")
    assert code == 1
    assert [row["new_outcome"] for row in found["cases"]] == ["incorrect"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs something to compare with"),
        (("--base", "nowhere"), "unknown revision 'nowhere'"),
        (("--base", ""), "--base is empty"),
        (("--base", "HEAD", "--metric", "reference_loop_s"), "tells of the machine"),
        (("--base", "HEAD", "--time-limit", "nan"), "no finite number"),
        (("HEAD",), "--base HEAD"),
        (("--base", "HEAD", "--margin", "wide"), "cannot read 'wide' as a share"),
        (("--base", "HEAD", "--metric", "flops"), "counters are always compared"),
        (("--base", "HEAD", "--allow", "latency_s=1%"), "--margin is for all that is measured"),
        (("--base", "HEAD", "--html", "no/such/folder.html"), "there is no folder"),
        (("--base-python", "/no/python"), "cannot be run"),
        (("--base", "HEAD", "--", "--html", "x"), "goes before it"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(project, arguments, said):
    code, _, err = project.ab(*arguments)
    assert code == 2
    assert said in err
    assert not (project.folder / "results").exists()


def test_kill_leaves_no_process_and_the_next_call_no_worktree(project):
    process = project.start("--base", "HEAD", "--quiet")
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while not list((project.folder / "results").glob("ab-*/base/records.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert len(project.worktrees) == 2
    project.ab("--base", "HEAD", "--counters-only", "--lengths", "32")
    assert len(project.worktrees) == 1
    assert not [path for path in project.cache.rglob("*") if path.is_dir() and len(path.name) == 16]


def test_an_interrupt_keeps_what_was_measured_and_says_how_to_go_on(project):
    process = project.start("--base", "HEAD", "--quiet")
    pattern = "ab-*/base/records.jsonl"
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size for p in (project.folder / "results").glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "lmn-bench compare" in err
    assert len(project.worktrees) == 1
