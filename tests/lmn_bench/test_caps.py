"""Which mechanisms of memory caps a session has, and what a measuring process is started with."""

from __future__ import annotations

import os

import pytest
from bench_helpers import case
from cgroup_helpers import fill, v2_session

from lmn_bench.cgroups import HOME, MemoryGroup
from lmn_bench.errors import CapError
from lmn_bench.run.caps import _run, cap_mechanisms, launcher, mechanism_for
from lmn_bench.schema import Measuring

CAPPED = case(memory_cap_bytes=2**26)
GROUPS = Measuring(cap_mechanism="cgroup")


@pytest.fixture
def with_systemd(tmp_path, monkeypatch):
    """A systemd-run that can be found."""
    program = fill(tmp_path / "bin") / "systemd-run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.fixture
def without_systemd(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


def session(tmp_path, **files):
    """Our group in a session of version 2, which other processes share unless `files` say no."""
    folder = v2_session(tmp_path, **{"cgroup__procs": f"1\n{os.getpid()}", **files})
    return MemoryGroup(2, folder, tmp_path / "sys")


def answering(code=0, output="memory pids\n", error=""):
    """A session's manager that answers so."""
    return lambda command: (code, output, error)


def by_group(*arguments, **options):
    (found,) = [m for m in cap_mechanisms(False, *arguments, **options) if m.name == "cgroup"]
    return found


# ------------------------------------------------------------------------------- what is needed


@pytest.mark.parametrize(
    ("measuring", "cases", "expected"),
    [
        (GROUPS, [case(), CAPPED], "cgroup"),
        (GROUPS, [case()], "rlimit"),
        (GROUPS, [case(memory_cap_bytes=2**26, device="cuda")], "rlimit"),
        (Measuring(), [CAPPED], "rlimit"),
    ],
    ids=["a capped case", "no cap", "a cap on CUDA alone", "not asked for"],
)
def test_groups_are_asked_for_only_where_a_case_needs_one(measuring, cases, expected):
    assert mechanism_for(measuring, cases) == expected


# ------------------------------------------------------------------------------- starting


def test_in_a_delegated_group_nothing_stands_before_the_command(tmp_path):
    group = session(tmp_path, cgroup__procs=os.getpid())
    assert launcher(group) == ()
    assert (group.folder / HOME / "cgroup.procs").read_text() == str(os.getpid())


def test_a_session_that_others_share_gets_a_scope_from_systemd(tmp_path, with_systemd):
    command = launcher(session(tmp_path), answering())
    assert command[0] == "systemd-run"
    assert {"--scope", "Delegate=yes"} <= set(command)
    assert ("--user" in command) is (os.geteuid() != 0)
    assert command[-1] == "--"


def test_the_scope_is_asked_for_its_controllers_before_it_is_relied_on(tmp_path, with_systemd):
    asked = []

    def run(command):
        asked.append(command)
        return 0, "memory\n", ""

    launcher(session(tmp_path), run)
    assert asked[0][-1] == str(tmp_path / "sys")
    assert "cgroup.controllers" in asked[0][-2]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answering(1, "", "Failed to connect to bus"), "Failed to connect to bus"),
        (answering(output="cpu pids\n"), "gives no memory controller"),
    ],
)
def test_a_systemd_that_cannot_help_is_told_and_nothing_else_is_tried(
    tmp_path, with_systemd, answer, words
):
    with pytest.raises(CapError, match=words) as caught:
        launcher(session(tmp_path), answer)
    assert "1 other process" in caught.value.message
    assert "--cap-mechanism rlimit" in caught.value.hint


def test_without_systemd_a_shared_session_has_no_groups(tmp_path, without_systemd):
    with pytest.raises(CapError, match="there is no systemd-run"):
        launcher(session(tmp_path), answering())


# ------------------------------------------------------------------------------- what there is


def test_where_groups_can_be_made_their_place_is_told(tmp_path):
    group = session(tmp_path, cgroup__procs=os.getpid())
    found = by_group(group)
    assert found.available
    assert found.detail == f"version 2, in {group.folder}"
    assert not (group.folder / HOME).exists()  # asking changes nothing


def test_groups_by_systemd_are_told(tmp_path, with_systemd):
    found = by_group(session(tmp_path), answering())
    assert (found.available, found.detail) == (True, "version 2, in a scope of systemd-run")


def test_why_there_are_no_groups_is_told(tmp_path, without_systemd):
    found = by_group(session(tmp_path), answering())
    assert not found.available
    assert "1 other process" in found.detail
    assert "there is no systemd-run" in found.detail


def test_a_group_of_version_1_is_told(tmp_path):
    found = by_group(MemoryGroup(1, tmp_path, tmp_path))
    assert (found.available, found.detail) == (True, f"version 1, in {tmp_path}")


def test_rlimit_is_there_always_and_cuda_with_a_gpu():
    for with_cuda in (False, True):
        found = {m.name: m.available for m in cap_mechanisms(with_cuda)}
        assert found["rlimit"]
        assert found["cuda fraction"] is with_cuda


def test_what_a_program_says_in_another_encoding_is_read_all_the_same():
    code, out, last = _run(
        ["/bin/sh", "-c", r"printf 'memory \377'; printf 'no \377\n' >&2; exit 3"]
    )
    assert (code, out, last) == (3, "memory \ufffd", "no \ufffd")
