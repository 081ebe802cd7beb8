"""Runs read as the sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lmn_bench.analysis.alternated import Arms, judge
from lmn_bench.analysis.comparison import Comparison
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.side import StoredSide
from lmn_bench.baselines import find_runs
from lmn_bench.cli.outputs import warn_of_bad_lines
from lmn_bench.gates import ARMS, read_gate
from lmn_bench.store import StoredRun, read_run


@dataclass(frozen=True)
class ReadSide(StoredSide):
    """A side with the folders it came from."""

    folders: tuple[Path, ...] = ()


def read_side(text: str, results: Path) -> ReadSide:
    """The runs and baselines that `text` names, separated by commas.

    Lines that cannot be read are named on stderr.
    """
    folders = find_runs(text, results)
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        warn_of_bad_lines(run)
    name = ", ".join(folder.name for folder in folders)
    return ReadSide(name, tuple((run.info, run.records) for run in runs), tuple(folders))


def side_of(name: str, run: StoredRun) -> StoredSide:
    """One run as a side of that name."""
    return StoredSide(name, ((run.info, run.records),))


def judge_again(folder: Path, options: Options) -> Comparison:
    """The comparison that a stored `ab` comes to by these options."""
    gate = read_gate(folder)
    names = {"base": gate.base, "null": gate.base, "new": gate.new}
    sides = [side_of(names[arm], read_run(folder / arm)) for arm in ARMS]
    return judge(Arms(*sides), options, gate.notes)
