"""Kills at seeded moments of what trains: is anything lost, doubled, left behind, or learned anew?

    python tools/storm_trainings.py                  60 kills of each: about an hour on quiet cores
    python tools/storm_trainings.py --kills 8 --only train
    python tools/storm_trainings.py -o               also writes results/evidence/faults.md

Half of the kills are spread over the command's whole life, the other half follow its first write.
After each the same command goes on (`--resume`), and is killed again, until the training is over.
Then its curve, and of `train` every byte of weights, optimizer and random numbers, is held against
those of a training that nobody disturbed. The model of `learn` has a dropout.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from storm_shared import (
    EVIDENCE,
    KEPT,
    PATIENCE_S,
    Command,
    Findings,
    Life,
    compared,
    left_in,
    life_of,
    moments,
    strays,
    strike,
    whole_lines,
    write_section,
)

HEADING = "Killed trainings"
STEPS, SEEDS = 160, 2
INTERNAL = 3
# A command that has nothing to go on with, and says so, may follow a kill after the last save.
_MOST_TURNS = 50
_MODEL = """
from torch import nn

def make(spec):
    return nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), nn.Linear(8, 8))
"""
_SUITE = f"""
name = "storm"
[learning]
corpus = "cats.txt"
steps = {STEPS}
seeds = {SEEDS}
examples = 8
validate_every = 20
save_every = 4
[[sweep]]
modes = ["learn"]
subjects = ["storm_model:make"]
lengths = [16]
batch = 2
width = 8
heads = 2
banks = 1
"""
_TINY = {"width": 8, "heads": 2, "layers": 1, "banks": 1, "length": 16, "batch": 4}


class TrainingCommand(Command):
    """A command whose learning process, and its warden, can be told from its server."""

    def victim(self, who: str) -> int | None:
        """The process that is "parent", "server", "child" or "warden", if there is one now."""
        pid: int = self.process.pid
        if who == "parent":
            return pid if self.lives else None
        for one in _descendants(pid):
            words = _words_of(one)
            is_warden, learns = "lmn_bench.warden" in words, "worker.learning" in words
            found = {
                "child": learns and not is_warden, "warden": learns and is_warden,
                "server": words.endswith("-m lmn_bench.worker") and not is_warden,
            }  # fmt: skip
            if found[who]:
                return one
        return None


def _descendants(pid: int) -> Iterator[int]:
    """All processes that one has started, and these in turn."""
    try:
        threads = [*Path(f"/proc/{pid}/task").iterdir()]
        children = [int(one) for thread in threads
                    for one in (thread / "children").read_text().split()]  # fmt: skip
    except OSError:
        return
    for child in children:
        yield child
        yield from _descendants(child)


def _words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Learn:
    """`run` of a suite that learns a model of the user's."""

    name: ClassVar[str] = "run (mode learn)"
    who: ClassVar[Sequence[str]] = ("parent", "server", "child", "warden")

    def __init__(self, folder: Path) -> None:
        self.folder, self.watched = folder, folder / "results"
        folder.mkdir()
        (folder / "storm_model.py").write_text(_MODEL)
        (folder / "storm.toml").write_text(_SUITE)
        _write_corpus(folder)
        self._had: list[str] = []

    @property
    def _run(self) -> Path | None:
        return next((path.parent for path in self.watched.glob("*/run.json")), None)

    def words(self) -> list[str]:
        """What begins it, or goes on with it."""
        if self._run is not None:
            return ["run", "--resume", str(self._run)]
        return ["run", "--suite", "storm.toml", "--results", "results"]

    def journal(self) -> list[str]:
        """Records that are finished."""
        if self._run is None:
            return []
        lines = whole_lines(self._run / "records.jsonl")
        return [line for line in lines if json.loads(line)["outcome"] != "killed"]

    def found(self, before: Any) -> Findings:
        """What became of what was finished just before a kill."""
        return compared(before or [], self.journal(), planned=0)

    @property
    def is_over(self) -> bool:
        """Whether every training has its record."""
        if self._run is None or len(self.journal()) < SEEDS:
            return False
        return json.loads((self._run / "run.json").read_text())["finished_at"] is not None

    def left(self) -> list[str]:
        """Files of a run that is over, and that none should have."""
        return left_in(self.watched, KEPT)

    def curves(self) -> dict[str, Any]:
        """What it learned, by seed."""
        found = {}
        for line in self.journal():
            record = json.loads(line)
            learned = record.get("learned") or {}
            found[f"seed {record['replicate']}"] = [
                record["outcome"],
                *(learned.get(key) for key in ("training", "validation")),
            ]
        return found


