"""Which memory group a process is in, what limits it, and room for others: on made-up trees."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cgroup_helpers import NO_LIMIT_V1, V1_MOUNT, V2_MOUNT, fake_proc, fill, v2_session

from lmn_bench.cgroups import (
    HOME,
    MemoryGroup,
    make_room,
    members,
    own_group,
    remove,
    sweep,
    why_no_room,
)
from lmn_bench.errors import CapError

GIB = 2**30
MIB = 2**20


# ------------------------------------------------------------------------------- which group


def test_a_group_of_version_2_is_found_below_its_mount(tmp_path):
    folder = v2_session(tmp_path)
    proc = fake_proc(tmp_path, "0::/user/run.scope\n", V2_MOUNT)
    assert own_group(proc) == MemoryGroup(2, folder, tmp_path / "sys")


def test_where_version_1_has_the_memory_controller_it_counts(tmp_path):
    """As on hybrid systems, where version 2 is there too, and has no memory in it."""
    folder = fill(tmp_path / "sys" / "memory" / "job")
    fill(tmp_path / "sys" / "unified")
    unified = V2_MOUNT.replace("/sys", "/sys/unified")
    proc = fake_proc(tmp_path, "4:memory:/job\n3:cpu:/\n0::/\n", unified, V1_MOUNT)
    assert own_group(proc) == MemoryGroup(1, folder, tmp_path / "sys" / "memory")


def test_a_controller_that_shares_its_tree_is_found(tmp_path):
    folder = fill(tmp_path / "sys" / "memory" / "job")
    proc = fake_proc(
        tmp_path, "4:cpuset,memory:/job\n", V1_MOUNT.replace("rw,memory", "rw,cpuset,memory")
    )
    assert own_group(proc).folder == folder


def test_a_container_sees_its_own_group_as_the_top(tmp_path):
    """Of a mount that begins at the container's group, paths are told from the machine's top."""
    fill(tmp_path / "sys")
    mount = V2_MOUNT.replace("0:28 / ", "0:28 /docker/abc ")
    proc = fake_proc(tmp_path, "0::/docker/abc\n", mount)
    assert own_group(proc).folder == tmp_path / "sys"


@pytest.mark.parametrize(
    ("groups", "mounts"),
    [
        ("", []),
        ("0::/\n", []),
        ("0::/gone\n", [V2_MOUNT]),
        ("0::/../elsewhere\n", [V2_MOUNT]),
        ("3:cpu:/\n", [V1_MOUNT]),
    ],
    ids=["no groups", "no mount", "not visible", "outside of the container", "no memory"],
)
def test_a_group_that_cannot_be_seen_is_none(tmp_path, groups, mounts):
    fill(tmp_path / "sys" / "memory")
    fill(tmp_path / "elsewhere")
    assert own_group(fake_proc(tmp_path, groups, *mounts)) is None


def test_this_machine_can_be_asked():
    group = own_group()
    assert group is None or group.folder.is_dir()


# ------------------------------------------------------------------------------- limits


@pytest.fixture
def chain(tmp_path):
    """A group of version 2 with one above it, and the top."""
    top = fill(tmp_path / "sys")
    above = fill(top / "user")
    return MemoryGroup(2, fill(above / "run.scope"), top), above


def test_the_limits_of_the_groups_above_count_too(chain):
    group, above = chain
    fill(above, memory__max=GIB)
    fill(group.folder, memory__max=2 * GIB)
    assert group.limit_bytes() == GIB


def test_without_a_limit_there_is_none(chain):
    group, above = chain
    fill(above, memory__max="max")
    assert group.limit_bytes() is None
    assert group.left_bytes() is None


def test_what_is_left_is_what_the_nearest_limit_leaves(chain):
    group, above = chain
    fill(above, memory__max=GIB, memory__current=900 * MIB)
    fill(group.folder, memory__max=512 * MIB, memory__current=100 * MIB)
    assert group.left_bytes() == 124 * MIB


def test_files_that_can_go_at_any_time_are_no_use_of_memory(chain):
    group, _ = chain
    fill(
        group.folder, memory__max=GIB, memory__current=800 * MIB,
        memory__stat=f"anon 1\ninactive_file {300 * MIB}\nactive_file 7",
    )  # fmt: skip
    assert group.left_bytes() == 524 * MIB


def test_a_group_over_its_limit_has_nothing_left(chain):
    group, _ = chain
    fill(group.folder, memory__max=GIB, memory__current=2 * GIB)
    assert group.left_bytes() == 0


def test_the_largest_number_of_version_1_is_no_limit(tmp_path):
    top = fill(tmp_path / "sys", memory__limit_in_bytes=NO_LIMIT_V1)
    group = MemoryGroup(1, fill(top / "job", memory__limit_in_bytes=GIB), top)
    assert group.limit_bytes() == GIB
    fill(group.folder, memory__limit_in_bytes=NO_LIMIT_V1)
    assert group.limit_bytes() is None


# ------------------------------------------------------------------------------- room


def group_of(folder, version=2):
    return MemoryGroup(version, folder, folder.parent.parent)


def test_in_version_1_groups_are_made_beside_the_processes(tmp_path):
    folder = fill(tmp_path / "sys" / "memory" / "job", cgroup__procs="1\n2")
    room = make_room(group_of(folder, version=1))
    assert (room.folder, room.home) == (folder, folder)


def test_in_version_2_this_process_moves_aside_first(tmp_path):
    folder = v2_session(tmp_path, cgroup__procs=os.getpid())
    room = make_room(group_of(folder))
    assert (room.folder, room.home) == (folder, folder / HOME)
    assert (folder / HOME / "cgroup.procs").read_text() == str(os.getpid())
    assert (folder / "cgroup.subtree_control").read_text() == "+memory"


def test_a_process_that_was_born_aside_makes_room_in_the_same_place(tmp_path):
    """Several servers of one run share the session's group."""
    folder = v2_session(tmp_path, cgroup__subtree_control="memory")
    home = fill(folder / HOME, cgroup__procs=f"1\n{os.getpid()}")
    room = make_room(group_of(home))
    assert (room.folder, room.home) == (folder, home)


