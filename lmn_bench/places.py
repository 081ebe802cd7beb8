"""Where suites and runs lie: the results folder of a working directory, and what is in it.

Nothing here reads what a file holds: names are enough, and shells that complete them can't wait.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

RESULTS: Final = "results"
RUN_FILE: Final = "run.json"
GATE_FILE: Final = "gate.json"
PROFILE_FILE: Final = "profile.json"
RECORDS_FILE: Final = "records.jsonl"
TRACE_FILE: Final = "trace.json.gz"
LINES_FILE: Final = "lines.txt"
BASELINES: Final = "baselines"

_PACKAGED = Path(__file__).parent / "_suites"
_CHECKOUT = Path(__file__).parent.parent / "suites"
_OURS: Final = (
    f"*/{RUN_FILE}", f"*/{GATE_FILE}", f"*/{PROFILE_FILE}", f"{BASELINES}/*/{RUN_FILE}",
)  # fmt: skip


def suite_files() -> dict[str, Path]:
    """The files of the suites that come with lmn-bench, by name."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def results_folder(here: Path, home: Path | None = None) -> Path:
    """The results folder of a working directory, found from the subfolders of a repository.

    The nearest folder, from `here` up to the top of its git working tree, whose `results` holds
    something of ours; without one, `results` at the top of the working tree, or in `here` where
    there is no working tree, or where what is at the top is somebody else's.

    Args:
        here: the working directory, absolute.
        home: a folder that is no project, even where it is kept in git: the user's own.
    """
    top = work_tree(here, home)
    if top is None:
        return here / RESULTS
    folder = here
    while True:
        if holds_ours(folder / RESULTS):
            return folder / RESULTS
        if folder == top:
            break
        folder = folder.parent
    return (here if holds_others(top / RESULTS) else top) / RESULTS


def work_tree(here: Path, home: Path | None = None) -> Path | None:
    """The top of the git working tree that a folder lies in; None outside one, and for `home`."""
    for folder in (here, *here.parents):
        if (folder / ".git").exists():
            return None if folder == home else folder
    return None


def holds_ours(results: Path) -> bool:
    """Whether a folder holds runs, baselines, gates or profiles."""
    return any(next(results.glob(pattern), None) is not None for pattern in _OURS)


def holds_others(results: Path) -> bool:
    """Whether there is something, and nothing of ours; a README or a hidden file is no matter."""
    if not results.exists() or holds_ours(results):
        return False
    try:
        names = [path.name.lower() for path in results.iterdir()]
    except OSError:
        # A file, or a folder that isn't ours to read.
        return True
    return any(not name.startswith((".", "readme")) for name in names)


def run_names(results: Path) -> list[str]:
    """The names of all run folders below `results`, the latest first."""
    return [path.parent.name for path in _latest_first(results, RUN_FILE)]


def gate_names(results: Path) -> list[str]:
    """The names of all folders of `ab`, the latest first."""
    return [path.parent.name for path in _latest_first(results, GATE_FILE)]


def baseline_names(results: Path) -> list[str]:
    """The names of all baselines."""
    names = (path.parent.name for path in (results / BASELINES).glob(f"*/{RUN_FILE}"))
    # What a crash left over begins with a dot.
    return sorted(name for name in names if not name.startswith("."))


def _latest_first(results: Path, file: str) -> list[Path]:
    return sorted(results.glob(f"*/{file}"), key=_changed_at, reverse=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
