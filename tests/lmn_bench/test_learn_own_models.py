"""Users' models that learn: what their code does to its process is undone, told, or refused."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from learned_helpers import learned_run, lesson_case, trained

from lmn_bench.cli import run_command_line
from lmn_bench.lessons import Budget, Learning, Lesson
from lmn_bench.report.build import build_report
from lmn_bench.report.markdown import render_markdown
from lmn_bench.run.learning import _event
from lmn_bench.schema import Case, ModelSpec, Outcome
from lmn_bench.store import read_run
from lmn_bench.worker.learning.lesson import LessonJob, learn_lesson

MODELS = """
    import os, signal, subprocess, sys, threading, warnings
    import torch
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    class Plain(nn.Module):
        def __init__(self, act=lambda x: x):
            super().__init__()
            self.map = nn.Linear(8, 8)
            self.act = act

        def forward(self, x):
            return self.map(self.act(x))

    one = Plain()

    def the_same(spec):
        return one

    def plain(spec):
        return Plain()

    def double(spec):
        return Plain().double()

    def threads(spec):
        def act(x):
            torch.set_num_threads(3)
            return x
        return Plain(act)

    def no_gradients(spec):
        torch.set_grad_enabled(False)
        return Plain()

    def recomputes(spec):
        model = Plain()
        model.forward = lambda x: (
            checkpoint(model.map, x, use_reentrant=True) if x.requires_grad else model.map(x)
        )
        return model

    def writes(spec):
        return Plain(lambda x: x.mul_(0.5))

    def remembers(spec):
        calls = []
        def act(x):
            calls.append(None)
            return x + len(calls)
        return Plain(act)

    def leaves(spec):
        return Plain(lambda x: os._exit(0) if not torch.is_grad_enabled() else x)

    def drops(spec):
        return Plain(nn.Dropout(0.5))

    def dies(spec):
        die = lambda: os.kill(os.getpid(), signal.SIGKILL)
        return Plain(lambda x: die() if not torch.is_grad_enabled() else x)

    def busy(spec):
        os.chdir("/")
        torch.set_num_threads(2)
        print("on standard output")
        for number in range(3, 12):
            try:
                os.write(number, b"here I am\\n")
            except OSError:
                pass
        subprocess.Popen(["sleep", "597.25"], start_new_session=True)
        def act(x):
            warnings.warn("slow path taken")
            return x
        return Plain(act)
"""


# Of a helper, as no other program sleeps.
HELPER_S = "597.25"
SUITE = """
name = "own"
[learning]
steps = 2
examples = 4
[[sweep]]
modes = ["learn"]
task = ["copy-16"]
subjects = ["learning_models:busy", "learning_models:leaves", "learning_models:dies"]
batch = 2
width = 8
heads = 2
banks = 1
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "learning_models.py").write_text(textwrap.dedent(MODELS))
    yield tmp_path
    sys.modules.pop("learning_models", None)


def learned_here(folder, factory):
    """How a small lesson in this process ends."""
    lesson = Lesson(task="copy-16", budget=Budget(2), examples=4)
    case = Case(f"learning_models:{factory}", "learn", 32, batch=2,
                model=ModelSpec(width=8, heads=2, banks=1), lesson=lesson)  # fmt: skip
    told = []
    job = LessonJob(case, Learning(), 0, str(folder / "results" / "interim.pt"))
    (folder / "results").mkdir()
    learn_lesson(job, told.append, lambda: False)
    return told[-1]["ended"]


@pytest.mark.parametrize("factory", ["plain", "recomputes", "writes"])
def test_what_learns_by_itself_learns_without_a_word(folder, factory):
    ended = learned_here(folder, factory)
    assert ended["outcome"] == "ok", ended.get("reason")
    assert ended["warnings"] == []


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("the_same", "one and the same model every time"),
        ("double", "weights of float64 were converted to float32"),
        ("no_gradients", "switched gradients off: switched on again"),
    ],
)
def test_what_makes_a_training_another_one_is_told_once(folder, factory, words):
    ended = learned_here(folder, factory)
    assert ended["outcome"] == "ok", ended.get("reason")
    assert [words in one for one in ended["warnings"]] == [True]