def test_at_the_very_top_of_version_2_nobody_has_to_move(tmp_path):
    """It has no type, and may have processes."""
    folder = v2_session(tmp_path, cgroup__procs="1\n2")
    (folder / "cgroup.type").unlink()
    room = make_room(group_of(folder))
    assert (room.folder, room.home) == (folder, folder)


def test_where_the_kernel_refuses_the_controller_this_process_moves_back(tmp_path):
    folder = v2_session(tmp_path)
    (folder / "cgroup.subtree_control").unlink()
    (folder / "cgroup.subtree_control").mkdir()  # cannot be written
    with pytest.raises(CapError, match="not possible here"):
        make_room(group_of(folder))
    assert (folder / "cgroup.procs").read_text() == str(os.getpid())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"cgroup__controllers": "cpu pids"}, "no memory controller"),
        ({"cgroup__procs": "1"}, "1 other process in"),
        ({"cgroup__procs": "1\n2"}, "2 other processes in"),
    ],
)
def test_why_there_is_no_room_is_told_with_what_to_do(tmp_path, files, words):
    group = group_of(v2_session(tmp_path, **files))
    assert words in why_no_room(group)
    with pytest.raises(CapError, match=words) as caught:
        make_room(group)
    assert "systemd-run --user --scope" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize(
    ("name", "words"), [("", "cannot be written"), ("cgroup.subtree_control", "not delegated")]
)
def test_a_group_of_somebody_elses_has_no_room(tmp_path, name, words):
    folder = v2_session(tmp_path)
    place = folder / name if name else folder
    place.chmod(0o555)
    try:
        assert words in why_no_room(group_of(folder))
    finally:
        place.chmod(0o755)


def test_without_a_visible_group_there_is_no_room():
    with pytest.raises(CapError, match="no memory cgroup is visible here"):
        make_room(None)


# ------------------------------------------------------------------------------- sweeping


def dead_pid():
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


def test_what_dead_servers_left_is_swept_away_and_nothing_else(tmp_path):
    stale = tmp_path / f"lmn-bench-{dead_pid()}-3"
    kept = [tmp_path / f"lmn-bench-{os.getpid()}-0", tmp_path / HOME, tmp_path / "other-1-1"]
    for folder in (stale, *kept):
        folder.mkdir()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_group_that_is_gone_already_is_no_mistake(tmp_path):
    remove(tmp_path / "gone")


def test_processes_of_other_containers_are_no_members(tmp_path):
    """They read as 0, which would mean ourselves to `kill`."""
    assert members(fill(tmp_path / "group", cgroup__procs="0\n17\n0")) == {17}


@pytest.fixture
def group_of_version_2():
    """A real group, that needs no controller."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for _, mount, kind, *_ in mounts:
        folder = Path(mount, f"lmn-bench-test-{os.getpid()}")
        made = False
        if kind == "cgroup2":
            with suppress(OSError):
                folder.mkdir()
                made = True
        if made:
            yield folder
            remove(folder)
            return
    pytest.skip("no group of version 2 can be made here")


def test_one_that_lives_on_in_its_children_is_ended_with_its_group(group_of_version_2):
    # Bounded, should nothing end it.
    script = "import os\nfor _ in range(20000):\n    if os.fork():\n        os._exit(0)"
    join = f"echo $$ > {group_of_version_2}/cgroup.procs; exec {sys.executable} -S -c '{script}'"
    subprocess.run(["sh", "-c", join], check=True)
    remove(group_of_version_2)
    assert not group_of_version_2.exists()
