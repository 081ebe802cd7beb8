"""What the storms share: marked commands, whom a kill hits and when, and what is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVIDENCE = ROOT / "results" / "evidence" / "faults.md"
# In the environment of every command of a storm, and so of all that it starts.
MARK = "LMN_BENCH_STORM"
# What commands keep. Anything else in a folder of results is left behind.
KEPT = frozenset({
    "run.json", "records.jsonl", "records.rejected.jsonl", "report.md", "report.html",
    "report.json", "gate.json", "profile.json", "trace.json.gz", "lines.txt",
})  # fmt: skip
# Processes may take so long to go after whoever started them.
GRACE_S = 2.0
# A command that takes so long hangs; on a busy machine the slowest takes a fifth of that.
PATIENCE_S = 300.0
_POLL_S = 0.0005
# Of the time after a command's first write: renames take microseconds, pages a second.
_SHORTEST_S = 0.00005
_WORKER = b"lmn_bench.worker"


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), what it said, seconds it took."""

    code: int
    out: str
    err: str
    wall_s: float


@dataclass
class Findings:
    """What a kill, or a full disk, did that it should not have; a sentence for each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Take those of another over."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.left += other.left
        self.wrong += other.wrong

    @property
    def all(self) -> list[tuple[str, str]]:
        """Each with its kind."""
        return [
            *(("lost", one) for one in self.lost), *(("doubled", one) for one in self.doubled),
            *(("left behind", one) for one in self.left), *(("wrong", one) for one in self.wrong),
        ]  # fmt: skip


class Command:
    """`lmn-bench` with its words, in a session of its own, its talk kept. Use it once.

    Args:
        words: behind `lmn-bench`.
        folder: working folder; temporary and cache folders are made in it.
        mark: that it and all its processes can be told by.
        watched: a folder whose first change counts as its first write.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, mark: str, watched: Path | None = None
    ) -> None:
        for name in ("tmp", "cache"):
            (folder / name).mkdir(exist_ok=True)
        environ = {
            **os.environ, MARK: mark, "TMPDIR": str(folder / "tmp"),
            "XDG_CACHE_HOME": str(folder / "cache"), "NO_COLOR": "1", "COLUMNS": "200",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }  # fmt: skip
        environ.pop("LMN_BENCH_RESULTS", None)
        self.mark = mark
        self._watched = watched
        self._as_it_was = listing(watched)
        self._said: dict[str, bytes] = {}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lmn_bench", *words],
            cwd=folder, env=environ, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        self._said[name] = getattr(self.process, name).read()

    @property
    def lives(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    @property
    def has_written(self) -> bool:
        """Whether anything in the watched folder has changed since it began."""
        return listing(self._watched) != self._as_it_was

    def victim(self, who: str) -> int | None:
        """The process that is "parent", "server" or "child", if there is one now."""
        pid: int | None = self.process.pid
        if who == "parent":
            return pid if self.lives else None
        assert pid is not None
        server = next((one for one in _descendants(pid) if _is_server(one)), None)
        if who == "server" or server is None:
            return server
        # Whatever watches over the process of a case stands between: that process is the last.
        return next(reversed(list(_descendants(server))), None)

    def ended(self, patience_s: float = PATIENCE_S) -> Ended:
        """Wait for its end; one that hangs is killed and has the exit code -9."""
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        wall_s = time.monotonic() - self.began
        # A process left behind may hold the pipes open.
        for reader in self._readers:
            reader.join(GRACE_S)
        out, err = (self._said.get(name, b"").decode("utf-8", "replace")
                    for name in ("stdout", "stderr"))  # fmt: skip
        return Ended(code, out, err, wall_s)


def completed(words: Sequence[str], folder: Path, mark: str) -> Ended:
    """A command from its begin to its end."""
    return Command(words, folder, mark).ended()


@dataclass(frozen=True)
class Life:
    """When things are to be hit in a command's life, in seconds since its begin.

    Attributes:
        wall_s: its end.
        written_s: its first write.
        windows: of each process that may be hit, when it is first and last seen.
    """

    wall_s: float
    written_s: float
    windows: Mapping[str, tuple[float, float]]


def life_of(command: Command, who: Sequence[str]) -> tuple[Life, Ended]:
    """Watch a command live undisturbed."""
    written: float | None = None
    windows: dict[str, tuple[float, float]] = {}
    while command.lives:
        now = time.monotonic() - command.began
        if written is None and command.has_written:
            written = now
        for one in who:
            if command.victim(one) is not None:
                windows[one] = (windows.get(one, (now,))[0], now)
        time.sleep(_POLL_S)
    ended = command.ended()
    return Life(ended.wall_s, ended.wall_s if written is None else written, windows), ended


@dataclass(frozen=True)
class Moment:
    """When to strike: so many seconds since the "begin", the first "write", or the "victim"."""

    since: str
    seconds: float


def moments(
    count: int, life: Life, who: Sequence[str], variants: int, rng: random.Random
) -> list[Moment]:
    """When the i-th kill strikes, which hits who[i % len(who)]; it is one of so many variants.

    Every second one lies in its own slice of the victim's whole life, from the first millisecond
    on. The others follow the first write, at distances drawn over all orders of magnitude: that is
    where files are half written, for a time that is short beside a life. Each variant gets both;
    a victim that is gone by then, only the first.
    """
    found = []
    for place in range(count):
        victim = who[place % len(who)]
        begin, end = life.windows.get(victim, (0.0, life.wall_s))
        if place // variants % 2 and end > life.written_s:
            span = max(life.wall_s - life.written_s, 10 * _SHORTEST_S)
            found.append(Moment("write", _SHORTEST_S * (span / _SHORTEST_S) ** rng.random()))
        else:
            since = "begin" if victim == "parent" else "victim"
            found.append(Moment(since, (place + rng.random()) / count * (end - begin)))
    return found


def strike(
    command: Command, who: str, moment: Moment, number: int, journal: Callable[[], object]
) -> tuple[bool, object]:
    """Send a signal at a moment; whether it hit anybody, and the journal of just before.

    Interrupt and hang-up go to the whole group, as a terminal sends them.
    """
    reached = {
        "begin": lambda: True,
        "write": lambda: command.has_written,
        "victim": lambda: command.victim(who) is not None,
    }[moment.since]
    while command.lives and not reached():
        time.sleep(_POLL_S)
    begin = command.began if moment.since == "begin" else time.monotonic()
    time.sleep(max(0.0, begin + moment.seconds - time.monotonic()))
    before: object = None
    while command.lives:
        pid = command.victim(who)
        if pid is not None:
            before = journal()
            try:
                if number in (signal.SIGINT, signal.SIGHUP) and who == "parent":
                    os.killpg(pid, number)
                else:
                    os.kill(pid, number)
            except ProcessLookupError:
                continue
            return True, before
        time.sleep(_POLL_S)
    return False, before


def strays(mark: str, grace_s: float = GRACE_S) -> list[str]:
    """Processes that still carry a mark after a time of grace; they are ended."""
    deadline = time.monotonic() + grace_s
    while (pids := list(marked(mark))) and time.monotonic() < deadline:
        time.sleep(0.02)
    said = []
    for pid in pids:
        words = _command_line(pid).replace(b"\0", b" ").decode("utf-8", "replace")[:80]
        said.append(f"process {words}")
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return said


def marked(mark: str) -> Iterator[int]:
    """Processes whose environment has a mark; those that have ended have none."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)
            except OSError:
                continue


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:
        pass
    return found


def _descendants(pid: int) -> Iterator[int]:
    """Children, then theirs, and so on."""
    found = _children(pid)
    while found:
        yield from found
        found = [grandchild for child in found for grandchild in _children(child)]


def _is_server(pid: int) -> bool:
    """Whether a process is one of `lmn_bench.worker`: one that starts it names it further back."""
    words = _command_line(pid).split(b"\0")
    return words[2:3] == [b"-m"] and words[3].startswith(_WORKER)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def listing(folder: Path | None) -> dict[str, int]:
    """The size of every file below a folder, -1 for a folder, by path."""
    found: dict[str, int] = {}
    stack = [] if folder is None else [os.fspath(folder)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found[entry.path] = -1
                        stack.append(entry.path)
                    else:
                        found[entry.path] = entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return found


def left_in(folder: Path, kept: frozenset[str] = KEPT) -> list[str]:
    """Files below a folder that no command keeps, and folders with nothing in them."""
    found = []
    for text, size in sorted(listing(folder).items()):
        path = Path(text)
        if size >= 0 and path.name not in kept:
            found.append(f"file {path.relative_to(folder)}")
        elif size < 0 and not any(path.iterdir()):
            found.append(f"empty folder {path.relative_to(folder)}")
    return found


def broken_json(folder: Path) -> list[str]:
    """Kept files below a folder that are no JSON; of records, lines that are none."""
    found = []
    for path in sorted(folder.rglob("*.json*")):
        if path.name not in KEPT or path.suffix == ".gz":
            continue
        text = path.read_text(encoding="utf-8")
        for part in text.split("\n")[:-1] if path.suffix == ".jsonl" else [text]:
            try:
                json.loads(part)
            except ValueError:
                found.append(f"{path.relative_to(folder)} is no JSON: {part[-40:]!r}")
        if path.suffix == ".jsonl" and text and not text.endswith("\n"):
            found.append(f"{path.relative_to(folder)} ends in half a line")
    return found


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that have their end: what was finished when it was read."""
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []


def compared(journal: Sequence[str], after: Sequence[str], planned: int) -> Findings:
    """Records before a fault beside those of the completed run.

    Args:
        journal: lines that were whole before it.
        after: lines of the file at the end.
        planned: how many records the whole run has.
    """
    found = Findings()
    found.lost += [f"record {_key(line)}" for line in journal if line not in after]
    keys = [_key(line) for line in after]
    found.doubled += [f"record {key}" for key in sorted(set(keys)) if keys.count(key) > 1]
    if len(set(keys)) < planned:
        found.wrong.append(f"{len(set(keys))} of {planned} records at the end")
    return found


def _key(line: str) -> tuple[str, int] | str:
    try:
        record = json.loads(line)
        return record["case_id"], record["replicate"]
    except (ValueError, KeyError, TypeError):
        return line[:40]


def write_section(output: Path, heading: str, lines: Sequence[str]) -> None:
    """Put a section into a Markdown file, in the place of the one with that heading."""
    text = output.read_text(encoding="utf-8") if output.exists() else "# Faults\n"
    parts = text.split("\n## ")
    kept = [part for part in parts if not part.startswith(f"{heading}\n")]
    output.write_text(
        "\n## ".join([*(part.rstrip("\n") + "\n" for part in kept),
                      "\n".join([heading, "", *lines]) + "\n"]),
        encoding="utf-8",
    )  # fmt: skip
