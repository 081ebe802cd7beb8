from __future__ import annotations

import errno
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from bench_helpers import GPU, case, environment, failed, ok, run_info, suite, sweep
from hypothesis import given
from hypothesis import strategies as st
from test_plan import cases

from lmn_bench.disk import RESERVE_FILE, RESERVE_KIB
from lmn_bench.errors import NewerSchemaError, StoreError, UnknownNameError
from lmn_bench.escapes import printable
from lmn_bench.metrics import METRICS
from lmn_bench.places import RUN_FILE
from lmn_bench.schema import SCHEMA, NoiseWarning, Outcome, Record, SeriesLimit, Watched
from lmn_bench.store import (
    RECORDS_FILE,
    REJECTED_FILE,
    RecordWriter,
    clear_left_over,
    create_run,
    dump_record,
    find_run,
    finish_run,
    list_runs,
    missing,
    read_run,
    repair,
    save,
    write_atomically,
)

times = st.floats(0, 1e6, allow_nan=False)
# What can be shown; the rest comes back escaped, see below.
words = st.text(max_size=40).map(printable)
records = st.builds(
    Record.of,
    cases,
    st.integers(0, 1000),
    st.sampled_from(Outcome),
    reason=st.none() | st.text(min_size=1, max_size=40).map(printable),
    cap_mechanism=st.none() | st.sampled_from(["rlimit", "cgroup v1", "cuda fraction"]),
    metrics=st.dictionaries(st.sampled_from(list(METRICS)), times | st.integers(0, 2**60)),
    samples_s=st.lists(times, max_size=5).map(tuple),
    warmup_samples_s=st.lists(times, max_size=3).map(tuple),
    memory_timeline=st.lists(st.tuples(times, times), max_size=3).map(tuple),
    warnings=st.lists(words, max_size=2).map(tuple),
    order=st.integers(0, 10**6),
    started_at=words,
    wall_s=times,
)


@pytest.fixture
def folder(tmp_path):
    """A new run folder."""
    return create_run(tmp_path / "results", run_info())


def write(folder, *of):
    with RecordWriter(folder) as writer:
        for record in of:
            writer.append(record)


def append_text(folder, text):
    with (folder / RECORDS_FILE).open("a", encoding="utf-8") as file:
        file.write(text)


FIRST, SECOND = ok(case(length=64)), ok(case(length=128))

# ------------------------------------------------------------------------------- round trips


@given(st.lists(records, max_size=4, unique_by=lambda r: (r.case_id, r.replicate)))
def test_records_read_back_as_they_were_written(written):
    with tempfile.TemporaryDirectory() as place:
        folder = create_run(Path(place), run_info())
        write(folder, *written)
        run = read_run(folder)
    assert run.records == tuple(written)
    assert not run.bad_lines


def test_what_a_model_said_and_nothing_can_show_comes_back_escaped(folder):
    reason = "nul \0 bell \a escape \x1b[2J name \udcff turned \u202e ends \u2028 here\tand\nthere"
    write(folder, failed(case(), Outcome.ERROR, reason), SECOND)
    run = read_run(folder)
    assert run.records[0].reason == (
        "nul \\x00 bell \\x07 escape  name \\xff turned \\u202e ends \\u2028 here\tand\nthere"
    )
    assert run.records[1] == SECOND
    assert not run.bad_lines


