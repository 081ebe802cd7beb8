"""What the storms work on: the smallest suite, texts, models, runs and a repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from storm_shared import ROOT, completed

# Eight records of 50 ms each, and the shortest start that a run has.
SUITE = """
name = "tiny"
description = "a storm"
[measuring]
processes = 2
time_goal_s = 0.002
warmup_limit_s = 0.001
quiet_wait_s = 0.0
quiet_extra_s = 0.0
ceilings = false
[defaults]
width = 8
heads = 1
threads = 1
device = "cpu"
[[sweep]]
subjects = ["rnn", "gru"]
modes = ["prefill", "decode"]
lengths = [16]
"""
RECORDS = 8
LESSONS = """
name = "lessons"
description = "a storm"
[learning]
corpus = "text.txt"
tokens = "bytes"
steps = 4
seeds = 2
examples = 8
validate_every = 2
[[sweep]]
modes = ["learn"]
subjects = ["gru"]
lengths = [16]
batch = 2
width = 8
heads = 1
layers = 1
banks = 1
"""
TRAININGS = 2
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
# One case of a model that lies in the repository: each arm has one record of it.
GATE_SUITE = SUITE.replace('"rnn", "gru"', '"models:make"').replace(', "decode"', "")
PROFILE = ("profile", "rnn", "--mode", "prefill", "--length", "16", "--width", "8", "--heads", "1")
SIZE = (
    "size", "--context", "4K", "--memory", "512MiB", "--width", "64", "--layers", "2",
    "--against", "", "--from", str(ROOT / "results" / "reference-sizing"), "--verify",
)  # fmt: skip
TRAIN = (
    "train", "--corpus", "text.txt", "--tokens", "bytes", "--steps", "4", "--set", "width=8",
    "--set", "heads=1", "--set", "length=16", "--set", "batch=2", "--set", "save_every=1",
    "-o", "model.safetensors",
)  # fmt: skip
GATE = ("ab", "--base", "HEAD", "--suite", "tiny.toml", "--counters-only")


def write_inputs(folder: Path) -> None:
    """Suites and a text."""
    (folder / "tiny.toml").write_text(SUITE)
    (folder / "lessons.toml").write_text(LESSONS)
    (folder / "text.txt").write_text("The cat sat on the mat. " * 200)


def make_runs(folder: Path) -> None:
    """`results/one` and `results/two`: a finished run, and the same with other latencies.

    Raises:
        RuntimeError: it cannot be measured.
    """
    write_inputs(folder)
    ended = completed(
        ("run", "--suite", "tiny.toml", "--seed", "1", "--results", "made"), folder, "make"
    )
    made = next((folder / "made").glob("tiny-*"), None)
    if ended.code or made is None:
        raise RuntimeError(f"no run to work on: exit code {ended.code}: {ended.err[-500:]}")
    for name, factor in (("one", 1.0), ("two", 2.0)):
        run = folder / "results" / name
        run.mkdir(parents=True)
        info = json.loads((made / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**info, "run_id": name}, indent=2) + "\n")
        lines = []
        for line in (made / "records.jsonl").read_text().splitlines():
            record = json.loads(line)
            record["samples_s"] = [one * factor for one in record["samples_s"]]
            record["metrics"] = {
                key: value * factor if key.startswith("latency") else value
                for key, value in record["metrics"].items()
            }
            lines.append(json.dumps(record) + "\n")
        (run / "records.jsonl").write_text("".join(lines))
    shutil.rmtree(folder / "made")


def make_repository(folder: Path) -> None:
    """A model under version control, changed since its only commit."""
    (folder / "tiny.toml").write_text(GATE_SUITE)
    (folder / "models.py").write_text(MODEL)
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    git = ("git", "-c", "user.name=storm", "-c", "user.email=storm@example.org")
    for words in (("init", "-q"), ("add", "models.py"), ("commit", "-qm", "first")):
        subprocess.run([*git, *words], cwd=folder, check=True, env=environ)
    (folder / "models.py").write_text(f"{MODEL}\n# changed\n")


def worktrees(folder: Path) -> list[str]:
    """Worktrees of a repository beside its own, files of the cache, and git's notes of them."""
    told = subprocess.run(
        ["git", "worktree", "list", "--porcelain"],
        cwd=folder, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    trees = [line for line in told.splitlines() if line.startswith("worktree ")]
    found = [f"git {line}" for line in trees[1:]]
    cache = folder / "cache" / "lmn-bench" / "worktrees"
    # The guard is one file for ever.
    found += [f"cache {path.name}" for path in sorted(cache.glob("*")) if path.name != "guard"]
    notes = folder / ".git" / "worktrees"
    return found + [f"note {path.name}" for path in sorted(notes.glob("*"))]