class Train:
    """`train` of the smallest language model."""

    name: ClassVar[str] = "train"
    who: ClassVar[Sequence[str]] = ("parent", "child", "warden")

    def __init__(self, folder: Path) -> None:
        self.folder = self.watched = folder
        folder.mkdir()
        _write_corpus(folder)
        # Made here: they are no part of what it writes.
        for name in ("tmp", "cache"):
            (folder / name).mkdir()
        self._checkpoint = folder / "storm.safetensors"

    def words(self) -> list[str]:
        """What begins it, or goes on with it."""
        if self._checkpoint.exists():
            return ["train", "--resume", "-o", self._checkpoint.name]
        sets = [f"{key}={value}" for key, value in {**_TINY, "save_every": 4}.items()]
        tiny = [word for one in sets for word in ("--set", one)]
        return [
            "train", "--corpus", "cats.txt", "--steps", str(STEPS), *tiny, "-o",
            self._checkpoint.name,
        ]  # fmt: skip

    def _read(self) -> tuple[dict[str, Any], bytes]:
        """The curve and all tensors of the checkpoint; a half one is no JSON."""
        content = self._checkpoint.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end])
        return json.loads(header["__metadata__"]["notes"])["curve"], content[end:]

    def journal(self) -> int:
        """Steps that are saved."""
        return len(self._read()[0]["training"]) if self._checkpoint.exists() else 0

    def found(self, before: Any) -> Findings:
        """What became of what was saved just before a kill."""
        after = self.journal()
        lost = [f"step {before} was saved, now {after}"] if after < (before or 0) else []
        return Findings(lost=lost)

    @property
    def is_over(self) -> bool:
        """Whether all steps are saved."""
        return self.journal() == STEPS

    def left(self) -> list[str]:
        """Files beside a finished checkpoint that none should have."""
        for name in ("tmp", "cache"):
            shutil.rmtree(self.folder / name)
        return left_in(self.folder, frozenset({"cats.txt", self._checkpoint.name}))

    def curves(self) -> dict[str, Any]:
        """What it learned."""
        curve, tensors = self._read()
        return {"training": curve["training"], "validation": curve["validation"],
                "tensors": tensors}  # fmt: skip


Target = Learn | Train
TARGETS: dict[str, type[Learn] | type[Train]] = {"learn": Learn, "train": Train}


def _write_corpus(folder: Path) -> None:
    (folder / "cats.txt").write_text("the cat sat on the mat, and the dog sat on the log; " * 60)


@dataclass
class Row:
    """What the kills of one victim of one command did."""

    tried: int = 0
    hit: int = 0
    found: Findings = field(default_factory=Findings)
    differ: list[str] = field(default_factory=list)