def test_a_file_that_is_no_regular_one_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    save(tmp_path / "pipe", "text")
    assert os.read(reading, 100) == b"text"
    os.close(reading)
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    save(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_a_run_reads_back_as_it_was_written(tmp_path):
    warning = NoiseWarning("busy", "load", "wait")
    of = suite(sweep(memory_cap=(None, 2**26), device=("cpu", "cuda")), sweep(), processes=3)
    info = run_info(of, environment=environment(gpus=(GPU,), warnings=(warning,)))
    assert read_run(create_run(tmp_path, info)).info == info


def test_a_run_from_before_a_new_field_reads_with_its_default(folder):
    data = json.loads((folder / "run.json").read_text())
    del data["ceilings"], data["suite"]["measuring"]["ceilings"]
    (folder / "run.json").write_text(json.dumps(data))
    info = read_run(folder).info
    assert info.ceilings == ()
    assert info.suite.measuring.ceilings is False


def test_a_record_from_before_cases_could_be_compiled_is_of_a_plain_one(folder):
    with RecordWriter(folder) as writer:
        writer.append(ok(case()))
    assert not {"compile", "cuda_graph"} & set(json.loads((folder / "records.jsonl").read_text()))
    assert [record.case for record in read_run(folder).records] == [case()]


@pytest.mark.parametrize(
    ("reason", "limit"),
    [
        ("timeout at length 4,096", SeriesLimit(4096, {Outcome.TIMEOUT: 1})),
        ("killed at length 64 under 64MiB by rlimit", SeriesLimit(64, {Outcome.KILLED: 1})),
        ("torch cannot use the GPU", None),
    ],
)
def test_a_record_from_before_limits_were_data_has_its_limit_read_from_the_reason(
    folder, reason, limit
):
    record = failed(case(), Outcome.SKIPPED, reason)
    write(folder, record)
    assert read_run(folder).records[0].limit == limit


def test_the_end_of_a_series_reads_back(folder):
    limit = SeriesLimit(64, {Outcome.TIMEOUT: 1, Outcome.KILLED: 1})
    record = replace(failed(case(), Outcome.SKIPPED), limit=limit)
    write(folder, record)
    assert read_run(folder).records == (record,)


def test_what_the_machine_did_reads_back(folder):
    seen = Watched(
        wall_s=1.0, cores=2, own_cpu_s=0.5, others_cpu_s=1.4, stolen_s=0.1, switches=3,
        load_average=4.0, pressure_s=None, timed_s=0.2, waited_s=0.1,
    )  # fmt: skip
    write(folder, replace(ok(case()), watched=seen))
    assert read_run(folder).records[0].watched == seen


def test_what_enforced_a_cap_is_kept_and_nothing_is_said_without_one(folder):
    capped = replace(ok(case(memory_cap_bytes=2**26)), cap_mechanism="cgroup v2")
    write(folder, capped, ok(case()))
    assert read_run(folder).records == (capped, ok(case()))
    assert "cap_mechanism" not in json.loads((folder / RECORDS_FILE).read_text().splitlines()[1])


@pytest.mark.parametrize("form", ["compile", "cuda_graph"])
def test_a_record_of_another_form_reads_back(folder, form):
    record = ok(case(**{form: True}))
    with RecordWriter(folder) as writer:
        writer.append(record)
    assert record in read_run(folder).records


def test_a_line_holds_the_fields_that_the_format_promises(folder):
    write(folder, failed(case(memory_cap_bytes=2**24), Outcome.OUT_OF_MEMORY))
    line = json.loads((folder / RECORDS_FILE).read_text())
    promised = (
        "schema case_id subject mode device length batch dtype threads memory_cap_bytes "
        "replicate outcome reason metrics samples_s"
    )
    assert set(promised.split()) <= set(line)
    assert line["schema"] == SCHEMA


def test_every_record_is_on_disk_before_the_next_one(folder):
    with RecordWriter(folder) as writer:
        writer.append(FIRST)
        assert read_run(folder).records == (FIRST,)
        writer.append(SECOND)


def test_a_finished_run_says_when(folder):
    info = finish_run(folder, run_info())
    assert info.finished_at is not None
    assert read_run(folder).info == info


def test_a_folder_without_records_is_a_run_with_none(folder):
    (folder / RECORDS_FILE).unlink()
    assert read_run(folder).records == ()


# ------------------------------------------------------------------------------- bad lines


def test_a_truncated_last_line_is_kept_apart_and_named(folder):
    write(folder, FIRST)
    append_text(folder, '{"schema":1,"case_id":"lmn/pre')
    run = read_run(folder)
    assert run.records == (FIRST,)
    (bad,) = run.bad_lines
    assert bad.number == 2
    assert "cut off" in bad.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", "not a record of lmn-bench"),
        ('{"time": 3}', "not a record of lmn-bench"),
        ("hello", "not JSON"),
        ('{"case_id": "x"}', "not a record: subject"),
        (json.dumps({**FIRST.to_dict(), "outcome": "splendid"}), "not a record: outcome"),
        (json.dumps({**FIRST.to_dict(), "length": 65}), "case_id is not that of its fields"),
        (json.dumps({**FIRST.to_dict(), "schema": SCHEMA + 1}), f"has schema {SCHEMA + 1}"),
    ],
)
def test_a_foreign_line_is_named_and_the_good_ones_are_kept(folder, line, reason):
    write(folder, FIRST)
    append_text(folder, line + "\n")
    write(folder, SECOND)
    run = read_run(folder)
    assert run.records == (FIRST, SECOND)
    (bad,) = run.bad_lines
    assert (bad.number, bad.text) == (2, line)
    assert reason in bad.reason


def test_a_record_that_stands_twice_counts_once_and_the_first_one_stands(folder):
    write(folder, FIRST, SECOND, replace(FIRST, wall_s=9.0))
    assert read_run(folder).records == (FIRST, SECOND)


def test_another_record_of_the_same_replicate_is_told_and_the_same_one_is_not(folder):
    write(folder, FIRST, FIRST, replace(FIRST, wall_s=9.0))
    (bad,) = read_run(folder).bad_lines
    assert (bad.number, bad.reason) == (3, f"replicate 0 of {FIRST.case_id} a second time")


