"""A revision of a repository in a folder of its own, gone afterwards.

`git worktree add` checks it out into a cache folder. The user's index, working tree, branches and
configuration are left alone, and no hook runs. Submodules stay empty.

Beside every folder lies a lock file that its owner holds; the kernel lets it go when the owner
dies, however it dies. What such an owner left behind is removed at the next checkout of the same
repository, or of any if that repository is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lmn_bench.errors import RevisionError
from lmn_bench.run.git import common_folder, find_commit, git

_LOCK = ".lock"
# Held while locks are made and strays looked for: a lock that isn't held yet is no stray.
_GUARD = "guard"
_INTERRUPTING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


@dataclass(frozen=True)
class Worktree:
    """A revision as files.

    Attributes:
        path: its top folder.
        commit: its full name.
        subject: the first line of its message.
    """

    path: Path
    commit: str
    subject: str


@contextmanager
def checkout(
    repository: Path, revision: str, environ: Mapping[str, str] | None = None
) -> Iterator[Worktree]:
    """Check a revision out, for as long as the context lasts.

    Args:
        repository: any folder of it.
        revision: a branch, tag, commit or whatever else git takes (HEAD~3), seen from there.
        environ: environment variables (default: ours); XDG_CACHE_HOME or HOME say where.

    Raises:
        RevisionError: no git, no repository, no such revision, or no room or right to write.
    """
    environ = os.environ if environ is None else environ
    common = common_folder(repository, environ)
    commit, subject = find_commit(repository, revision, environ)
    folders = _cache(environ)
    try:
        path, lock = _reserve(folders, common, environ)
    except OSError as error:
        raise RevisionError(
            f"cannot write to {folders}: {error.strerror}",
            "name another folder for caches with XDG_CACHE_HOME",
        ) from error
    try:
        # git keeps the lock open: were we killed now, it would still write.
        added = git(
            "worktree", "add", "--quiet", "--detach", str(path), commit,
            at=repository, environ=environ, kept_open=(lock,),
        )  # fmt: skip
        if added.code != 0:
            raise RevisionError(
                f"git cannot check out {revision!r}: {added.complaint}",
                f"it needs room in {folders} (elsewhere: XDG_CACHE_HOME), and writes to {common}",
            )
        yield Worktree(path, commit, subject)
    finally:
        with _uninterrupted():
            _remove(path, common, environ)
            os.close(lock)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that would break it off wait until it is done; several count as one then.

    A terminal that is closed sends more than one, and the second would break off what the first
    has others clean up. Blocked they would not wait: any other thread would take them in.
    """
    heard: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in _INTERRUPTING
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])


def _cache(environ: Mapping[str, str]) -> Path:
    named = environ.get("XDG_CACHE_HOME", "")
    home = environ.get("HOME")
    # The standard has relative ones ignored.
    base = Path(named) if Path(named).is_absolute() else Path(home or Path.home()) / ".cache"
    return base.resolve() / "lmn-bench" / "worktrees"


def _reserve(folders: Path, common: Path, environ: Mapping[str, str]) -> tuple[Path, int]:
    """A path that is ours and its lock, held; strays of the repository are gone before."""
    folders.mkdir(parents=True, exist_ok=True)
    guard = os.open(folders / _GUARD, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        for stray in sorted(folders.glob(f"*{_LOCK}")):
            _remove_if_stray(stray, common, environ)
        path = folders / secrets.token_hex(8)
        name = _lock_of(path)
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(lock, json.dumps({"repository": str(common)}).encode())
        except OSError:
            os.close(lock)
            name.unlink()
            raise
        return path, lock
    finally:
        os.close(guard)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + _LOCK)


def _remove_if_stray(name: Path, common: Path, environ: Mapping[str, str]) -> None:
    """Remove what lies beside a lock of this repository that nobody holds."""
    try:
        lock = os.open(name, os.O_RDWR)
    except OSError:
        return  # its owner has just removed it, or it is someone else's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = json.loads(name.read_text())["repository"]
        # Nobody else will come for those of a repository that is gone.
        if owner == str(common) or not Path(owner).exists():
            _remove(name.with_name(name.name.removesuffix(_LOCK)), common, environ)
    except BlockingIOError:
        return
    except (OSError, ValueError, KeyError):
        # Killed before it had written its name, and so before git was called.
        name.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _remove(path: Path, common: Path, environ: Mapping[str, str]) -> None:
    """Take a worktree of ours away, and git's own note of it; no other is touched.

    `git worktree prune` would also forget trees of the user's that lie on a disk that is not there
    now.
    """
    # Twice: git locks a worktree while it makes it, and its maker may have been killed.
    force = ("--force", "--force")
    if common.is_dir():
        to = f"--git-dir={common}"
        git(to, "worktree", "remove", *force, str(path), at=common, environ=environ)
    shutil.rmtree(path, ignore_errors=True)
    notes = common / "worktrees"
    for note in notes.glob("*/gitdir"):
        with suppress(OSError):
            if Path(os.fsdecode(note.read_bytes()).strip()) == path / ".git":
                shutil.rmtree(note.parent, ignore_errors=True)
    with suppress(OSError):
        notes.rmdir()  # as git does with the last one
    if not path.exists():
        # What could not be removed now is tried again next time.
        _lock_of(path).unlink(missing_ok=True)
