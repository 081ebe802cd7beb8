"""Commands that are ended while a model of theirs has daemons: how many processes were left.

    python tools/storm_runs.py -o rows.md

Each command measures, learns or profiles a model of `storm_models.py` that has forked twice and
hangs; it is sent a signal, and 2 s later nothing that it has started may be there. Itself, it may
write its report yet. Exit code 1 where something is left.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from storm_processes import GRACE_S, HERE, LENGTH, MARK, marked

ROOT = HERE.parent
_MODEL = "storm_models:daemon_and_hang"
_STARTING_S = 120.0
# Code of a child: a shell starts what runs in its background deaf to SIGINT.
_COMMAND_LINE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from lmn_bench.__main__ import main; main()"
)
_LESSON = """
name = "storm"
[learning]
steps = 2
examples = 4
[[sweep]]
modes = ["learn"]
task = ["copy-16"]
subjects = ["storm_models:learns_with_a_daemon"]
batch = 2
width = 16
heads = 2
banks = 1
"""
COMMANDS = {
    "run": ("run", "--models", _MODEL, "--modes", "prefill", "--lengths", str(LENGTH),
            "--memory-cap", "none", "--set", "width=16", "--set", "heads=1", "-q"),
    "run (learn)": ("run", "--suite", "lesson.toml", "-q"),
    "profile": ("profile", _MODEL, "--mode", "prefill", "--length", str(LENGTH), "--width", "16",
                "--heads", "1"),
}  # fmt: skip
_TWICE = frozenset({"run (learn)"})
_BETWEEN_S = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what was left of it."""

    command: str
    number: signal.Signals
    code: int
    seconds: float
    left: tuple[str, ...]


def ended(name: str, number: signal.Signals, folder: Path) -> Ended:
    """Start a command, send it a signal once its model has a daemon, and look what is left."""
    mark = f"{os.getpid()} {name} {number.name}"
    path = os.pathsep.join([str(HERE), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, MARK: mark, "PYTHONPATH": path}
    sign = folder / f"{name}-{number.name}"
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND_LINE, *COMMANDS[name]], cwd=folder, stdout=said,
            stderr=said, env={**environ, "STORM_SIGN": str(sign)}, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _STARTING_S
    while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if not sign.exists():
        words = (folder / "said").read_text(errors="replace")
        raise RuntimeError(f"{name} has started no daemon; exit code {process.poll()}: {words}")
    begin = time.monotonic()
    process.send_signal(number)
    if name in _TWICE and number != signal.SIGKILL:
        # The first asks for an end after the step that runs, which this one never reaches.
        time.sleep(_BETWEEN_S)
        process.send_signal(number)
    while (left := _started(mark, process.pid)) and time.monotonic() < begin + GRACE_S:
        time.sleep(0.02)
    seconds = time.monotonic() - begin
    try:
        return Ended(name, number, process.wait(_STARTING_S), seconds, left)
    finally:
        process.kill()


def _started(mark: str, pid: int) -> tuple[str, ...]:
    """The commands of those that one process has started, and that still run."""
    return tuple(words for other, words in marked(mark).items() if other != pid)


def rows(seen: Sequence[Ended]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| command | ended by | exit code | seconds | left |"
    yield "|---|---|---:|---:|---:|"
    for one in seen:
        yield (
            f"| {one.command} | {one.number.name} | {one.code} | {one.seconds:.1f} | "
            f"{len(one.left)} |"
        )


def main() -> int:
    """End every command by every signal, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file for the rows (Markdown)")
    options = parser.parse_args()
    seen = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lesson.toml").write_text(_LESSON)
        for command in COMMANDS:
            for number in SIGNALS:
                seen.append(ended(command, number, folder))
                sys.stderr.write(f"{seen[-1]}\n")
    table = "\n".join(rows(seen)) + "\n"
    if options.output is None:
        sys.stdout.write(table)
    else:
        options.output.write_text(table, encoding="utf-8")
    return int(any(one.left for one in seen))


if __name__ == "__main__":
    sys.exit(main())
