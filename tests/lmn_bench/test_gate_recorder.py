"""What `ab` measures is on disk record by record, and kept elsewhere where its files go."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from bench_helpers import case, ok, run_info

from lmn_bench.cli.alternate import Recorder
from lmn_bench.cli.versions import Version
from lmn_bench.errors import StoreError
from lmn_bench.gates import ARMS, GateInfo, read_gate
from lmn_bench.run.blocks import Ended
from lmn_bench.run.installation import Installation
from lmn_bench.store import read_run

VERSIONS = {arm: Version(arm, Installation()) for arm in ARMS}
GATE = GateInfo("base", "new", ("ended early",))
RECORD = ok(case())


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "ab-made-up-20260101-000000"
    folder.mkdir()
    return folder


def recorder(folder):
    return Recorder(folder, {arm: run_info(run_id=arm) for arm in ARMS}, VERSIONS, GATE)


def ended(arm):
    return Ended(arm, RECORD)


@pytest.mark.parametrize("lost", ["", "base/records.jsonl"], ids=["everything", "one file"])
def test_where_files_of_an_arm_go_all_arms_are_written_elsewhere(folder, lost):
    def measure():
        with recorder(folder) as recording:
            recording.take(ended("new"))
            (shutil.rmtree if not lost else os.unlink)(folder / lost)
            recording.take(ended("base"))
            recording.take(ended("null"))

    with pytest.raises(StoreError) as caught:
        measure()
    place = folder.with_name(f"{folder.name}-rescued")
    assert str(place) in caught.value.message
    assert f"lmn-bench compare {place}" in caught.value.hint
    assert read_gate(place) == GATE
    assert {arm: len(read_run(place / arm).records) for arm in ARMS} == {
        "base": 1, "null": 0, "new": 1,
    }  # fmt: skip


def test_an_arm_without_room_leaves_no_reserve_of_the_others(folder, monkeypatch):
    given = iter([None, OSError(errno.ENOSPC, "No space left on device")])

    def allocate(*_):
        if error := next(given):
            raise error

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    with pytest.raises(StoreError, match="the disk is full"):
        recorder(folder).__enter__()
    assert not [*folder.glob("*/.reserve")]
