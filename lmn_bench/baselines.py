"""Baselines: runs stripped down to what a comparison asks for, small enough to be committed.

A baseline is a run folder, `results/baselines/NAME/`, that everything which reads runs reads too.
Every process keeps its metrics and how it ended; raw samples and warnings of records are gone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lmn.atomic import sync_folder
from lmn_bench.differences import renamed_hosts
from lmn_bench.disk import disk_words
from lmn_bench.errors import StoreError, UnknownNameError, UsageError
from lmn_bench.places import BASELINES, RECORDS_FILE, RUN_FILE
from lmn_bench.pooling import pool
from lmn_bench.run_lock import locked
from lmn_bench.samples import with_low_latency
from lmn_bench.schema import Outcome, Record
from lmn_bench.store import (
    StoredRun,
    dump_info,
    dump_record,
    list_runs,
    write_own,
)
from lmn_bench.typed import typed

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
_SET_ASIDE = re.compile(rf"\.(?P<name>{_NAME.pattern})\.(?P<end>new|old|gone)")
# A save takes far less than a second; longer than this, something is wrong with the other one.
_WAIT_S = 30.0


@dataclass(frozen=True)
class SavedBaseline:
    """A baseline that was just written.

    Attributes:
        folder: where.
        run: what is in it.
        notes: what makes it less sure, as sentences.
    """

    folder: Path
    run: StoredRun
    notes: tuple[str, ...]


def save_baseline(
    name: str, runs: Sequence[StoredRun], results: Path, *, force: bool = False
) -> SavedBaseline:
    """Strip one or more runs down and write them under a name, whole or not at all.

    The processes of several runs are pooled. `latency_low_s`, where a record is older than that
    metric, is worked out from its samples.

    Args:
        name: of the baseline.
        runs: what it is made of, one at least.
        results: folder of run folders.
        force: replace a baseline of that name.

    Raises:
        UsageError: no name for a baseline.
        StoreError: the name is taken, a run learned, the runs cannot be pooled, hold no process
            that ended well or samples that are none, or the folder cannot be written.
    """
    _check_name(name)
    folder = results / BASELINES / name
    if any(run.name == name for run in list_runs(results)):
        raise StoreError(f"there is a run {name!r}: the name would fit both", "take another name")
    if not force:
        _refuse_taken(folder)
    for run in runs:
        if run.info.suite.learning is not None:
            raise StoreError(
                f"{run.folder.name} learned: a baseline keeps measurements of calls, for a gate",
                f"set learned runs side by side with `{typed('report', run.folder, 'OTHER')}`",
            )
        if not any(record.outcome is Outcome.OK for record in run.records):
            raise StoreError(
                f"{run.folder.name} has no process that ended well: nothing could be compared "
                "with it",
                f"see how they ended with `{typed('show', run.folder)}`",
            )
    pooled = pool(runs)
    window = pooled.info.suite.measuring.decode_window
    info = replace(pooled.info, run_id=name, sources=pooled.info.origins)
    records = tuple(_stripped(record, window) for record in pooled.records)
    stripped = StoredRun(folder, info, records)
    with _in_turn(results):
        if not force:
            # Again: others have had their turn since.
            _refuse_taken(folder)
        _write(stripped)
    return SavedBaseline(folder, stripped, _notes(runs))


def list_baselines(results: Path) -> list[Path]:
    """The folders of all baselines, by name."""
    _recover(results)
    folders = (path.parent for path in (results / BASELINES).glob(f"*/{RUN_FILE}"))
    return sorted(folder for folder in folders if _NAME.fullmatch(folder.name))


def find_baseline(name: str, results: Path) -> Path:
    """The folder of a baseline.

    Raises:
        UnknownNameError: there is none of that name; the hint offers the nearest.
    """
    known = {folder.name: folder for folder in list_baselines(results)}
    if name not in known:
        raise UnknownNameError("baseline", name, known, "; see `lmn-bench baseline list`")
    return known[name]


def remove_baseline(name: str, results: Path) -> Path:
    """Delete a baseline; returns the folder that is gone.

    Raises:
        UnknownNameError: there is none of that name.
        StoreError: it cannot be deleted.
    """
    folder = find_baseline(name, results)
    with _in_turn(results):
        try:
            # At once: a crash halfway leaves no half of it.
            folder.rename(_beside(folder, "gone"))
            _recovered(folder.parent)
        except OSError as error:
            raise StoreError(f"cannot remove {folder}: {error.strerror}") from error
    return folder


def find_runs(text: str, results: Path) -> list[Path]:
    """The folders of one side of a comparison: runs and baselines, separated by commas.

    Each is a path to a run folder, a name, or the beginning of one; an existing path with a comma
    in it is taken as it is.

    Raises:
        UsageError: an empty item, or the same folder twice.
        StoreError: an item that fits several, or a folder that is no run.
        UnknownNameError: an item that fits none.
    """
    items = [text] if Path(text).exists() else [item.strip() for item in text.split(",")]
    if not all(items):
        raise UsageError(
            f"{text!r} names nothing between two commas" if text.strip(", ") else "no run is named",
            "give runs or baselines like this: ci or run-1,run-2",
        )
    found: list[Path] = []
    for item in items:
        folder = _find_one(item, results)
        if any(folder.resolve() == other.resolve() for other in found):
            raise UsageError(f"{folder.name} is named twice in {text!r}", "name every run once")
        found.append(folder)
    return found


def _find_one(name: str, results: Path) -> Path:
    if (Path(name) / RUN_FILE).is_file():
        return Path(name)
    known = [*list_baselines(results), *list_runs(results)]
    matching = [folder for folder in known if folder.name.startswith(name)]
    exact = [folder for folder in matching if folder.name == name]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        fitting = ", ".join(str(folder) for folder in exact or matching)
        what = "both a baseline and a run" if exact else "several"
        raise StoreError(f"{name!r} fits {what}: {fitting}", "give the path of the one you mean")
    if Path(name).is_dir():
        raise StoreError(f"{name} is no run folder: it has no {RUN_FILE}")
    raise UnknownNameError(
        "baseline or run", name, {folder.name for folder in known},
        "; see `lmn-bench baseline list` and `lmn-bench list runs`",
    )  # fmt: skip


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a baseline cannot be called {name!r}",
            "use up to 60 lower-case letters, digits, dots, - and _, beginning with a letter or "
            "a digit: main-2026.11",
        )


def _stripped(record: Record, decode_window: int) -> Record:
    return replace(
        with_low_latency(record, decode_window), samples_s=(), warmup_samples_s=(),
        disturbed_samples_s=(), memory_timeline=(), warnings=(),
    )  # fmt: skip


def _notes(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    notes = []
    for run in runs:
        name = run.folder.name
        if run.info.finished_at is None:
            notes.append(f"{name} is not finished: cases may lack processes")
        if run.bad_lines:
            count = len(run.bad_lines)
            lines = "line" if count == 1 else "lines"
            notes.append(f"{name} has {count} unreadable {lines}, left out")
    renamed = renamed_hosts([run.info.environment for run in runs])
    if renamed:
        notes.append(renamed)
    for what, values in (
        ("commits", {run.info.environment.git_commit for run in runs}),
        ("versions of lmn-bench", {run.info.environment.lmn_bench for run in runs}),
    ):
        if len(values) > 1:
            listed = ", ".join(sorted(value or "unknown" for value in values))
            notes.append(f"these runs are of different {what}: {listed}")
    return tuple(notes)


def _refuse_taken(folder: Path) -> None:
    if folder.exists():
        raise StoreError(
            f"there is a baseline {folder.name!r} already",
            "take another name, or replace it with --force",
        )


def _write(run: StoredRun) -> None:
    """Write beside, then rename, so that there is never half a baseline.

    A crash between the renames leaves the old one set aside: `_recovered` puts it back.
    """
    folder = run.folder
    beside, replaced = _beside(folder, "new"), _beside(folder, "old")
    try:
        beside.mkdir()
        write_own(beside / RUN_FILE, dump_info(run.info))
        write_own(beside / RECORDS_FILE, "".join(map(dump_record, run.records)))
        sync_folder(beside)
        if folder.exists():
            folder.rename(replaced)
        beside.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {disk_words(error)}") from error
    except ValueError as error:
        raise StoreError(f"cannot write {folder}: a metric is no finite number") from error
    finally:
        with suppress(OSError):
            _recovered(folder.parent)


def _beside(folder: Path, end: str) -> Path:
    return folder.with_name(f".{folder.name}.{end}")


@contextmanager
def _in_turn(results: Path) -> Iterator[None]:
    """Whoever changes baselines waits for who does; what a killed one left is put right first."""
    place = results / BASELINES
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {place}: {disk_words(error)}") from error
    with locked(place, _WAIT_S, "saving"):
        _recovered(place)
        yield


def _recovered(place: Path) -> None:
    """Put back what a crash left set aside, and remove what it left half written or replaced.

    Nobody else may be at it: the folder is locked.
    """
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        found = _SET_ASIDE.fullmatch(path.name)
        if found is None or path.is_symlink():
            continue
        folder = path.with_name(found["name"])
        if found["end"] == "old" and not folder.exists():
            path.rename(folder)
        else:
            shutil.rmtree(path)


def _recover(results: Path) -> None:
    """For readers: put back what a crash left set aside, once nobody saves, where we may."""
    place = results / BASELINES
    try:
        if any(_SET_ASIDE.fullmatch(path.name) for path in place.iterdir()):
            with locked(place, _WAIT_S, "saving"):
                _recovered(place)
    except (OSError, StoreError):
        # There are none yet, or they are not ours to write: then what is there is what there is.
        return