def test_blank_lines_are_no_mistake(folder):
    write(folder, FIRST)
    append_text(folder, "\n  \n")
    assert not read_run(folder).bad_lines


def test_repair_keeps_the_bad_line_and_leaves_only_records(folder):
    write(folder, FIRST)
    append_text(folder, '{"schema":1,"case_id":"lmn/pre')
    repair(read_run(folder))
    write(folder, SECOND)
    run = read_run(folder)
    assert run.records == (FIRST, SECOND)
    assert not run.bad_lines
    assert (folder / REJECTED_FILE).read_text() == '{"schema":1,"case_id":"lmn/pre\n'


def test_repair_keeps_the_bad_lines_of_earlier_repairs(folder):
    for text in ("one", "two"):
        append_text(folder, text)
        repair(read_run(folder))
    assert (folder / REJECTED_FILE).read_text() == "one\ntwo\n"


def test_repair_ends_a_last_line_that_lacks_only_its_end(folder):
    append_text(folder, json.dumps(FIRST.to_dict()))
    repair(read_run(folder))
    write(folder, SECOND)
    assert read_run(folder).records == (FIRST, SECOND)


def test_repair_of_a_sound_run_touches_nothing(folder):
    write(folder, FIRST)
    before = (folder / RECORDS_FILE).stat()
    run = read_run(folder)
    assert repair(run) == run
    assert (folder / RECORDS_FILE).stat() == before


# ------------------------------------------------------------------------------- run.json


def test_a_run_of_a_newer_schema_is_refused(folder):
    data = json.loads((folder / RUN_FILE).read_text())
    (folder / RUN_FILE).write_text(json.dumps({**data, "schema": SCHEMA + 1, "new_field": 1}))
    with pytest.raises(NewerSchemaError) as caught:
        read_run(folder)
    assert f"schema {SCHEMA + 1}" in caught.value.message
    assert caught.value.hint == "upgrade lmn-bench"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot read"), ("[]", "is no run"), ('{"schema": 1}', "is no run"), ("\xff", "read")],
)
def test_a_broken_run_file_is_told(folder, text, words):
    (folder / RUN_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(StoreError) as caught:
        read_run(folder)
    assert words in caught.value.message
    assert RUN_FILE in caught.value.message


def test_a_folder_without_a_run_file_is_no_run(tmp_path):
    with pytest.raises(StoreError, match=r"no run\.json"):
        read_run(tmp_path)


# ------------------------------------------------------------------------------- the disk


class Disk:
    """Stands in for `os.write` on a disk with so many bytes left; a reserve gives its room back."""

    def __init__(self, monkeypatch, folder, room, number=errno.ENOSPC, reserved=RESERVE_KIB * 1024):
        self.room, self.number = room, number
        self._folder, self._reserved, self._write = folder, reserved, os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor, data):
        if self._reserved and not (self._folder / RESERVE_FILE).exists():
            self.room, self._reserved = self.room + self._reserved, 0
        if not self.room:
            raise OSError(self.number, os.strerror(self.number))
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 10])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_record_during_which_the_disk_becomes_full_is_written_into_the_reserve(
    folder, monkeypatch, room, number
):
    with RecordWriter(folder) as writer:
        writer.append(FIRST)
        Disk(monkeypatch, folder, room, number)
        with pytest.raises(StoreError) as caught:
            writer.append(SECOND)
    assert "; the 2 records up to this one are safe" in caught.value.message
    assert f"lmn-bench run --resume {folder}" in caught.value.hint
    run = read_run(folder)
    assert run.records == (FIRST, SECOND)
    assert not run.bad_lines
    assert sorted(path.name for path in folder.iterdir()) == [RECORDS_FILE, RUN_FILE]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_record_that_has_no_room_at_all_leaves_no_half_line(folder, monkeypatch, number):
    with RecordWriter(folder) as writer:
        writer.append(FIRST)
        Disk(monkeypatch, folder, 10, number, reserved=0)
        with pytest.raises(StoreError, match="the 1 records before this one are safe"):
            writer.append(SECOND)
    assert (folder / RECORDS_FILE).read_text() == dump_record(FIRST)


def test_a_disk_without_room_for_the_reserve_is_told_before_anything_is_measured(
    folder, monkeypatch
):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(StoreError, match=f"the disk is full, with less than {RESERVE_KIB} KiB"):
        RecordWriter(folder).__enter__()
    assert sorted(path.name for path in folder.iterdir()) == [RECORDS_FILE, RUN_FILE]


