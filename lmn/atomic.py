"""Files written as a whole: a reader, a crash or a full disk finds the old content or the new one.

What is written lies beside its place under a name of its own, `.NAME.<8 hex digits>.part`, and is
locked by its writer for as long as that lives. So what a killed writer left can be told from what
is being written, by any process, and is removed when its place is written again, or by `sweep`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

PathLike = str | os.PathLike[str]

# Bytes of a file's name on every file system that Linux has in common use.
_LONGEST_NAME: Final = 255
_LEFT: Final = re.compile(r"\.(?P<name>.+)\.(?:[0-9a-f]{8}|(?P<pid>[0-9]{1,7}))\.part", re.DOTALL)
_ADDED: Final = len("..01234567.part")
# Folders whose entries are the descriptors of a process (/dev/fd and /dev/stdout lead there).
_DESCRIPTORS: Final = re.compile(r"/proc/(?P<pid>[0-9]+)(?:/task/[0-9]+)?/fd")
# As many links as the kernel follows, one behind the other.
_MOST_LINKS: Final = 40


@contextmanager
def replacing(path: PathLike, *, follow: bool = True) -> Iterator[IO[bytes]]:
    """A binary file whose content takes the place of `path` when the block ends well.

    If it ends in an exception, whatever was at `path` stays, and nothing is left beside it.
    Devices, named pipes and descriptors (/dev/null, /dev/stdout) are written through and never
    replaced.

    Args:
        path: of the file; its permissions are kept if it is there.
        follow: whether a symbolic link stays and what it names is written, whether that exists yet
            or not. If not, as in a folder that came from elsewhere, a link is replaced itself, and
            what is no file is refused.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = _descriptor_of(path) if follow else None
    if descriptor is not None:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            yield file
        return
    place = destination(path) if follow else Path(path)
    before = _status(place)
    kind = stat.S_IFREG if before is None else stat.S_IFMT(before.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind not in (stat.S_IFREG, stat.S_IFLNK):
        if not follow:
            raise OSError(errno.EINVAL, "it is there and no file", str(path))
        # Not created: a device that has just gone is no file to be made in its place.
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_NOCTTY), "wb") as file:
            yield file
        return
    sweep(place.parent, place.name)
    beside, written = _beside(place)
    try:
        with os.fdopen(written, "wb") as file:
            yield file
            file.flush()
            if before is not None and kind == stat.S_IFREG:
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
            # Before it is closed: the lock that keeps others from sweeping it ends with that.
            beside.replace(place)
    except BaseException:
        # Not a second error in place of the first one, where nothing can be written.
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(place.parent)


def destination(path: PathLike) -> Path:
    """Where a path leads: what the last of its symbolic links names, whether that exists or not.

    Raises:
        OSError: its links lead round in a circle, or through what is no folder.
    """
    path = Path(path)
    if not path.is_symlink():
        return path
    with suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def sweep(folder: PathLike, name: str | None = None) -> None:
    """Remove what writers that are gone have left in a folder; what is being written stays.

    Args:
        folder: where.
        name: of the file that was to be written; None: any.
    """
    stem = None if name is None else _stem(name)
    try:
        paths = list(Path(folder).iterdir())
    except OSError:
        return
    for path in paths:
        found = _LEFT.fullmatch(path.name)
        if found is None or (stem is not None and found["name"] != stem):
            continue
        # Of before there were locks: that process alone knows whether it still writes.
        if found["pid"] is None or not Path("/proc", found["pid"]).exists():
            _remove_unheld(path)


def try_out(path: PathLike) -> None:
    """See that a file could be written beside `path`, where it would be.

    Raises:
        OSError: it could not.
    """
    beside, written = _beside(destination(path))
    os.close(written)
    with suppress(OSError):
        beside.unlink()


def sync_folder(folder: PathLike) -> None:
    """See that names in a folder outlive a crash of the machine, where its disk can promise it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_part(name: str) -> bool:
    """Whether a file of this name is one that was being written, by us."""
    return _LEFT.fullmatch(name) is not None


def _beside(place: Path) -> tuple[Path, int]:
    """A new file beside `place`, open and locked."""
    while True:
        beside = place.with_name(f".{_stem(place.name)}.{secrets.token_hex(4)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        written = os.open(beside, flags, 0o666)
        try:
            if _is_locked(written, beside):
                return beside, written
        except BaseException:
            os.close(written)
            raise
        # Somebody swept it before it was locked.
        os.close(written)


def _is_locked(descriptor: int, path: Path) -> bool:
    """Lock a file; whether it is ours then, and still what lies at `path`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: nobody sweeps there either.
        return True
    there = _status(path)
    return there is not None and os.path.samestat(there, os.fstat(descriptor))


def _remove_unheld(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        finally:
            os.close(descriptor)


def _stem(name: str) -> str:
    """What stands for a file's name beside it: the name, or a digest where there is no room."""
    coded = os.fsencode(name)
    if len(coded) + _ADDED > _LONGEST_NAME:
        return hashlib.blake2b(coded, digest_size=16).hexdigest()
    return name


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _descriptor_of(path: PathLike) -> int | None:
    """The descriptor of this process that a path leads to (/dev/stdout); None: to none."""
    at = Path(path)
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(at.parent)
        found = _DESCRIPTORS.fullmatch(folder)
        if found is not None and int(found["pid"]) == os.getpid() and at.name.isdecimal():
            return int(at.name)
        try:
            at = Path(folder, at.readlink())
        except OSError:
            return None
    return None
