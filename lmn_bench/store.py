"""Run folders: `run.json`, `records.jsonl` and reports under `results/`.

Every record is flushed to disk before the next case starts, so that an interrupt, a kill or a
full disk costs the case in progress and nothing else. Lines that cannot be read are named and
kept apart, never guessed at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from lmn.atomic import replacing, sweep
from lmn_bench.disk import RESERVE_KIB, Reserve, disk_words, is_full
from lmn_bench.errors import NewerSchemaError, StoreError, UnknownNameError
from lmn_bench.escapes import ESCAPED, loads_printable
from lmn_bench.places import RECORDS_FILE, RUN_FILE
from lmn_bench.schema import SCHEMA, Outcome, Record, RunInfo, SeriesLimit
from lmn_bench.typed import typed

REJECTED_FILE = "records.rejected.jsonl"

_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
# What lmn-bench wrote of the end of a series before `Record.limit`.
_OLD_LIMIT = re.compile(r"(out_of_memory|timeout|killed) at length ([\d,]+)")
_RUN_INFO: TypeAdapter[RunInfo] = TypeAdapter(RunInfo)


@dataclass(frozen=True)
class BadLine:
    """A line of `records.jsonl` that is no record: where, and why."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True)
class StoredRun:
    """A run as read from its folder; each (case, replicate) stands once."""

    folder: Path
    info: RunInfo
    records: tuple[Record, ...]
    bad_lines: tuple[BadLine, ...] = ()


class RecordWriter:
    """Appends records to a run folder, each flushed to disk. Use it as a context manager.

    Beside them it keeps a little room (`lmn_bench.disk.RESERVE_KIB`), so that the record during
    which the disk becomes full can still be written.

    Raises:
        StoreError: the records cannot be opened, or there is no room.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS_FILE
        self._reserve = Reserve(folder)
        self._file = open_own(self._path)
        self._size = os.fstat(self._file).st_size
        self.written = 0

    def __enter__(self) -> Self:
        try:
            self._reserve.take()
        except OSError as error:
            os.close(self._file)
            raise StoreError(
                f"cannot write to {self._path.parent}: {disk_words(error)}, with less than "
                f"{RESERVE_KIB} KiB left",
                f"make room, then `{typed('run', '--resume', self._path.parent)}`",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._reserve.release()
        # A close that fails flushes what an append has already reported.
        with suppress(OSError):
            os.close(self._file)

    def append(self, record: Record) -> None:
        """Write one record whole and force it to disk, or leave the file as it was.

        Raises:
            StoreError: the disk is full, or what was written before is gone (see `gone`).
        """
        line = dump_record(record).encode()
        safe = self.written
        try:
            self._write(line)
            self.written += 1
        except OSError as error:
            self._reserve.release()
            last = "before this one"
            if is_full(error):
                with suppress(OSError):
                    self._write(line)
                    self.written, safe, last = self.written + 1, safe + 1, "up to this one"
            raise StoreError(
                f"cannot write to {self._path}: {disk_words(error)}; "
                f"the {safe} records {last} are safe",
                f"make room, then `{typed('run', '--resume', self._path.parent)}`",
            ) from error
        gone = self.gone()
        if gone is not None:
            raise StoreError(f"{gone} while it was measured")

    def gone(self) -> str | None:
        """What became of the records on disk, as a clause; None while all of them are there."""
        held = os.fstat(self._file)
        try:
            there = self._path.lstat()
        except OSError:
            lacking = self._path if self._path.parent.is_dir() else self._path.parent
            return f"{lacking} was removed or renamed"
        if not os.path.samestat(held, there):
            return f"{self._path} was replaced"
        return f"{self._path} was cut short" if held.st_size < self._size else None

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._file).st_size
        try:
            left = line
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            # Half a line would keep a full disk full.
            with suppress(OSError):
                os.ftruncate(self._file, before)
            raise
        self._size += len(line)


def open_own(path: Path) -> int:
    """A file of ours open for appending, in a folder that may have come from elsewhere.

    Raises:
        StoreError: it cannot be opened, or is a link, which might lead out of the folder.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise StoreError(
                f"{path} is a symbolic link: nothing is written through links in a run folder",
                "put the file itself there",
            ) from None
        raise StoreError(f"cannot write to {path}: {disk_words(error)}") from error


