"""Which results folder a command works with, and what a person should know before it is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lmn_bench.cli.console import stderr_console
from lmn_bench.errors import RevisionError
from lmn_bench.places import RESULTS, holds_others, results_folder, work_tree
from lmn_bench.typed import shell_word


def default_results() -> Path:
    """Where results are if nothing says otherwise, as one would type it from here."""
    try:
        here = Path.cwd()
        found = results_folder(here, Path.home())
    except (OSError, RuntimeError):
        # The working directory is gone, or nobody is at home: whatever comes next will say so.
        return Path(RESULTS)
    return Path(os.path.relpath(found, here))


def tell_place(results: Path, *, kept: bool = False) -> None:
    """Before a command writes into `results`: where that is, if not here, and what git makes of it.

    To stderr, at most a line each; what lies in the folder and what git ignores is told only when
    the first thing goes there.

    Args:
        results: as the command has it.
        kept: whether what goes there is to be committed, as baselines are.
    """
    for line in place_lines(results, Path.cwd(), kept=kept):
        stderr_console().print(line, markup=False, soft_wrap=True)


def place_lines(results: Path, here: Path, *, kept: bool = False) -> Iterator[str]:
    """What `tell_place` says."""
    if results == default_results() and results != Path(RESULTS):
        yield f"results go to {results}, of the repository that this folder is in"
    if holds_others(results):
        yield (
            f"{results} holds other things: runs get folders of their own beside them; "
            "--results FOLDER puts them elsewhere"
        )
    elif not kept and not results.exists():
        line = _ignore_command(results, here)
        if line is not None:
            yield f"hint: git does not ignore {results}: {line}"


def _ignore_command(results: Path, here: Path) -> str | None:
    """What makes git ignore a folder that isn't there yet; None where there is no need."""
    from lmn_bench.run.git import git

    there = results.resolve()
    top = work_tree(there)
    if top is None:
        return None
    inside = there.relative_to(top).as_posix()
    at = next(folder for folder in there.parents if folder.is_dir())
    try:
        asked = git("check-ignore", "-q", f"{there}/{RESULTS}", at=at, environ=os.environ)
    except RevisionError:
        return None
    if asked.code != 1:
        # 0: it is ignored; anything else: git won't say.
        return None
    file = os.path.relpath(top / ".gitignore", here)
    # Without a line end before it, it would become a part of the last line.
    word = "echo" if _ends_in_a_line(top / ".gitignore") else "printf '\\n%s\\n'"
    return f"{word} {shell_word(f'{inside}/')} >> {shell_word(file)}"


def _ends_in_a_line(file: Path) -> bool:
    try:
        return file.read_bytes()[-1:] in (b"", b"\n")
    except OSError:
        return True
