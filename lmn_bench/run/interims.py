"""The folder in a run where trainings are kept that are not over, and what must not stay in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from lmn.atomic import sweep
from lmn_bench.errors import StoreError
from lmn_bench.run.backstop import Task

INTERIM_FOLDER: Final = "interim"
# Nothing else in there is ours to remove. What follows `.pt` is of a file that is not whole.
_OURS = re.compile(r".+-[0-9a-f]{16}\.pt(\.\w+)*")


def interim_file(folder: Path, task: Task) -> Path:
    """Where a training of the run in `folder` is kept."""
    # A case's id is longer than a file's name may be.
    digest = hashlib.sha256(f"{task.case.id} {task.replicate}".encode()).hexdigest()
    name = f"{task.case.subject.replace(':', '.')}-{digest[:16]}.pt"
    return folder / INTERIM_FOLDER / name


def make_interim_folder(folder: Path, tasks: Iterable[Task]) -> None:
    """Make it; of one that is there, keep only what these trainings go on from.

    What is left of others has a record by now, or was cut off in the middle of a save.

    Raises:
        StoreError: the run folder cannot be written, or a link is in its place.
    """
    interim = folder / INTERIM_FOLDER
    kept = {interim_file(folder, task).name for task in tasks}
    try:
        interim.mkdir(exist_ok=True)
        if interim.is_symlink():
            raise StoreError(
                f"{interim} is a symbolic link: nothing is written through links in a run folder",
                "put the folder itself there",
            )
        sweep(interim)
        for path in interim.iterdir():
            if path.name not in kept and _OURS.fullmatch(path.name):
                path.unlink()
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error


def remove_interim_folder(folder: Path) -> None:
    """Remove it, unless there is something in it to go on from."""
    with suppress(OSError):
        (folder / INTERIM_FOLDER).rmdir()