def create_run(results: Path, info: RunInfo) -> Path:
    """Make the folder `results/<run_id>` of a new run and write its `run.json`.

    Raises:
        StoreError: the results folder cannot be written, found before anything is measured.
    """
    folder = results / info.run_id
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _not_created(folder, error) from error
    write_run(folder, info)
    return folder


def write_run(folder: Path, info: RunInfo, records: Iterable[Record] = ()) -> None:
    """Write a run into an empty folder.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        # In this order: a folder with a `run.json` is a run, and has all that it should.
        write_own(folder / RECORDS_FILE, "".join(map(dump_record, records)))
        write_own(folder / RUN_FILE, dump_info(info))
    except OSError as error:
        raise _not_created(folder, error) from error


def _not_created(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot create the run folder {folder}: {disk_words(error)}",
        "choose another place with --results FOLDER",
    )


def finish_run(folder: Path, info: RunInfo) -> RunInfo:
    """Write down that every case has a record now."""
    finished = replace(info, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
    save(folder / RUN_FILE, dump_info(finished), own=True)
    return finished


def read_run(folder: Path) -> StoredRun:
    """Read a run folder: every good record once, and every bad line by number.

    Of a training that was killed and went on, the record of how it went on stands.

    Raises:
        StoreError: no run folder, or its `run.json` cannot be read.
        NewerSchemaError: written by a newer lmn-bench.
    """
    info = read_info(folder)
    records: dict[tuple[str, int], Record] = {}
    bad_lines = []
    path = folder / RECORDS_FILE
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace") if path.exists() else ""
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    # Not splitlines(): it also splits at characters that may stand inside a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        parsed = _parse_record(line)
        if isinstance(parsed, str):
            bad_lines.append(BadLine(number, line, parsed))
        else:
            key = (parsed.case_id, parsed.replicate)
            if key in records and records[key].can_go_on:
                records[key] = parsed
            first = records.setdefault(key, parsed)
            # The first one stands; the same line twice says nothing new.
            if first != parsed:
                reason = f"replicate {parsed.replicate} of {parsed.case_id} a second time"
                bad_lines.append(BadLine(number, line, reason))
    return StoredRun(folder, info, tuple(records.values()), tuple(bad_lines))


def repair(run: StoredRun) -> StoredRun:
    """Before more is appended: set bad lines aside so that the file holds records only.

    The bad lines are kept in `records.rejected.jsonl`.
    """
    path = run.folder / RECORDS_FILE
    ends_clean = not path.exists() or path.stat().st_size == 0 or path.read_bytes().endswith(b"\n")
    if not run.bad_lines and ends_clean:
        return run
    try:
        if run.bad_lines:
            rejected = open_own(run.folder / REJECTED_FILE)
            with os.fdopen(rejected, "a", encoding="utf-8") as file:
                file.writelines(bad.text + "\n" for bad in run.bad_lines)
        lines = (json.dumps(r.to_dict(), separators=(",", ":")) + "\n" for r in run.records)
        write_own(path, "".join(lines))
    except OSError as error:
        raise StoreError(f"cannot repair {path}: {disk_words(error)}") from error
    return replace(run, bad_lines=())


def find_run(name: str | None, results: Path) -> Path:
    """The folder of a run given by path, by name, by a beginning of it, or None for the latest.

    Raises:
        StoreError: there is no run at all, or the beginning fits several.
        UnknownNameError: no run of that name.
    """
    if name is not None and (Path(name) / RUN_FILE).is_file():
        return Path(name)
    if name is not None and Path(name).is_dir():
        raise StoreError(f"{name} is no run folder: it has no {RUN_FILE}")
    runs = list_runs(results)
    if name is None:
        if not runs:
            raise StoreError(f"no runs in {results}", "make one with `lmn-bench run`")
        return runs[-1]
    matching = [run for run in runs if run.name.startswith(name)]
    exact = [run for run in matching if run.name == name]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        names = ", ".join(run.name for run in matching)
        raise StoreError(f"{name!r} fits several runs: {names}", "give the whole name")
    raise UnknownNameError("run", name, (run.name for run in runs), "; see `lmn-bench list runs`")


def list_runs(results: Path) -> list[Path]:
    """All run folders below `results`, oldest first."""
    if not results.is_dir():
        return []
    folders = [path.parent for path in results.glob(f"*/{RUN_FILE}")]
    return sorted(folders, key=lambda folder: (_created_at(folder), folder.name))


def write_atomically(path: Path, text: str, *, follow: bool = True) -> None:
    """Replace a file as a whole: a reader or a crash sees the old text or the new one.

    What is there and no file (`/dev/stdout`, `/dev/null`, a named pipe) is written to as it is, and
    a link stays one. Characters that no encoding has, of a name that is no UTF-8, are escaped.

    Args:
        path: of the file.
        text: what it is to hold.
        follow: see `lmn.atomic.replacing`.

    Raises:
        OSError: it cannot be written.
    """
    # A reader that leaves is no error.
    with suppress(BrokenPipeError), replacing(path, follow=follow) as file:
        file.write(text.encode("utf-8", ESCAPED))


def write_own(path: Path, text: str) -> None:
    """As `write_atomically`, in a folder of ours that may have come from elsewhere: no link that
    lies there is followed.
    """
    write_atomically(path, text, follow=False)


def save(path: Path, text: str, *, own: bool = False) -> None:
    """As `write_atomically`, or `write_own`, for what a user is told about.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        write_atomically(path, text, follow=not own)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {disk_words(error)}") from error


