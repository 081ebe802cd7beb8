"""Records whose files go while they are measured: all that memory holds is written elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from lmn_bench.disk import disk_words
from lmn_bench.errors import StoreError
from lmn_bench.schema import Record, RunInfo
from lmn_bench.store import RecordWriter, write_run

# Beside what is gone; a number follows where that is taken.
_SUFFIX = "-rescued"


@contextmanager
def rescuing(
    folder: Path,
    writers: Sequence[RecordWriter],
    keep: Callable[[Path], None],
    next_step: Callable[[Path], str],
) -> Iterator[None]:
    """While inside, see that what was written is still there at the end, however that comes.

    Args:
        folder: what would be lost.
        writers: of the records in it, open.
        keep: writes all of it into a new folder, from memory.
        next_step: the command that goes on from there.

    Raises:
        StoreError: something is gone: what, and where all of it is now.
    """
    try:
        yield
    finally:
        gone = next((what for writer in writers if (what := writer.gone())), None)
        if gone is not None:
            place = _rescue(folder, gone, keep)
            raise StoreError(
                f"{gone} while it was measured; every record so far is in {place}",
                f"next: `{next_step(place)}`",
            )


def keep_run(info: RunInfo, records: Iterable[Record]) -> Callable[[Path], None]:
    """What writes a run, as it stands when it is called, into a new folder."""
    return lambda place: write_run(place, replace(info, run_id=place.name), records)


def _rescue(folder: Path, gone: str, keep: Callable[[Path], None]) -> Path:
    """Where it could be written: beside the folder, or else among the temporary files."""
    failed = ""
    for make in (_beside, _temporary):
        place = None
        try:
            place = make(folder)
            keep(place)
        except (OSError, StoreError) as error:
            failed = disk_words(error) if isinstance(error, OSError) else error.message
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
        else:
            return place
    raise StoreError(f"{gone} while it was measured, and nothing could be kept: {failed}")


def _beside(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for suffix in chain([_SUFFIX], (f"{_SUFFIX}-{number}" for number in count(2))):
        place = folder.with_name(folder.name + suffix)
        try:
            place.mkdir()
        except FileExistsError:
            continue
        return place
    raise AssertionError("numbers do not end")


def _temporary(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{folder.name}{_SUFFIX}-"))