def test_a_file_system_that_holds_no_room_back_measures_without(folder, monkeypatch):
    def fail(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    write(folder, FIRST)
    assert read_run(folder).records == (FIRST,)


@pytest.mark.parametrize("name", [RECORDS_FILE, REJECTED_FILE, RUN_FILE])
def test_a_link_in_a_foreign_run_folder_is_not_written_through(folder, tmp_path, name):
    """Resume what came from elsewhere, with a line that is set aside and a run that is finished."""
    (tmp_path / "mine").write_text("mine")
    append_text(folder, "not a record\n")
    run = read_run(folder)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "mine")
    with suppress(StoreError):
        repair(run)
    with suppress(StoreError):
        write(folder, FIRST)
    finish_run(folder, run.info)
    assert (tmp_path / "mine").read_text() == "mine"


def test_records_that_are_a_link_are_told(folder, tmp_path):
    (folder / RECORDS_FILE).unlink()
    (folder / RECORDS_FILE).symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match=r"records\.jsonl is a symbolic link"):
        RecordWriter(folder)
    assert not (tmp_path / "mine").exists()


def test_what_a_killed_run_left_half_written_is_cleared_and_nothing_else(folder):
    write(folder, FIRST)
    ours = f".{RUN_FILE}.0123abcd.part", f"{RUN_FILE}.partial", f".{RECORDS_FILE}.0123abcd.part"
    for name in (*ours, "notes.partial"):
        (folder / name).write_text("half")
    clear_left_over(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["notes.partial", RECORDS_FILE, RUN_FILE]


def test_a_results_folder_that_cannot_be_made_is_told_with_another_way(tmp_path):
    (tmp_path / "results").write_text("a file in its place")
    with pytest.raises(StoreError) as caught:
        create_run(tmp_path / "results", run_info())
    assert "cannot create the run folder" in caught.value.message
    assert "--results" in caught.value.hint


def test_records_that_cannot_be_opened_are_told(folder):
    (folder / RECORDS_FILE).unlink()
    (folder / RECORDS_FILE).mkdir()
    with pytest.raises(StoreError, match=RECORDS_FILE):
        RecordWriter(folder)
    with pytest.raises(StoreError, match=RECORDS_FILE):
        read_run(folder)


def test_a_run_file_that_cannot_be_finished_is_told(folder):
    (folder / RUN_FILE).unlink()
    (folder / RUN_FILE).mkdir()
    with pytest.raises(StoreError, match=RUN_FILE):
        finish_run(folder, run_info())


def test_two_files_of_long_names_are_not_written_over_each_other(tmp_path):
    for last in "ab":
        write_atomically(tmp_path / ("x" * 254 + last), last)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["a", "b"]


# ------------------------------------------------------------------------------- finding runs


@pytest.fixture
def results(tmp_path):
    """Three runs, of which the one made last has not the last name."""
    place = tmp_path / "results"
    for day, name in ((1, "smoke-1"), (3, "scaling-10"), (2, "scaling-1")):
        create_run(place, run_info(run_id=name, created_at=f"2026-01-0{day}T00:00:00"))
    (place / "notes").mkdir()
    return place


def test_runs_are_listed_by_their_time(results):
    assert [run.name for run in list_runs(results)] == ["smoke-1", "scaling-1", "scaling-10"]


def test_there_are_no_runs_where_there_is_no_folder(tmp_path):
    assert list_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [("smoke-1", "smoke-1"), ("smo", "smoke-1"), ("scaling-1", "scaling-1"),
     ("scaling-10", "scaling-10"), (None, "scaling-10")],
)  # fmt: skip
def test_a_run_is_found_by_its_name_its_beginning_or_as_the_latest(results, name, found):
    assert find_run(name, results).name == found


def test_a_run_is_found_by_its_path(results, tmp_path):
    assert find_run(str(results / "smoke-1"), tmp_path / "elsewhere") == results / "smoke-1"


def test_a_beginning_of_several_runs_is_told_with_all_of_them(results):
    with pytest.raises(StoreError, match="scaling-1, scaling-10"):
        find_run("scal", results)


def test_a_misspelt_run_gets_the_nearest_one(results):
    with pytest.raises(UnknownNameError) as caught:
        find_run("smoek-1", results)
    assert "did you mean 'smoke-1'?" in caught.value.hint


def test_no_runs_at_all_are_told_with_how_to_make_one(tmp_path):
    with pytest.raises(StoreError) as caught:
        find_run(None, tmp_path)
    assert "lmn-bench run" in caught.value.hint


def test_a_folder_that_is_no_run_is_told_as_such(results):
    with pytest.raises(StoreError, match="is no run folder"):
        find_run(str(results / "notes"), results)


def test_what_is_missing_is_what_has_no_record():
    planned = [(FIRST.case_id, 0), (FIRST.case_id, 1), (SECOND.case_id, 0)]
    assert list(missing(planned, [FIRST])) == planned[1:]
