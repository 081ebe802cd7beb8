"""Files written as a whole, whatever happens, and what isn't a file is written through."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from lmn.atomic import replacing, sweep


def write(path, content=b"new", **how):
    with replacing(path, **how) as file:
        file.write(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def left(folder, name="a", token="0123abcd"):
    """What a writer that was killed leaves beside `name`."""
    path = folder / f".{name}.{token}.part"
    path.write_bytes(b"half")
    return path


# ------------------------------------------------------------------------------- as a whole


def test_an_error_on_the_way_keeps_the_old_file_and_leaves_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"old")

    def fail():
        with replacing(tmp_path / "a") as file:
            file.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_keeps_the_old_file_and_is_left_no_fuller(
    tmp_path, monkeypatch, call, number
):
    (tmp_path / "a").write_bytes(b"old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_permissions_stay_what_they_were(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o600)
    write(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_folder_is_told_and_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "a")
    assert names(tmp_path) == ["a"]


# ------------------------------------------------------------------------------- links


@pytest.mark.parametrize("exists", [True, False], ids=["there", "dangling"])
def test_a_link_stays_and_what_it_names_is_written(tmp_path, exists):
    (tmp_path / "far").mkdir()
    if exists:
        (tmp_path / "far/b").write_bytes(b"old")
    (tmp_path / "a").symlink_to("far/b")
    write(tmp_path / "a")
    assert (tmp_path / "a").readlink() == Path("far/b")
    assert (tmp_path / "far/b").read_bytes() == b"new"


def test_links_that_lead_nowhere_or_in_a_circle_are_told_and_stay(tmp_path):
    (tmp_path / "a").symlink_to("a")
    (tmp_path / "b").symlink_to("no/such")
    for name, number in (("a", errno.ELOOP), ("b", errno.ENOENT)):
        with pytest.raises(OSError, match=os.strerror(number)):
            write(tmp_path / name)
    assert names(tmp_path) == ["a", "b"]


def test_a_link_that_is_not_to_be_followed_is_replaced_itself(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "a").symlink_to("mine")
    write(tmp_path / "a", follow=False)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (tmp_path / "a").read_bytes() == b"new"
    assert not (tmp_path / "a").is_symlink()


# ------------------------------------------------------------------------------- no files


def test_a_named_pipe_is_written_through_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(tmp_path / "pipe", b"one")
    write(tmp_path / "link", b"two")
    assert os.read(reading, 100) == b"onetwo"
    os.close(reading)
    assert names(tmp_path) == ["link", "pipe"]
    with pytest.raises(OSError, match="no file"):
        write(tmp_path / "pipe", follow=False)


def test_a_device_stays_one(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices are made by root only")
    try:
        write(device)
    except PermissionError:
        pytest.skip("no devices on this file system")
    assert device.is_char_device()
    assert names(tmp_path) == ["null"]


def test_a_socket_is_told_and_stays(tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)  # the path of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(OSError, match="No such device"):
            write("socket")
    assert (tmp_path / "socket").is_socket()


def test_a_descriptor_is_written_where_it_stands(tmp_path):
    with (tmp_path / "out").open("wb", buffering=0) as out:
        out.write(b"before ")
        write(f"/dev/fd/{out.fileno()}", b"written ")
        out.write(b"after")
    assert (tmp_path / "out").read_bytes() == b"before written after"


# ------------------------------------------------------------------------------- left over


def test_what_a_killed_writer_left_is_swept_when_its_place_is_written_again(tmp_path):
    left(tmp_path)
    others = left(tmp_path, "b"), left(tmp_path, "a", "zzzzzzzz"), tmp_path / "a.part"
    others[2].write_bytes(b"not ours")
    write(tmp_path / "a")
    assert names(tmp_path) == sorted(["a", *(path.name for path in others)])


def test_a_writer_that_is_killed_leaves_only_what_is_swept(tmp_path):
    pid = os.fork()
    if pid == 0:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            file.flush()
            os._exit(9)
    os.waitpid(pid, 0)
    assert len(names(tmp_path)) == 1
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_what_is_being_written_is_not_swept(tmp_path):
    with replacing(tmp_path / "a") as first:
        first.write(b"first")
        write(tmp_path / "a", b"second")
        sweep(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_part_of_before_there_were_locks_is_swept_once_its_process_is_gone(tmp_path):
    mine = left(tmp_path, token=str(os.getpid()))
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    left(tmp_path, token=str(pid))
    sweep(tmp_path)
    assert names(tmp_path) == [mine.name]


def test_a_link_or_a_folder_named_like_a_part_is_none(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".a.0123abcd.part").symlink_to("mine")
    (tmp_path / ".b.0123abcd.part").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == [".a.0123abcd.part", ".b.0123abcd.part", "mine"]


def test_a_disk_without_locks_guards_nothing_and_is_swept_by_nobody(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    stray = left(tmp_path)
    monkeypatch.setattr(fcntl, "flock", fail)
    write(tmp_path / "a")
    assert names(tmp_path) == [stray.name, "a"]


@pytest.mark.parametrize("name", ["x" * 239, "x" * 241, "x" * 255, "é" * 127])
def test_a_file_may_have_the_longest_name_there_is(tmp_path, name):
    stray = tmp_path / f".{name}.0123abcd.part"
    if len(os.fsencode(stray.name)) <= 255:
        stray.write_bytes(b"half")
    write(tmp_path / name)
    assert names(tmp_path) == [name]
