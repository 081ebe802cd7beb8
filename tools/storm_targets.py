"""Commands that `storm_kills.py` kills while they measure, and what has to hold afterwards."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from storm_material import GATE, PROFILE, RECORDS, SIZE, make_repository, worktrees
from storm_shared import (
    Ended,
    Findings,
    broken_json,
    compared,
    completed,
    left_in,
    strays,
    whole_lines,
)

INTERNAL, INTERRUPTED = 3, 130
_POLITE = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Kill:
    """A kill, and how the command ended: whether it hit, and the journal of just before."""

    who: str
    number: int
    hit: bool
    journal: Any
    ended: Ended
    mark: str


class Target:
    """A command in a folder of its own, with what it works on.

    Attributes:
        name: of its rows.
        who: the processes that are killed in turn.
        numbers: the signals that are sent in turn.
        codes: exit codes of a command that nobody disturbs.
        bereft: further ones where its server or a child is killed.
    """

    name: ClassVar[str]
    who: ClassVar[Sequence[str]] = ("parent",)
    numbers: ClassVar[Sequence[int]] = (signal.SIGKILL,)
    codes: ClassVar[Sequence[int]] = (0,)
    bereft: ClassVar[Sequence[int]] = (1,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"

    slug: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.slug = "".join(one if one.isalnum() else "-" for one in cls.name)

    @property
    def watched(self) -> Path:
        """Where it writes."""
        return self.results

    def prepare(self) -> None:
        """Make what it works on."""

    def words(self, place: int) -> Sequence[str]:
        """The command line of a kill."""
        raise NotImplementedError

    def journal(self) -> Any:
        """What is finished by now."""
        return None

    def after(self, kill: Kill) -> Findings:
        """What a kill did that it should not have."""
        return Findings(wrong=self.wrong_end(kill))

    def finish(self, mark: str) -> Findings:
        """Let the command end by itself once, and look at all that is there."""
        ended = completed(self.words(0), self.folder, mark)
        found = Findings(left=strays(mark), wrong=broken_json(self.results))
        if ended.code not in self.codes:
            found.wrong.append(f"the next one ends in {ended.code}: {ended.err[-300:]}")
        found.left += left_in(self.folder / "tmp")
        return found

    def wrong_end(self, kill: Kill) -> list[str]:
        """An exit code that this kill is no reason for, with the last words."""
        allowed = set(self.codes)
        if kill.who != "parent":
            allowed |= {*self.bereft} if kill.hit else set()
        elif kill.hit:
            # A polite signal before there is anybody to hear it ends Python as it does others.
            allowed |= {-kill.number, *((INTERRUPTED,) if kill.number in _POLITE else ())}
        if kill.ended.code in allowed:
            return []
        return [f"exit code {kill.ended.code}: {kill.ended.err.strip()[-300:]}"]


class Run(Target):
    """A run is resumed after every kill, and has then all its records, each once."""

    name = "run"
    who = ("parent", "server", "child")

    def prepare(self) -> None:
        """Nothing is there before."""
        shutil.rmtree(self.results)

    def words(self, place: int) -> Sequence[str]:
        """A run of its own for every kill."""
        return ("run", "--suite", "tiny.toml", "--seed", str(place), "--results", "results")

    def _runs(self) -> list[Path]:
        return sorted(path.parent for path in self.results.glob("tiny-*/run.json"))

    def journal(self) -> list[str]:
        """The records of the latest run that are whole, and which run that is."""
        runs = self._runs()
        return [str(runs[-1]), *whole_lines(runs[-1] / "records.jsonl")] if runs else []

    def prepare_next(self) -> None:
        """Of the runs so far nothing is asked any more."""
        for folder in self._runs():
            shutil.rmtree(folder)

    def after(self, kill: Kill) -> Findings:
        """Resume it, and hold the records against those of before."""
        found = super().after(kill)
        runs = self._runs()
        if not runs:
            if kill.journal:
                found.lost.append("the whole run")
            return found
        run = runs[-1]
        if kill.who == "parent" and kill.hit:
            mark = f"{kill.mark}-resume"
            ended = completed(("run", "--resume", str(run)), self.folder, mark)
            found.left += strays(mark)
            if ended.code:
                found.wrong.append(f"--resume ends in {ended.code}: {ended.err.strip()[-300:]}")
        journal = kill.journal[1:] if kill.journal and kill.journal[0] == str(run) else []
        found.add(compared(journal, whole_lines(run / "records.jsonl"), RECORDS))
        found.wrong += broken_json(run)
        found.left += left_in(run)
        self.prepare_next()
        return found

    def finish(self, mark: str) -> Findings:
        """A whole run; folders without a `run.json` are left behind."""
        found = super().finish(mark)
        found.left += left_in(self.results)
        return found


class Gate(Target):
    """`ab`: what was measured is there, and no worktree is."""

    name = "ab"
    numbers = (signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

    def prepare(self) -> None:
        """A repository of its own."""
        shutil.rmtree(self.results)
        make_repository(self.folder)

    def words(self, place: int) -> Sequence[str]:
        """The working tree against its commit."""
        return (*GATE, "--seed", str(place), "--results", "results")

    def journal(self) -> dict[str, list[str]]:
        """The whole records of every arm, by file."""
        files = self.results.glob("ab-*/*/records.jsonl")
        return {str(path): whole_lines(path) for path in files}

    def after(self, kill: Kill) -> Findings:
        """Records stand; after a polite signal nothing at all is left, at once."""
        found = super().after(kill)
        for name, lines in (kill.journal or {}).items():
            after = whole_lines(Path(name))
            found.add(compared(lines, after, len(lines)))
        found.wrong += broken_json(self.results)
        # Not of one that had not begun to listen: that is as a kill is.
        if kill.ended.code >= 0:
            found.left += worktrees(self.folder)
        return found

    def finish(self, mark: str) -> Findings:
        """A whole one sweeps."""
        found = super().finish(mark)
        found.left += [*worktrees(self.folder), *left_in(self.results)]
        return found


class Profile(Target):
    """`profile`: folders with numbers that can be read, and no others."""

    name = "profile"
    who = ("parent", "server", "child")

    def prepare(self) -> None:
        """Nothing is there before."""
        shutil.rmtree(self.results)

    def words(self, place: int) -> Sequence[str]:
        """The smallest."""
        return (*PROFILE, "--results", "results")

    def after(self, kill: Kill) -> Findings:
        """One whose process was killed leaves no folder, as one that was refused."""
        found = super().after(kill)
        found.wrong += broken_json(self.results)
        if kill.ended.code == 1:
            found.left += self._half()
        return found

    def _half(self) -> list[str]:
        folders = sorted(path for path in self.results.glob("*") if path.is_dir())
        return [
            f"folder {path.name} without numbers"
            for path in folders
            if not (path / "profile.json").is_file()
        ]

    def finish(self, mark: str) -> Findings:
        """A whole one sweeps."""
        found = super().finish(mark)
        found.left += [*self._half(), *left_in(self.results)]
        return found


class Size(Target):
    """`size --verify`: no process, and a page that is the old one or a whole one."""

    name = "size --verify"
    who = ("parent", "server", "child")
    bereft = (1, 4)

    @property
    def watched(self) -> Path:
        """A folder that holds the page alone."""
        return self.folder / "out"

    def prepare(self) -> None:
        """A folder for the page."""
        self.watched.mkdir()

    def words(self, place: int) -> Sequence[str]:
        """With a page."""
        return (*SIZE, "--results", "results", "--html", "out/size.html")

    def after(self, kill: Kill) -> Findings:
        """A page that is there is whole."""
        found = super().after(kill)
        page = self.watched / "size.html"
        if page.is_file() and not page.read_text().rstrip().endswith("</html>"):
            found.lost.append("a page that is neither the old one nor the new one")
        return found

    def finish(self, mark: str) -> Findings:
        """A whole one sweeps what lies beside its page."""
        found = super().finish(mark)
        found.left += left_in(self.watched, frozenset({"size.html"}))
        return found
