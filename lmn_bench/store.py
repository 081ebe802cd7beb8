"""Run folders: `run.json`, `records.jsonl` and reports under `results/`.

Every record is flushed to disk before the next case starts, so that an interrupt, a kill or a
full disk costs the case in progress and nothing else. Lines that cannot be read are named and
kept apart, never guessed at.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from lmn_bench.errors import NewerSchemaError, StoreError, UnknownNameError, UsageError
from lmn_bench.escapes import ESCAPED, loads_printable
from lmn_bench.places import RUN_FILE, folders_with
from lmn_bench.reading import open_stored, read_stored
from lmn_bench.schema import SCHEMA, Outcome, Record, RunInfo, SeriesLimit
from lmn_bench.stored import problem_of_record, problem_of_run
from lmn_bench.typed import typed

RECORDS_FILE = "records.jsonl"
REJECTED_FILE = "records.rejected.jsonl"

_PARTIAL = ".partial"
# Bytes of a file's name on every file system that Linux has in common use.
_LONGEST_NAME = 255
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
# Those of suites with a thousand sweeps have some 2 MiB.
_MOST_RUN_BYTES = 16 * 2**20
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
    """Appends records to a run folder, each flushed to disk. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS_FILE
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write to {self._path}: {error.strerror}") from error
        self.written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A close that fails flushes what an append has already reported.
        with suppress(OSError):
            self._file.close()

    def append(self, record: Record) -> None:
        """Write one record and force it to disk.

        Raises:
            StoreError: the disk is full or the folder has gone.
        """
        line = dump_record(record)
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise StoreError(
                f"cannot write to {self._path}: {why}; "
                f"the {self.written} records before this one are safe",
                f"make room, then `{typed('run', '--resume', self._path.parent)}`",
            ) from error
        self.written += 1


def create_run(results: Path, info: RunInfo) -> Path:
    """Make the folder of a new run and write its `run.json`.

    Raises:
        StoreError: the results folder cannot be written, found before anything is measured.
    """
    folder = results / info.run_id
    try:
        folder.mkdir(parents=True)
        write_atomically(folder / RUN_FILE, dump_info(info))
        (folder / RECORDS_FILE).touch()
    except OSError as error:
        raise StoreError(
            f"cannot create the run folder {folder}: {error.strerror}",
            "choose another place with --results FOLDER",
        ) from error
    return folder


def new_run_id(suite_name: str, results: Path, moment: datetime) -> str:
    """A folder name that sorts by time: scaling-20261123-141500."""
    base = f"{suite_name}-{moment:%Y%m%d-%H%M%S}"
    candidate, suffix = base, 2
    while (results / candidate).exists():
        candidate, suffix = f"{base}-{suffix}", suffix + 1
    return candidate


def finish_run(folder: Path, info: RunInfo) -> RunInfo:
    """Write down that every case has a record now."""
    finished = replace(info, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
    save(folder / RUN_FILE, dump_info(finished))
    return finished


def read_run(folder: Path) -> StoredRun:
    """Read a run folder: every good record once, and every bad line by number.

    Raises:
        StoreError: no run folder, or its `run.json` cannot be read.
        NewerSchemaError: written by a newer lmn-bench.
    """
    info = read_info(folder)
    records: dict[tuple[str, int], Record] = {}
    bad_lines = []
    for number, line in enumerate(_lines(folder / RECORDS_FILE), start=1):
        if not line.strip():
            continue
        parsed = _parse_record(line)
        if isinstance(parsed, str):
            bad_lines.append(BadLine(number, line, parsed))
        else:
            first = records.setdefault((parsed.case_id, parsed.replicate), parsed)
            # The first one stands; the same line twice says nothing new.
            if first != parsed:
                reason = f"replicate {parsed.replicate} of {parsed.case_id} a second time"
                bad_lines.append(BadLine(number, line, reason))
    return StoredRun(folder, info, tuple(records.values()), tuple(bad_lines))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file one by one; none where there is no file.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with open_stored(path) as file:
            # Bytes: text would also be split at characters that may stand inside it.
            for line in file:
                yield line.decode("utf-8", errors="replace").removeprefix("\ufeff").rstrip("\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


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
            with (run.folder / REJECTED_FILE).open("a", encoding="utf-8") as rejected:
                rejected.writelines(bad.text + "\n" for bad in run.bad_lines)
        lines = (json.dumps(r.to_dict(), separators=(",", ":")) + "\n" for r in run.records)
        write_atomically(path, "".join(lines))
    except OSError as error:
        raise StoreError(f"cannot repair {path}: {error.strerror}") from error
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
    """All run folders below `results`, oldest first; also those that we may not look into.

    Raises:
        StoreError: the folder of results cannot be read.
    """
    try:
        folders = folders_with(results, RUN_FILE)
    except OSError as error:
        raise StoreError(f"cannot read {results}: {error.strerror}") from error
    return sorted(folders, key=lambda folder: (_created_at(folder), folder.name))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader or a crash sees the old text or the new one.

    What is there and no file (`/dev/stdout`, `/dev/null`, a named pipe) is written to as it is, and
    a link stays one. Characters that no encoding has, of a name that is no UTF-8, are escaped.
    """
    # Asked before links are followed: that of /dev/stdout leads to no path where it is a pipe.
    if path.exists() and not path.is_file():
        # A reader that leaves is no error.
        with suppress(BrokenPipeError), path.open("w", encoding="utf-8", errors=ESCAPED) as device:
            device.write(text)
        return
    path = path.resolve() if path.is_symlink() else path
    temporary = _beside(path)
    with temporary.open("w", encoding="utf-8", errors=ESCAPED) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _beside(path: Path) -> Path:
    """Where a file is before it is whole: beside it, by its name or what there is room for."""
    name = os.fsencode(path.name)
    if len(name) + len(_PARTIAL) > _LONGEST_NAME:
        name = hashlib.blake2b(name, digest_size=16).hexdigest().encode()
    return path.with_name(os.fsdecode(name) + _PARTIAL)


def save(path: Path, text: str) -> None:
    """As `write_atomically`, for what a user is told about.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        write_atomically(path, text)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _created_at(folder: Path) -> str:
    try:
        return str(_run_data(folder / RUN_FILE).get("created_at", ""))
    except (OSError, ValueError, AttributeError, UsageError):
        return ""


def _run_data(path: Path) -> Any:
    """What a `run.json` holds; raises as reading and `loads_printable` do."""
    return loads_printable(read_stored(path, _MOST_RUN_BYTES).decode("utf-8-sig"))


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
        data = _run_data(path)
    except FileNotFoundError:
        raise StoreError(f"{folder} is no run folder: it has no {RUN_FILE}") from None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, UsageError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    _refuse_newer(data, path)
    try:
        info = _RUN_INFO.validate_python(data)
    except ValidationError as error:
        raise StoreError(f"{path} is no run of lmn-bench: {_first_error(error)}") from error
    problem = problem_of_run(info)
    if problem is not None:
        raise StoreError(f"{path} is no run that can be worked with: {problem}")
    return info


def _parse_record(line: str) -> Record | str:
    """A record, or why the line isn't one."""
    try:
        data = loads_printable(line)
    except ValueError:
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
    problem = problem_of_record(record)
    if problem is not None:
        return problem
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
