"""The commands that `storm_disk.py` gives too little room, and what has to hold afterwards."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from storm_material import GATE, PROFILE, RECORDS, TRAIN, TRAININGS, make_repository
from storm_shared import Ended, Findings, broken_json, compared, completed, left_in, whole_lines

_SAFE = re.compile(r"the ([\d,]+) records before this one are safe")
_INTERIM = re.compile(r"file results/[^/]+/interim/[^/]+\.pt")


class Target:
    """A command that writes to a disk of its own.

    Attributes:
        name: of its row.
        full_codes: how it may end on a full disk.
        next_codes: how the command may end that goes on once there is room.
    """

    name: ClassVar[str]
    full_codes: ClassVar[Sequence[int]] = (2,)
    next_codes: ClassVar[Sequence[int]] = (0,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.results = self.disk / "results"

    def prepare(self) -> None:
        """Put there what is there before."""

    def words(self) -> Sequence[str]:
        """The command line."""
        raise NotImplementedError

    def next_words(self, ended: Ended) -> Sequence[str]:
        """The command line that goes on with it."""
        return self.words()

    def journal(self) -> Any:
        """What is finished once the disk is full."""
        return None

    def full(self, ended: Ended) -> Findings:
        """What the full disk did that it should not have."""
        return Findings(left=left_in(self.disk), wrong=broken_json(self.disk))

    def after(self, journal: Any) -> Findings:
        """What is wrong once the command has gone on."""
        return Findings(left=left_in(self.disk), wrong=broken_json(self.disk))


class Run(Target):
    """`run`, then `run --resume`."""

    name = "run"
    suite: ClassVar[str] = "tiny.toml"
    records: ClassVar[int] = RECORDS

    def words(self) -> Sequence[str]:
        """A run on the disk."""
        return ("run", "--suite", self.suite, "--seed", "1", "--results", "disk/results")

    def _run(self) -> Path | None:
        found = sorted(self.results.glob("*/run.json"))
        return found[0].parent if found else None

    def next_words(self, ended: Ended) -> Sequence[str]:
        """Resume it, if it had begun."""
        run = self._run()
        return self.words() if run is None else ("run", "--resume", str(run))

    def journal(self) -> list[str]:
        """Records that are whole."""
        run = self._run()
        return [] if run is None else whole_lines(run / "records.jsonl")

    def full(self, ended: Ended) -> Findings:
        """As many records as it says, and half a line at most, which the resumption sets aside."""
        # A half line is what was in progress, and no reader takes it for a record; a training that
        # was broken off goes on from its interim file.
        broken = [one for one in broken_json(self.disk) if "records.jsonl" not in one]
        left = [one for one in left_in(self.disk) if not _INTERIM.fullmatch(one)]
        found = Findings(left=left, wrong=broken)
        if said := _SAFE.search(ended.err):
            there = len(self.journal())
            if int(said[1].replace(",", "")) != there:
                found.lost.append(f"{said[0]}, and there are {there}")
        return found

    def after(self, journal: Any) -> Findings:
        """All records, each once, those of before among them."""
        run = self._run()
        found = super().after(journal)
        after = [] if run is None else whole_lines(run / "records.jsonl")
        found.add(compared(journal, after, self.records))
        return found


class Learn(Run):
    """The same of a suite that learns."""

    name = "run (learn)"
    suite = "lessons.toml"
    records = TRAININGS
    # "1 some cases or a training failed unexpectedly"
    full_codes = (1, 2)


class Train(Target):
    """`train`, then `train --resume` if anything was saved."""

    name = "train"
    full_codes = (1, 2)

    @property
    def checkpoint(self) -> Path:
        """What it writes."""
        return self.disk / "model.safetensors"

    def words(self) -> Sequence[str]:
        """A training on the disk."""
        return (*TRAIN[:-1], "disk/model.safetensors")

    def next_words(self, ended: Ended) -> Sequence[str]:
        """Go on with it; a finished one writes."""
        if not self.checkpoint.exists():
            return self.words()
        if ended.code == 0:
            return ("generate", "disk/model.safetensors", "--prompt", "cat", "--tokens", "2")
        return ("train", "--resume", "-o", "disk/model.safetensors")

    def full(self, ended: Ended) -> Findings:
        """No other file beside the checkpoint."""
        found = Findings(left=left_in(self.disk, frozenset({"model.safetensors"})))
        if "keeps step" in ended.err and not self.checkpoint.exists():
            found.lost.append("the checkpoint that it speaks of")
        return found

    def after(self, journal: Any) -> Findings:
        """The same."""
        return Findings(left=left_in(self.disk, frozenset({"model.safetensors"})))


class Profile(Target):
    """`profile`, then another one."""

    name = "profile"

    def words(self) -> Sequence[str]:
        """A profile on the disk."""
        return (*PROFILE, "--results", "disk/results")


class Baseline(Target):
    """`baseline save --force` over an old one."""

    name = "baseline save --force"

    @property
    def kept(self) -> Path:
        """The folder of the baseline."""
        return self.results / "baselines" / "kept"

    def prepare(self) -> None:
        """The runs and the new baseline once, then the old one."""
        shutil.copytree(self.folder / "results", self.results)
        self.texts = []
        for name in ("two", "one"):
            ended = completed(self._save(name), self.folder, "make")
            if ended.code:
                raise RuntimeError(f"no baseline to work on: {ended.err}")
            self.texts.append(self._text())

    def _save(self, name: str) -> Sequence[str]:
        return ("baseline", "save", "kept", name, "--force", "--results", "disk/results")

    def _text(self) -> tuple[str, str]:
        return ((self.kept / "run.json").read_text(), (self.kept / "records.jsonl").read_text())

    def words(self) -> Sequence[str]:
        """The new one."""
        return self._save("two")

    def full(self, ended: Ended) -> Findings:
        """The old one or the new one."""
        found = super().full(ended)
        try:
            whole = self._text() in self.texts
        except OSError:
            whole = False
        if not whole:
            found.lost.append("the baseline is neither the old one nor the new one")
        return found

    def after(self, journal: Any) -> Findings:
        """The new one."""
        found = super().after(journal)
        if self._text() != self.texts[0]:
            found.lost.append("the baseline is not the new one")
        return found


class Gate(Target):
    """`ab`, then `compare` of what it has kept."""

    name = "ab"
    # What was cut off cannot be told, or holds nothing to compare.
    next_codes = (0, 1, 4, 5)

    def prepare(self) -> None:
        """A repository of its own."""
        make_repository(self.folder)

    def words(self) -> Sequence[str]:
        """The working tree against its commit."""
        return (*GATE, "--seed", "1", "--results", "disk/results")

    def next_words(self, ended: Ended) -> Sequence[str]:
        """Compare what there is, or begin anew."""
        found = next(self.results.glob("ab-*/gate.json"), None)
        whole = found is not None and len(list(found.parent.glob("*/run.json"))) == 3
        return ("compare", str(found.parent)) if found and whole else self.words()

    def journal(self) -> dict[Path, list[str]]:
        """The whole records of every arm, by file."""
        return {path: whole_lines(path) for path in self.results.glob("ab-*/*/records.jsonl")}

    def full(self, ended: Ended) -> Findings:
        """Half a line at most, which is what was in progress."""
        broken = [one for one in broken_json(self.disk) if "records.jsonl" not in one]
        return Findings(left=left_in(self.disk), wrong=broken)

    def after(self, journal: Any) -> Findings:
        """Records stand."""
        found = Findings(left=left_in(self.disk))
        for path, lines in journal.items():
            found.add(compared(lines, whole_lines(path), len(lines)))
        return found


class Report(Target):
    """`report -o` over an old page."""

    name = "report -o"

    @property
    def page(self) -> Path:
        """What it writes."""
        return self.disk / "report.html"

    def prepare(self) -> None:
        """The new page once, then an old one."""
        ended = completed(self.words(), self.folder, "make")
        if ended.code:
            raise RuntimeError(f"no report to work on: {ended.err}")
        self.new = self.page.read_text()
        self.page.write_text("old\n")

    def words(self) -> Sequence[str]:
        """A page on the disk, of a run that lies elsewhere."""
        return ("report", "one", "--results", "results", "-o", "disk/report.html")

    def full(self, ended: Ended) -> Findings:
        """The old one or the new one."""
        found = Findings(left=left_in(self.disk))
        if self.page.read_text() not in ("old\n", self.new):
            found.lost.append("the page is neither the old one nor the new one")
        return found

    def after(self, journal: Any) -> Findings:
        """The new one."""
        found = Findings(left=left_in(self.disk))
        if self.page.read_text() != self.new:
            found.lost.append("the page is not the new one")
        return found


TARGETS: Sequence[type[Target]] = (Run, Learn, Train, Profile, Baseline, Gate, Report)
