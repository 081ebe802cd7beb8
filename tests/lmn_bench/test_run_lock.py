"""Folders and files that one process at a time works on."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from lmn_bench.errors import StoreError, UsageError
from lmn_bench.run_lock import claimed_file, locked, new_folder

MOMENT = datetime(2026, 11, 23, 14, 15, tzinfo=UTC)
BASE = "scaling-20261123-141500"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def begin_and_die(results, *files):
    """What a process leaves that is killed before there is a run.json in its folder."""
    pid = os.fork()
    if pid == 0:
        with new_folder(results, "scaling", MOMENT) as folder:
            for name in files:
                (folder / name).write_text("half" if name != "records.jsonl" else "")
            os._exit(9)
    os.waitpid(pid, 0)


# ------------------------------------------------------------------------------- folders


def test_what_begins_in_one_second_gets_folders_of_its_own(tmp_path):
    with ExitStack() as stack:
        folders = [
            stack.enter_context(new_folder(tmp_path / "results", "scaling", MOMENT))
            for _ in range(4)
        ]
    assert [folder.name for folder in folders] == [BASE, *(f"{BASE}-{n}" for n in (2, 3, 4))]
    assert all(folder.is_dir() for folder in folders)


def test_a_folder_in_which_nothing_was_measured_is_gone_again(tmp_path):
    def fail():
        with new_folder(tmp_path, "scaling", MOMENT) as folder:
            (folder / "trace.json").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == []


@pytest.mark.parametrize("file", ["run.json", "gate.json", "profile.json", "notes"])
def test_a_folder_in_which_something_was_measured_stays(tmp_path, file):
    def fail():
        with new_folder(tmp_path, "scaling", MOMENT) as folder:
            (folder / file).write_text("{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with new_folder(tmp_path, "other", MOMENT):
        pass
    assert (tmp_path / BASE / file).exists()


@pytest.mark.parametrize(
    "files",
    [(), (".run.json.0123abcd.part", "records.jsonl", ".reserve"), ("trace.json", "lines.txt")],
    ids=lambda files: " ".join(files) or "empty",
)
def test_what_was_killed_before_it_had_measured_is_swept_by_the_next(tmp_path, files):
    begin_and_die(tmp_path, *files)
    assert names(tmp_path) == [BASE]
    with new_folder(tmp_path, "other", MOMENT) as folder:
        assert names(tmp_path) == [folder.name]


def test_a_killed_run_keeps_what_it_measured_and_nothing_else(tmp_path):
    kept = "ab-x-20260101-000000/gate.json", "ab-x-20260101-000000/base/records.jsonl"
    left = "ab-x-20260101-000000/base/.reserve", "ab-x-20260101-000000/.report.md.0123abcd.part"
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with locked(tmp_path / "ab-x-20260101-000000"), new_folder(tmp_path, "other", MOMENT):
        assert all((tmp_path / name).exists() for name in (*kept, *left))
    with new_folder(tmp_path, "other", MOMENT):
        assert all((tmp_path / name).exists() for name in kept)
        assert not any((tmp_path / name).exists() for name in left)


def test_what_is_beginning_or_not_ours_is_not_swept(tmp_path):
    (tmp_path / "mine-20260101-000000x").mkdir()
    (tmp_path / "link-20260101-000000").symlink_to(tmp_path / "mine-20260101-000000x")
    records = tmp_path / "lost-20260101-000000/records.jsonl"
    records.parent.mkdir()
    records.write_text("{}\n")
    with new_folder(tmp_path, "scaling", MOMENT), new_folder(tmp_path, "other", MOMENT):
        assert len(names(tmp_path)) == 5


def test_results_that_cannot_be_written_are_told_with_another_place(tmp_path):
    (tmp_path / "results").write_text("a file in its place")
    with (
        pytest.raises(StoreError, match="cannot create the folder") as caught,
        new_folder(tmp_path / "results", "scaling", MOMENT),
    ):
        pass
    assert "--results" in caught.value.hint


# ------------------------------------------------------------------------------- locks


def test_one_at_a_time_is_told_what_the_other_does(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(StoreError, match="another lmn-bench is saving into"),
        locked(tmp_path, doing="saving"),
    ):
        pass
    with locked(tmp_path):
        pass


def test_who_waits_has_its_turn(tmp_path):
    begun, turns = threading.Event(), []

    def second():
        begun.set()
        with locked(tmp_path, wait_s=60):
            turns.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path):
        thread.start()
        begun.wait()
        turns.append("first")
    thread.join()
    assert turns == ["first", "second"]


def test_a_file_is_claimed_by_one_and_nothing_is_left_of_that(tmp_path):
    path = tmp_path / "a.safetensors"
    with (
        claimed_file(path, "training"),
        pytest.raises(UsageError, match="another lmn-bench is training"),
        claimed_file(path, "training"),
    ):
        pass
    assert names(tmp_path) == []


def test_the_claim_of_a_killed_one_is_taken_over(tmp_path):
    path = tmp_path / "a.safetensors"
    (tmp_path / ".a.safetensors.lock").touch()
    with claimed_file(path, "training"):
        assert names(tmp_path) == [".a.safetensors.lock"]
    assert names(tmp_path) == []