@dataclass
class Storm:
    """Kills of one command, one after the other.

    Attributes:
        kind: of the command.
        folder: for its own.
        whole: what is learned when nobody disturbs.
        rows: by victim.
    """

    kind: type[Learn] | type[Train]
    folder: Path
    whole: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    made: int = 0

    def target(self) -> Target:
        """A new one, in a folder of its own."""
        self.made += 1
        return self.kind(self.folder / f"{self.kind.__name__.lower()}-{self.made}")

    def command(self, target: Target, mark: str) -> TrainingCommand:
        """What begins a training, or goes on with it."""
        return TrainingCommand(target.words(), target.folder, mark, target.watched)

    def undisturbed(self) -> Life:
        """A whole life; keeps what came of it.

        Raises:
            RuntimeError: it does not end well by itself.
        """
        target = self.target()
        seen, ended = life_of(self.command(target, f"{self.folder.name}-life"), self.kind.who)
        if ended.code or not target.is_over:
            raise RuntimeError(f"{self.kind.name} ends in {ended.code}: {ended.err[-800:]}")
        self.whole = target.curves()
        return seen

    def kill(self, count: int, life: Life, rng: random.Random) -> None:
        """So many kills; whatever is over is judged, and a new one begun."""
        who = self.kind.who
        target, hit_by = self.target(), set()
        for place, moment in enumerate(moments(count, life, who, len(who), rng)):
            victim = who[place % len(who)]
            row = self.rows.setdefault(victim, Row())
            mark = f"{self.folder.name}-{self.kind.__name__}-{place}"
            command = self.command(target, mark)
            hit, before = strike(command, victim, moment, signal.SIGKILL, target.journal)
            ended = command.ended()
            row.tried, row.hit = row.tried + 1, row.hit + hit
            hit_by.add(victim)
            row.found.add(target.found(before))
            row.found.left += strays(mark)
            if ended.code == INTERNAL or "Traceback" in ended.err or "started anew" in ended.err:
                row.found.wrong.append(f"kill {place}: exit {ended.code}: {ended.err[-300:]}")
            if target.is_over:
                self.judge(target, row)
                target, hit_by = self.target(), set()
        if hit_by:
            self.finish(target)
            self.judge(target, self.rows[who[(count - 1) % len(who)]])

    def finish(self, target: Target) -> None:
        """Let it come to its end."""
        for turn in range(_MOST_TURNS):
            if target.is_over:
                return
            self.command(target, f"{self.folder.name}-finish-{turn}").ended(PATIENCE_S)

    def judge(self, target: Target, row: Row) -> None:
        """Hold what is over against what nobody disturbed."""
        if not target.is_over:
            row.found.wrong.append(f"{target.folder.name} does not come to an end")
            return
        curves = target.curves()
        row.differ += [f"{target.folder.name}: {key}" for key, value in self.whole.items()
                       if curves.get(key) != value]  # fmt: skip
        # A run is swept by the next command that meets it; so is a folder of checkpoints.
        row.found.left += target.left()
        shutil.rmtree(target.folder)


def table(rows: dict[str, Row]) -> list[str]:
    """The rows as Markdown, and sums."""
    lines = [
        "| command | what was killed | tried | hit | lost | doubled | left behind | curve differs "
        "| wrong |",
        "|:--|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    sums = [0] * 7
    for name, row in rows.items():
        found = row.found
        cells = [row.tried, row.hit, len(found.lost), len(found.doubled), len(found.left),
                 len(row.differ), len(found.wrong)]  # fmt: skip
        sums = [one + more for one, more in zip(sums, cells, strict=True)]
        lines.append(f"| `{name.replace(' | ', '` | ')} | {' | '.join(map(str, cells))} |")
    return [*lines, f"| all | | {' | '.join(map(str, sums))} |"]


def say(line: str) -> None:
    """On stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run the storm; exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60, help="of each victim (60)")
    parser.add_argument("--only", default=",".join(TARGETS), help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, nargs="?", const=EVIDENCE,
                        help="a Markdown file that gets the table")  # fmt: skip
    given = parser.parse_args()
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        for name in given.only.split(","):
            begin, kind = time.monotonic(), TARGETS[name]
            storm = Storm(kind, Path(folder))
            life = storm.undisturbed()
            say(f"{kind.name}: a life of {life.wall_s:.1f} s")
            drawn = random.Random(f"{given.seed} {name}")
            storm.kill(given.kills * len(kind.who), life, drawn)
            for victim, row in storm.rows.items():
                rows[f"{kind.name} | {victim}"] = row
                found = [*row.found.all, *(("curve differs", one) for one in row.differ)]
                for what, sentence in found:
                    say(f"  {what}: {kind.name} | {victim}: {sentence}")
            say(f"{kind.name}: {time.monotonic() - begin:.0f} s")
    lines = table(rows)
    print("\n".join(lines))
    if given.output is not None:
        intro = f"By `python tools/storm_trainings.py --kills {given.kills} --seed {given.seed}`."
        write_section(given.output, HEADING, [intro, "", *lines])
    return int(any(row.found.all or row.differ for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
