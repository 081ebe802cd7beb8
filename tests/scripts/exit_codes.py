"""The exit code of every command with its output closed, full, or in an encoding that lacks signs.

    python tests/scripts/exit_codes.py            writes results/evidence/exit-codes.md (minutes)
    python tests/scripts/exit_codes.py --quick    prints endings as JSON, of the faults that a test
                                                  has time for

Every command runs in a process of its own, forked once what it imports is there: its descriptors,
streams and exit code are those of the installed program, and starting it takes no time. What it
should end in is in the table beside what it did.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "results" / "evidence" / "exit-codes.md"
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "lmn_bench")]
# Of a command whose output could not be written and that has nothing else to tell.
LOST = 2
# Where a quick look has to do.
FEW = ("reader left", "stdout closed", "stdout full", "ASCII", "stderr closed", "all full")
FAULTS = {
    "as it is": {},
    "reader left": {"stdout": "left"},
    "stdout closed": {"stdout": "closed"},
    "stdout full": {"stdout": "full"},
    "latin-1": {"encoding": "latin-1"},
    "ASCII": {"encoding": "ascii"},
    "stdin closed": {"stdin": "closed"},
    "stderr closed": {"stderr": "closed"},
    "stderr full": {"stderr": "full"},
    "all full": {"stdout": "full", "stderr": "full"},
}
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
SUITE = """
name = "tiny"
description = "µ × → …"
[measuring]
processes = 1
time_goal_s = 0.001
warmup_limit_s = 0.001
[[sweep]]
subjects = ["models:make"]
modes = ["prefill"]
lengths = [16]
width = 16
"""


@dataclass(frozen=True)
class Command:
    """A command line, and what it ends in by itself.

    Attributes:
        measures: whether it starts a server that imports torch, seconds of CPU each time.
        says_nothing: whether it has nothing to say on standard output.
    """

    words: tuple[str, ...]
    code: int
    measures: bool = False
    says_nothing: bool = False


@dataclass(frozen=True)
class Ending:
    """How a command ended under a fault."""

    command: str
    fault: str
    expected: int
    code: int
    stderr: str


# Of those that measure, the one that a quick look has time for: whatever is measured, the command
# ends in the same place, and what differs is tried on the commands that only read.
MEASURING = ("run", "--suite", "tiny.toml", "--seed", "1")
COMMANDS = (
    Command(("--help",), 0),
    Command(("report", "--help"), 0),
    Command(("list", "metrics"), 0),
    Command(("list", "runs", "--json"), 0),
    Command(("env",), 0),
    Command(("validate", "tiny.toml"), 0),
    Command(("validate", "bad.toml"), 2, says_nothing=True),
    Command(("show", "base"), 0),
    Command(("report", "base"), 0),
    Command(("report", "base", "--format", "html"), 0),
    Command(("report", "nosuch"), 2, says_nothing=True),
    Command(("compare", "base", "same"), 0),
    Command(("compare", "base", "slow"), 1),
    Command(("compare", "base", "slow", "--json", "--markdown", "c.md", "--html", "c.html"), 1),
    Command(("compare", "base", "other"), 5),
    Command(("compare", "base", "few", "--fail-on", "inconclusive"), 4),
    Command(("baseline", "list"), 0),
    Command(("fit", "times.csv", "--x", "n", "--y", "s"), 0),
    Command(("size", "--context", "4K", "--width", "64", "--layers", "2", "--memory", "1GiB",
             "--against", "", "--from", "sizes"), 0),
    Command(("size", "--context", "4K", "--width", "64", "--layers", "2", "--memory", "202MiB",
             "--against", "", "--from", "sizes"), 1),
    Command(("run", "--suite", "tiny.toml", "--dry-run"), 0, measures=True),
    Command(MEASURING, 0, measures=True),
    Command(("run", "--suite", "tiny.toml", "--models", "rogue_subjects:raises",
             "--lengths", "64"), 1,
            measures=True),
    Command(("ab", "--base", "HEAD", "--suite", "tiny.toml", "--counters-only"), 1,
            measures=True),
    Command(("profile", "models:make", "--mode", "prefill", "--length", "16", "--width", "16"), 0,
            measures=True),
    Command(("train", "--corpus", "text.txt", "--tokens", "bytes", "--steps", "2", "--set",
             "width=16", "--set", "length=16", "--set", "batch=2", "--force", "-o",
             "model.safetensors"), 0, measures=True),
    Command(("generate", "model.safetensors", "--prompt", "µ×", "--tokens", "5"), 0,
            measures=True),
)  # fmt: skip


def faults_of(command: Command, *, quick: bool) -> Sequence[str]:
    """What is tried of a command; drawing a page or measuring takes its time."""
    if not quick:
        return tuple(FAULTS)
    if command.measures:
        return FEW[-1:] if command.words == MEASURING else ()
    return FEW[-1:] if "html" in " ".join(command.words) else FEW


def make_inputs(folder: Path) -> None:
    """Runs, files and a repository for all commands."""
    from bench_helpers import case, ok, run_info
    from gate_helpers import measured
    from sizing_helpers import asked, info, records

    from lmn_bench.store import RecordWriter, create_run

    cases = [case(length=length) for length in (64, 128, 256)]
    runs = {
        "base": measured(cases, seed=1), "same": measured(cases, seed=2),
        "slow": measured(cases, factor=1.3, seed=3),
        "few": measured(cases, factor=1.1, processes=2, seed=4),
        "other": [ok(case("gru", length=512))], "sizes": records(asked()),
    }  # fmt: skip
    for name, found in runs.items():
        made = info(run_id=name) if name == "sizes" else run_info(run_id=name)
        with RecordWriter(create_run(folder / "results", made)) as writer:
            for record in found:
                writer.append(record)
    (folder / "models.py").write_text(MODEL)
    (folder / "tiny.toml").write_text(SUITE, encoding="utf-8")
    (folder / "bad.toml").write_text("name = 'µ × → …'\n", encoding="utf-8")
    rows = [f"{n},{n * 1e-6 * (1 + n % 7 / 1000)}" for n in (64, 128, 256, 512, 1024) * 3]
    (folder / "times.csv").write_text("\n".join(["n,s", *rows]) + "\n")
    (folder / "text.txt").write_text("The cat sat on the mat. " * 200)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for words in (("init", "-q"), ("add", "models.py"), ("commit", "-qm", "first")):
        subprocess.run([*git, *words], cwd=folder, check=True)
    grown = MODEL.replace("self.inner(x)", "self.inner(self.inner(x))")
    (folder / "models.py").write_text(grown)


def endings(commands: Sequence[Command], faults: Sequence[str], folder: Path) -> Iterator[Ending]:
    """Every command under every fault."""
    for command in commands:
        for fault in faults:
            code, said = ended(command.words, FAULTS[fault], folder)
            loses = FAULTS[fault].get("stdout") in ("closed", "full") and not command.says_nothing
            expected = command.code or (LOST if loses else 0)
            yield Ending(" ".join(command.words), fault, expected, code, said)


def ended(words: Sequence[str], fault: dict[str, str], folder: Path) -> tuple[int, str]:
    """Exit code of a command under a fault, and what it said on stderr if that could be read."""
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                os.chdir(folder)
                streams(fault, said.fileno())
                code = as_installed(words)
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode("utf-8", "replace")


def streams(fault: dict[str, str], said: int) -> None:
    """Descriptors under the fault, and Python's streams as it makes them when it starts."""
    null = os.open(os.devnull, os.O_RDWR)
    reading, left = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    targets = {"left": left, "full": full}
    for place, name, usual in ((0, "stdin", null), (1, "stdout", null), (2, "stderr", said)):
        kind = fault.get(name)
        if kind == "closed":
            os.close(place)
        else:
            os.dup2(targets.get(kind or "", usual), place)
    encoding = fault.get("encoding", "utf-8")
    os.environ["PYTHONIOENCODING"] = encoding
    made = []
    for place, name, errors in ((0, "stdin", None), (1, "stdout", None),
                                (2, "stderr", "backslashreplace")):  # fmt: skip
        mode = "w" if place else "r"
        if fault.get(name) == "closed":
            made.append(None)
        else:
            made.append(os.fdopen(place, mode, encoding=encoding, errors=errors, closefd=False))
    sys.stdin, sys.stdout, sys.stderr = made


