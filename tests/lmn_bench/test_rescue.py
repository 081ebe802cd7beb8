"""Records whose files go while they are measured are all written elsewhere."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from bench_helpers import case, ok, run_info

from lmn_bench.errors import StoreError
from lmn_bench.rescue import keep_run, rescuing
from lmn_bench.store import RecordWriter, create_run, read_run

RECORDS = [ok(case(), replicate) for replicate in range(3)]


def replace_file(folder):
    (folder / "new").write_text("")
    (folder / "new").replace(folder / "records.jsonl")


def cut_short(folder):
    with (folder / "records.jsonl").open("r+") as file:
        file.truncate(10)


LOSSES = {
    "records.jsonl was removed or renamed": lambda folder: (folder / "records.jsonl").unlink(),
    "records.jsonl was replaced": replace_file,
    "records.jsonl was cut short": cut_short,
    "made-up-20260101-000000 was removed or renamed": shutil.rmtree,
    "made-up-20260101-000000 was": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "made-up": lambda folder: shutil.rmtree(folder.parent),
}


@pytest.fixture
def folder(tmp_path):
    return create_run(tmp_path / "results", run_info())


def measure(folder, lose, *, at=1, error=None):
    """Append three records; something happens to their files before number `at`."""
    kept = []
    with (
        RecordWriter(folder) as writer,
        rescuing(folder, [writer], keep_run(run_info(), kept), lambda place: f"see {place.name}"),
    ):
        for number, record in enumerate(RECORDS):
            if number == at:
                lose(folder)
                if error is not None:
                    raise error
            kept.append(record)
            writer.append(record)
        if at == len(RECORDS):
            lose(folder)


@pytest.mark.parametrize("words", LOSSES)
def test_the_next_record_notices_and_all_are_kept_and_told(folder, words):
    with pytest.raises(StoreError) as caught:
        measure(folder, LOSSES[words])
    place = folder.with_name(f"{folder.name}-rescued")
    assert words in caught.value.message
    assert caught.value.message.endswith(
        f"while it was measured; every record so far is in {place}"
    )
    assert caught.value.hint == f"next: `see {place.name}`"
    run = read_run(place)
    assert run.records == (*RECORDS[:2],)
    assert run.info.run_id == place.name


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("another reason")])
def test_whatever_ends_the_run_nothing_is_said_to_be_safe_that_is_gone(folder, error):
    with pytest.raises(StoreError, match="-rescued"):
        measure(folder, shutil.rmtree, error=error)
    assert read_run(folder.with_name(f"{folder.name}-rescued")).records == (*RECORDS[:1],)


def test_files_that_go_after_the_last_record_are_noticed_at_the_end(folder):
    with pytest.raises(StoreError, match="-rescued"):
        measure(folder, shutil.rmtree, at=len(RECORDS))
    assert read_run(folder.with_name(f"{folder.name}-rescued")).records == (*RECORDS,)


def test_a_rescue_never_takes_the_place_of_another(folder):
    folder.with_name(f"{folder.name}-rescued").mkdir()
    with pytest.raises(StoreError, match="-rescued-2"):
        measure(folder, shutil.rmtree)


def test_where_nothing_can_be_written_beside_it_goes_to_the_temporary_files(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def lose(folder):
        shutil.rmtree(folder.parent)
        folder.parent.write_text("a file in its place")

    with pytest.raises(StoreError, match="every record so far is in"):
        measure(folder, lose)
    (place,) = (tmp_path / "temporary").iterdir()
    assert read_run(place).records == (*RECORDS[:2],)


def test_a_run_whose_files_stay_is_written_once_and_as_always(folder):
    measure(folder, lambda _: None)
    assert read_run(folder).records == (*RECORDS,)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_others_append_is_no_loss(folder):
    def append(folder):
        with (folder / "records.jsonl").open("a") as file:
            file.write("a foreign line\n")

    measure(folder, append)
    assert read_run(folder).records == (*RECORDS,)
