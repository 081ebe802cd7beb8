"""Files that commands write or read: what names may end in, and what becomes of what fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from lmn.atomic import destination
from lmn_bench.cli.console import stderr_console
from lmn_bench.disk import disk_words
from lmn_bench.errors import LmnBenchError, UsageError
from lmn_bench.places import RECORDS_FILE
from lmn_bench.plain import message_of
from lmn_bench.store import StoredRun, save

# What the names of each form end in. A name that ends in nothing (or in no form at all, as
# /dev/fd/3) promises nothing, and may hold any form.
ENDINGS = {
    "html": (".html", ".htm"),
    "md": (".md", ".markdown"),
    "csv": (".csv",),
    "json": (".json",),
    "text": (".txt",),
    "junit": (".xml",),
    "checkpoint": (".safetensors",),
}
# Lines that cannot be read are named up to here, then counted.
_MOST_BAD_LINES = 3


def form_of(option: str, path: Path, forms: tuple[str, ...], default: str) -> str:
    """The form that a file's name asks for.

    Args:
        option: that names the file, as it is typed.
        path: the file.
        forms: keys of `ENDINGS` that can be written.
        default: the form of a name that ends in nothing.

    Raises:
        UsageError: it ends in what none of the forms does, or is a dash.
    """
    if str(path) == "-":
        text = f"write {option} /dev/stdout for standard output"
        raise UsageError(
            f"{option} -: a file is named here", None if "checkpoint" in forms else text
        )
    ending = path.suffix.lower()
    if not ending:
        return default
    for form in forms:
        if ending in ENDINGS[form]:
            return form
    known = [one for form in forms for one in ENDINGS[form]]
    wanted = known[0] if len(known) == 1 else f"{', '.join(known[:-1])} or {known[-1]}"
    raise UsageError(
        f"{option} {path}: nothing is written as {path.suffix} here", f"let it end in {wanted}"
    )


def require_form(option: str, path: Path | None, form: str) -> None:
    """See that a file's name promises no other form than it will hold.

    Raises:
        UsageError: it does.
    """
    if path is not None:
        form_of(option, path, (form,), form)


def warn_of_bad_lines(run: StoredRun, made: str = "left out") -> None:
    """Name the lines of a run that cannot be read, on stderr; many are counted.

    Args:
        run: as it was read.
        made: what became of them.
    """
    where = f"warning: {run.folder.name}/{RECORDS_FILE}"
    lines = [f"{where} line {bad.number} {made}: {bad.reason}" for bad in run.bad_lines]
    more = len(lines) - _MOST_BAD_LINES
    lines[_MOST_BAD_LINES:] = [f"{where}: {more} more lines {made}"] if more > 0 else []
    for line in lines:
        stderr_console().print(line, markup=False, soft_wrap=True)


def require_writable(option: str, path: Path) -> None:
    """See before anything is measured that a file can be written, where its links lead to.

    What is there and no file, a device or a pipe, will be written through.

    Raises:
        UsageError: it cannot be.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{option} {path}: it is a folder", "name a file in it")
        needed = [path]
        if path.is_file() or not path.exists():
            place = destination(path)
            if not place.parent.is_dir():
                raise UsageError(
                    f"{option} {path}: there is no folder {place.parent}", "make it first"
                )
            # It is replaced by what is written beside it.
            needed = [place.parent, *([place] if place.exists() else [])]
    except OSError as error:
        raise UsageError(f"{option} {path}: it cannot be written: {disk_words(error)}") from None
    if not all(os.access(one, os.W_OK) for one in needed):
        raise UsageError(f"{option} {path}: no permission to write there")


class Saved(Enum):
    """What became of a file; true where it is written.

    Where only the disk was in the way, a command does not end in 0: what it was asked for is not
    there. Without the packages that draw charts there is no page, which is told and no mistake.
    """

    WRITTEN = "written"
    NOT_MADE = "not made"
    NOT_WRITTEN = "not written"

    def __bool__(self) -> bool:
        return self is Saved.WRITTEN


def save_made(path: Path, make: Callable[[], str], *, own: bool = False) -> Saved:
    """Write what `make` returns; if that fails, say so and go on.

    For what a command writes once it knows its answer: neither a full disk nor a broken package
    that draws charts, whose errors may derive from anything, may take the answer with it.

    Args:
        path: of the file.
        make: its text.
        own: whether it lies in a folder of ours, where no link is followed.
    """
    failed = Saved.NOT_MADE
    try:
        text = make()
        failed = Saved.NOT_WRITTEN
        save(path, text, own=own)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = " ".join(message_of(error).split()) or type(error).__name__
        hint = error.hint if isinstance(error, LmnBenchError) else None
        lines = [f"warning: {path} is not written: {reason}", *([f"hint: {hint}"] if hint else [])]
        stderr_console().print(
            "\n".join(lines), style="yellow", markup=False, soft_wrap=True
        )  # fmt: skip
        return failed
    return Saved.WRITTEN