def test_what_a_model_draws_while_it_learns_is_a_function_of_the_seed(folder):
    curves = []
    for _ in range(2):
        curves.append(learned_here(folder, "drops")["learned"]["training"])
        shutil.rmtree(folder / "results")
    assert curves[0] == curves[1]


def test_a_model_that_is_made_but_once_has_not_learned_before_it_begins(folder):
    import learning_models

    before = learning_models.one.map.weight.detach().clone()
    seen = []
    learning_models.one.act = lambda x: (
        seen.append(learning_models.one.map.weight.detach().clone()) or x
    )
    learned_here(folder, "the_same")
    assert torch.equal(seen[0], before)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("threads", "sets torch's threads to 3 while it runs"),
        ("remembers", "depends on what the model read before"),
    ],
)
def test_what_cannot_be_believed_is_refused_with_the_reason(folder, factory, words):
    ended = learned_here(folder, factory)
    assert ended["outcome"] == "error"
    assert words in ended["reason"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of models that disturb their process."""
    folder, before = tmp_path_factory.mktemp("run"), Path.cwd()
    (folder / "learning_models.py").write_text(textwrap.dedent(MODELS))
    (folder / "own.toml").write_text(SUITE)
    os.chdir(folder)
    try:
        run_command_line(["run", "--suite", "own.toml", "--results", "results", "--quiet"])
    finally:
        os.chdir(before)
    return read_run(next((folder / "results").iterdir()))


@pytest.fixture(scope="module")
def records(run):
    """Its records by the model's name."""
    return {one.subject.split(":")[1]: one for one in run.records}


def test_standard_error_of_a_training_is_kept_once_and_what_it_prints_besides_is_not(records):
    printed = records["busy"].stderr
    assert [line.split(": ", 1)[-1] for line in printed] == ["UserWarning: slow path taken"]


def test_what_a_training_model_does_to_its_process_is_undone_and_told(records):
    record = records["busy"]
    assert record.outcome is Outcome.OK, record.reason
    told = " / ".join(record.warnings)
    assert "set torch's threads to 2: set back to the case's 1" in told
    assert "changed the working folder to /: set back" in told
    assert "helpers ran beside the timing: 2 processes" in told
    # What it writes into descriptors that it has not opened reaches none of ours.
    assert len(record.warnings) == 3


def test_no_helper_outlives_a_training(records):
    left = [one.info for one in psutil.process_iter(["cmdline"])
            if one.info["cmdline"] == ["sleep", HELPER_S]]  # fmt: skip
    assert left == []


def test_a_training_that_ends_its_process_is_an_error_and_no_interruption(records):
    record = records["leaves"]
    assert record.outcome is Outcome.ERROR
    assert record.reason == "the learning process ended too early: exit code 0"


def test_a_training_that_is_killed_over_and_over_leaves_its_run_to_go_on_with(run, records):
    record = records["dies"]
    assert record.outcome is Outcome.KILLED
    assert "had been continued once by itself" in record.reason
    assert run.info.finished_at is None


def test_the_report_shows_standard_error_once_per_model():
    line = "models.py:3: UserWarning: slow path taken"
    told = [replace(trained(lesson_case(), seed), stderr=(line,)) for seed in range(3)]
    run = learned_run(told)
    text = render_markdown(build_report(run.info, run.results, run.records, run.planned))
    assert text.count("slow path taken") == 1
    assert "lmn wrote to standard error: " in text


@pytest.mark.parametrize(
    "line", [b"here I am\n", b'{"ended": {"outc', b"[1]\n", b"{}\n", b'{"surprise": 1}\n', b"3\n"]
)
def test_lines_that_are_no_answers_are_none(line):
    assert _event(line) is None


def test_an_answer_is_its_name_and_content():
    assert _event(b'{"stopped": 3}\n') == ("stopped", 3)
