"""Memory caps by real cgroups: real children, killed by the kernel or not."""

from __future__ import annotations

from functools import partial

import pytest
from process_helpers import MIB, environ, measured_by, rogue

from lmn_bench.cgroups import HOME, own_group, why_no_room
from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Outcome

NO_ROOM = why_no_room(own_group())
pytestmark = pytest.mark.skipif(NO_ROOM is not None, reason=f"no real cgroups: {NO_ROOM}")


@pytest.fixture(scope="module")
def server():
    with ForkServer(environ(), cap_mechanism="cgroup") as running:
        yield running


@pytest.fixture(scope="module")
def measure(server):
    """Run one case through a real child, with caps by cgroups; its record."""
    return partial(measured_by, server, cap_mechanism="cgroup")


def groups_of(pid):
    """The groups of cases that are there of one server; other tests may have theirs."""
    home = own_group().folder
    folder = home.parent if home.name == HOME else home
    return list(folder.glob(f"lmn-bench-{pid}-*"))


def test_200_mib_under_a_cap_of_64_are_killed_and_the_reason_names_the_cap(measure):
    record = measure(rogue("touches_200_mib"), cap=64 * MIB)
    assert record.outcome is Outcome.KILLED
    assert record.reason.startswith("killed by the kernel at memory.")
    assert record.reason.endswith(f" = 64MiB ({record.cap_mechanism})")
    assert not record.is_failure


def test_20_mib_under_a_cap_of_64_fit(measure):
    record = measure(rogue("touches_20_mib"), cap=64 * MIB)
    assert record.outcome is Outcome.OK
    assert 20 * MIB < record.metrics["cap_peak_bytes"] < 64 * MIB


def test_a_killed_process_tells_what_it_held_and_that_it_used_the_whole_budget(measure):
    record = measure(rogue("touches_200_mib"), cap=64 * MIB)
    assert record.cap_mechanism in {"cgroup v1", "cgroup v2"}
    assert record.metrics["cap_floor_bytes"] > 64 * MIB
    assert record.metrics["cap_peak_bytes"] == pytest.approx(64 * MIB, abs=MIB)


def test_memory_that_is_asked_for_and_never_touched_counts_by_rlimit_alone(measure):
    subject = rogue("reserves_200_mib")
    by_rlimit = measure(subject, cap=64 * MIB, cap_mechanism="rlimit")
    assert (by_rlimit.outcome, by_rlimit.cap_mechanism) == (Outcome.OUT_OF_MEMORY, "rlimit")
    assert measure(subject, cap=64 * MIB).outcome is Outcome.OK


@pytest.mark.parametrize("name", ["touches_200_mib", "touches_20_mib", "hangs_with_a_child"])
def test_the_group_of_a_case_goes_with_its_process(server, measure, name):
    measure(rogue(name), cap=64 * MIB, timeout_s=3)
    assert groups_of(server._process.pid) == []


def test_the_group_of_a_case_whose_server_was_killed_goes_too(server, measure):
    measure(rogue("good"))
    pid = server._process.pid
    assert measure(rogue("kills_the_server"), cap=64 * MIB).outcome is Outcome.KILLED
    assert groups_of(pid) == []


def test_without_a_cap_a_case_is_measured_as_ever(measure):
    record = measure(rogue("good"))
    assert (record.outcome, record.cap_mechanism) == (Outcome.OK, None)
