"""Groups of cases: what is written and read on made-up trees, and real ones where we may."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from cgroup_helpers import NO_LIMIT_V1, fill

from lmn_bench.cgroups import Room, own_group, why_no_room
from lmn_bench.worker.cgroup import CaseGroup, CaseGroups

MIB = 2**20
V1_FILES = {
    "memory__limit_in_bytes": NO_LIMIT_V1, "memory__memsw__limit_in_bytes": NO_LIMIT_V1,
    "memory__usage_in_bytes": 0, "memory__max_usage_in_bytes": 0,
    "memory__oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0", "cgroup__procs": "",
}  # fmt: skip
V2_FILES = {
    "memory__max": "max", "memory__swap__max": "max", "memory__oom__group": 0,
    "memory__current": 0, "memory__peak": 0, "cgroup__procs": "",
    "memory__events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0",
}  # fmt: skip
FILES = {1: V1_FILES, 2: V2_FILES}


@pytest.fixture
def made(tmp_path):
    """A case's group of one version, with other content in some of its files."""

    def make(version, **changes):
        folder = fill(tmp_path / "case", **{**FILES[version], **changes})
        return CaseGroup(version, folder, fill(tmp_path / "home"), tmp_path / "score")

    return make


def content(group, name):
    return (group.folder / name).read_text().strip()


# ------------------------------------------------------------------------------- the limit


def test_version_2_limits_memory_and_allows_no_swap(made):
    group = made(2)
    with group.limit(64 * MIB):
        assert content(group, "memory.max") == str(64 * MIB)
        assert content(group, "memory.swap.max") == "0"
        assert content(group, "memory.oom.group") == "1"


def test_version_1_limits_memory_with_swap_to_the_same(made):
    group = made(1)
    with group.limit(64 * MIB):
        assert content(group, "memory.limit_in_bytes") == str(64 * MIB)
        assert content(group, "memory.memsw.limit_in_bytes") == str(64 * MIB)


def test_version_1_without_accounts_of_swap_is_told_to_use_none(made):
    group = made(1, memory__swappiness=60)
    (group.folder / "memory.memsw.limit_in_bytes").unlink()
    with group.limit(64 * MIB):
        assert content(group, "memory.swappiness") == "0"
        assert not (group.folder / "memory.memsw.limit_in_bytes").exists()


def test_a_kernel_without_swap_has_nothing_to_forbid(made):
    group = made(2)
    (group.folder / "memory.swap.max").unlink()
    with group.limit(64 * MIB):
        assert not (group.folder / "memory.swap.max").exists()


@pytest.mark.parametrize(
    ("version", "used", "limit"),
    [(1, "memory__usage_in_bytes", "memory.limit_in_bytes"), (2, "memory__current", "memory.max")],
)
def test_a_second_budget_comes_on_top_of_what_the_first_one_left(made, version, used, limit):
    group = made(version, **{used: 10 * MIB})
    with group.limit(64 * MIB):
        assert content(group, limit) == str(74 * MIB)


def test_a_process_joins_for_the_block_only(made):
    group = made(2)
    with group.limit(MIB):
        assert content(group, "cgroup.procs") == str(os.getpid())
        assert not (group.home / "cgroup.procs").exists()
    assert (group.home / "cgroup.procs").read_text() == str(os.getpid())


def test_a_process_that_must_not_be_killed_would_hang_at_its_limit(made):
    group = made(2)
    with group.limit(MIB):
        assert group.oom_score.read_text() == "1000"


# ------------------------------------------------------------------------------- the end

FULL = {"memory__limit_in_bytes": 64 * MIB, "memory__max_usage_in_bytes": 64 * MIB - 4096}


@pytest.mark.parametrize(
    ("version", "files", "killed"),
    [
        (2, {"memory__events": "max 4\noom 1\noom_kill 1"}, True),
        (2, {"memory__events": "max 4\noom 0\noom_kill 0"}, False),
        (2, {"memory__events": "max 0\noom 0\noom_kill 1"}, False),  # for want of others' memory
        (1, {**FULL, "memory__oom_control": "under_oom 0\noom_kill 1"}, True),
        (1, {**FULL, "memory__oom_control": "under_oom 0\noom_kill 0"}, False),
        (1, {"memory__oom_control": "under_oom 0\noom_kill 1"}, False),
        (1, {**FULL, "memory__oom_control": "under_oom 0"}, False),  # before 4.13
    ],
)
def test_a_kill_counts_as_one_at_the_limit_only_where_the_limit_was_met(
    made, version, files, killed
):
    assert made(version, **files).ending()["killed"] is killed


@pytest.mark.parametrize(
    ("version", "name"), [(1, "memory__max_usage_in_bytes"), (2, "memory__peak")]
)
def test_the_peak_is_the_kernels_own(made, version, name):
    assert made(version, **{name: 12 * MIB}).ending()["peak_bytes"] == 12 * MIB


def test_a_kernel_that_keeps_no_peak_has_none(made):
    group = made(2)
    (group.folder / "memory.peak").unlink()
    assert "peak_bytes" not in group.ending()


# ------------------------------------------------------------------------------- making them


def test_every_case_has_a_group_of_its_own_that_names_its_server(tmp_path):
    groups = CaseGroups(Room(2, tmp_path, tmp_path))
    names = [groups.make().folder.name for _ in range(2)]
    assert names == [f"lmn-bench-{os.getpid()}-0", f"lmn-bench-{os.getpid()}-1"]


def test_the_groups_are_taken_away_again(tmp_path):
    group = CaseGroups(Room(2, tmp_path, tmp_path)).make()
    group.close()
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------- for real

NO_ROOM = why_no_room(own_group())
real = pytest.mark.skipif(NO_ROOM is not None, reason=f"no real cgroups: {NO_ROOM}")
# In a process of its own, as cases are: of version 2, one that makes groups has to move.
SCRIPT = """
import os, sys
from lmn_bench.cgroups import own_group
from lmn_bench.worker.cgroup import CaseGroups
group = CaseGroups.here(own_group()).make()
if os.fork() == 0:
    held = bytearray(int(sys.argv[1]) * 2**20)  # before: no part of the budget
    with group.limit(int(sys.argv[2]) * 2**20):
        held += bytes(int(sys.argv[3]) * 2**20)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), group.ending()["killed"])
group.close()
print(group.folder.exists())
"""


def in_a_group(before_mib, budget_mib, touched_mib):
    """How a process ended that touched so much before and in a group, and what is left of it."""
    command = [sys.executable, "-c", SCRIPT, *map(str, (before_mib, budget_mib, touched_mib))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@real
def test_what_stays_in_its_budget_ends_well_and_its_group_is_gone():
    assert in_a_group(0, 32, 8) == ["0", "False", "False"]


@real
def test_what_exceeds_its_budget_is_killed_and_its_group_is_gone():
    assert in_a_group(0, 16, 64) == ["-9", "True", "False"]


@real
def test_what_was_held_before_is_no_part_of_the_budget():
    assert in_a_group(64, 16, 0) == ["0", "False", "False"]