def as_installed(words: Sequence[str]) -> int:
    """The exit code of `lmn-bench` with these words, Python's own end included."""
    from lmn_bench.__main__ import main

    sys.argv = ["lmn-bench", *words]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            return 120  # as Python ends where it cannot flush
    return code


def preload() -> None:
    """Import what the commands would, once."""
    import importlib

    for name in ("run", "report", "compare", "ab", "size", "list", "fit", "profile", "train",
                 "generate", "show", "baseline", "validate", "env", "sweep", "ab_run", "size_run",
                 "profile_run", "train_run", "generate_run", "verdict", "reports"):  # fmt: skip
        importlib.import_module(f"lmn_bench.cli.{name}")
    import altair  # noqa: F401
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401
    import vl_convert  # noqa: F401

    import lmn_bench.report.charts.draw  # noqa: F401


def table(found: Sequence[Ending]) -> str:
    """The endings as Markdown, a row per command; what is not as expected is marked."""
    by_command: dict[str, list[Ending]] = {}
    for one in found:
        by_command.setdefault(one.command, []).append(one)
    lines = [
        "# Exit codes where output fails",
        "",
        "By `python tests/scripts/exit_codes.py`; `tests/lmn_bench/test_exit_codes.py` holds it. "
        "A reader that left (`| head`), an encoding that lacks a sign and a lost stderr change no "
        f"exit code. Output that cannot be written makes a 0 a {LOST}, and nothing else anything.",
        "",
        "| `lmn-bench …` | " + " | ".join(FAULTS) + " |",
        "|:--" + "|--:" * len(FAULTS) + "|",
    ]
    for command, row in by_command.items():
        cells = [str(one.code) + ("" if one.code == one.expected else " ✗") for one in row]
        lines.append(f"| `{command}` | " + " | ".join(cells) + " |")
    wrong = sum(one.code != one.expected for one in found)
    return "\n".join([*lines, "", f"{wrong} of {len(found)} are not as they should be."]) + "\n"


def main() -> None:
    """Run all, and write the table or print the endings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    path = [str(ROOT), str(ROOT / "tests" / "lmn_bench"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    preload()
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder))
        found: list[Ending] = []
        for command in COMMANDS:
            found += endings([command], faults_of(command, quick=quick), Path(folder))
    if quick:
        print(json.dumps([asdict(one) for one in found]))
    else:
        OUTPUT.write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