def clear_left_over(folder: Path) -> None:
    """Remove what a run that was killed left half written in its folder, which is ours now."""
    sweep(folder)
    for name in (RUN_FILE, RECORDS_FILE):
        # The names of before `lmn.atomic`.
        with suppress(OSError):
            (folder / f"{name}.partial").unlink()


def _created_at(folder: Path) -> str:
    try:
        text = (folder / RUN_FILE).read_text(encoding="utf-8-sig")
        return str(json.loads(text).get("created_at", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def dump_info(info: RunInfo) -> str:
    """The text of a `run.json`."""
    data = asdict(info)
    return json.dumps({"schema": data.pop("schema"), **data}, indent=2) + "\n"


def dump_record(record: Record) -> str:
    """A line of `records.jsonl`, with its end.

    Raises:
        ValueError: a number is NaN or infinite, for which JSON has no word.
    """
    return json.dumps(record.to_dict(), separators=(",", ":"), allow_nan=False) + "\n"


def read_info(folder: Path) -> RunInfo:
    """What a run knows about itself, without its records.

    Raises:
        StoreError: the folder is no run, or a newer lmn-bench wrote it.
    """
    path = folder / RUN_FILE
    try:
        data = loads_printable(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise StoreError(f"{folder} is no run folder: it has no {RUN_FILE}") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    _refuse_newer(data, path)
    try:
        return _RUN_INFO.validate_python(data)
    except ValidationError as error:
        raise StoreError(f"{path} is no run of lmn-bench: {_first_error(error)}") from error


def _parse_record(line: str) -> Record | str:
    """A record, or why the line isn't one."""
    try:
        data = loads_printable(line)
    except (ValueError, RecursionError):
        return "not JSON (cut off in the middle?)"
    if not isinstance(data, dict) or "case_id" not in data:
        return "not a record of lmn-bench"
    try:
        _refuse_newer(data, RECORDS_FILE)
        record = _RECORD.validate_python(data)
    except NewerSchemaError as error:
        return error.message
    except ValidationError as error:
        return f"not a record: {_first_error(error)}"
    if record.case.id != record.case_id:
        return "its case_id is not that of its fields"
    return _with_limit(record)


def _with_limit(record: Record) -> Record:
    """The record with its limit as data, where an earlier lmn-bench has it in words alone."""
    said = _OLD_LIMIT.match(record.reason or "")
    if record.outcome is not Outcome.SKIPPED or record.limit is not None or said is None:
        return record
    limit = SeriesLimit(int(said[2].replace(",", "")), {Outcome(said[1]): 1})
    return replace(record, limit=limit)


def _refuse_newer(data: Any, where: object) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerSchemaError(
            f"{where} has schema {schema}; this lmn-bench reads up to {SCHEMA}",
            "upgrade lmn-bench",
        )


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"


def missing(
    planned: Sequence[tuple[str, int]], records: Sequence[Record]
) -> Iterator[tuple[str, int]]:
    """Planned (case id, replicate) pairs that have no record yet."""
    present = {(record.case_id, record.replicate) for record in records}
    return (pair for pair in planned if pair not in present)
