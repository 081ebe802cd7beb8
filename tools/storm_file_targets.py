"""Commands that `storm_kills.py` kills while they replace a file or a baseline."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from storm_shared import Findings, completed, left_in
from storm_targets import Kill, Target


class Save(Target):
    """`baseline save`: none, or a whole one."""

    name = "baseline save"
    force: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.texts: list[tuple[str, str]] = []

    @property
    def kept(self) -> Path:
        """The folder of the baseline."""
        return self.results / "baselines" / "kept"

    def prepare(self) -> None:
        """Save either run once, so that what is whole is known."""
        for name in ("one", "two"):
            ended = completed(
                ("baseline", "save", "kept", name, "--force", "--results", "results"),
                self.folder, "make",
            )  # fmt: skip
            if ended.code:
                raise RuntimeError(f"no baseline to work on: {ended.err}")
            self.texts.append(self._text())
        if not self.force:
            shutil.rmtree(self.kept)

    def words(self, place: int) -> Sequence[str]:
        """The one run or the other."""
        name = ("one", "two")[place // 2 % 2]
        force = ("--force",) if self.force else ()
        return ("baseline", "save", "kept", name, *force, "--results", "results")

    def _text(self) -> tuple[str, str]:
        return ((self.kept / "run.json").read_text(), (self.kept / "records.jsonl").read_text())

    def after(self, kill: Kill) -> Findings:
        """Whole, or (never saved before) not there."""
        found = super().after(kill)
        if self.force and not self.kept.is_dir():
            # A command that looks for it may mend it.
            completed(("baseline", "list", "--results", "results"), self.folder, kill.mark)
        if not self.kept.is_dir():
            if self.force:
                found.lost.append("the baseline of before")
                completed(self.words(0), self.folder, kill.mark)
            return found
        try:
            whole = self._text() in self.texts
        except OSError:
            whole = False
        if not whole:
            found.lost.append("a baseline that is neither the old one nor the new one")
        if not self.force:
            shutil.rmtree(self.kept)
        return found

    def finish(self, mark: str) -> Findings:
        """A whole one sweeps what lies beside it."""
        found = super().finish(mark)
        found.left += left_in(self.results / "baselines")
        return found


class Replace(Save):
    """`baseline save --force`: the old one or the new one."""

    name = "baseline save --force"
    force = True


class Report(Target):
    """`report -o`: the old file or the new one."""

    name = "report -o html"
    ending: ClassVar[str] = "html"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.texts: list[str] = []

    @property
    def watched(self) -> Path:
        """A folder that holds the output alone."""
        return self.folder / "out"

    @property
    def output(self) -> Path:
        """The file."""
        return self.watched / f"report.{self.ending}"

    def prepare(self) -> None:
        """Report either run once, so that what is whole is known."""
        self.watched.mkdir()
        for place in (0, 2):
            ended = completed(self.words(place), self.folder, "make")
            if ended.code:
                raise RuntimeError(f"no report to work on: {ended.err}")
            self.texts.append(self.output.read_text())

    def words(self, place: int) -> Sequence[str]:
        """Of the one run or the other."""
        name = ("one", "two")[place // 2 % 2]
        return ("report", name, "--results", "results", "-o", f"out/report.{self.ending}")

    def after(self, kill: Kill) -> Findings:
        """Whole."""
        found = super().after(kill)
        if not self.output.is_file():
            found.lost.append("the file of before")
        elif self.output.read_text() not in self.texts:
            found.lost.append("a file that is neither the old one nor the new one")
        return found

    def finish(self, mark: str) -> Findings:
        """A whole one sweeps what lies beside it."""
        found = super().finish(mark)
        found.left += left_in(self.watched)
        return found


class ReportMarkdown(Report):
    """The same in Markdown, which takes less time and so another distribution of moments."""

    name = "report -o md"
    ending = "md"
