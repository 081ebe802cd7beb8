"""Worktrees of ours: the right content, nothing of the user's touched, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lmn_bench.errors import ExitCode, RevisionError
from lmn_bench.run import worktree
from lmn_bench.run.git import repository_root
from lmn_bench.run.worktree import checkout

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")

ROOT = Path(__file__).parents[2]
HOLD = """
import os, sys
from pathlib import Path
from lmn_bench.run.worktree import checkout
with checkout(Path(sys.argv[1]), "HEAD") as tree:
    print(tree.path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environ(tmp_path):
    """Next to nothing: no name, no configuration, a cache of our own."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"), "GIT_CONFIG_NOSYSTEM": "1"}  # fmt: skip


@pytest.fixture
def run(tmp_path, environ):
    """git in the user's repository, as the user would call it."""

    def call(*arguments, at=tmp_path / "repository"):
        names = ("-c", "user.name=A User", "-c", "user.email=user@example.com")
        done = subprocess.run(
            ["git", *names, *arguments], cwd=at, env=environ, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.strip()

    return call


@pytest.fixture
def repository(tmp_path, run):
    """Two commits, the first of them tagged, and work in progress of every kind."""
    folder = tmp_path / "repository"
    (folder / "package").mkdir(parents=True)
    run("init", "--quiet", "--initial-branch=main")
    (folder / "package/model.py").write_text("VERSION = 1\n")
    (folder / "gone.py").write_text("")
    run("add", ".")
    run("commit", "--quiet", "-m", "First\n\nwith a body")
    run("tag", "v1")
    (folder / "package/model.py").write_text("VERSION = 2\n")
    run("rm", "--quiet", "gone.py")
    run("commit", "--quiet", "-am", "Second")
    (folder / "package/model.py").write_text("VERSION = 3\n")
    (folder / "staged.py").write_text("staged\n")
    run("add", "staged.py")
    (folder / "staged.py").write_text("changed since\n")
    (folder / "untracked.py").write_text("untracked\n")
    return folder


def everything_in(folder):
    """Every file of a folder, .git included, by content."""
    files = (path for path in folder.rglob("*") if path.is_file() or path.is_dir())
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in files
    }


def left_in(environ):
    """What lies in the cache besides the guard of all locks."""
    cache = Path(environ["XDG_CACHE_HOME"]) / "lmn-bench/worktrees"
    return [path for path in cache.iterdir() if path.name != "guard"] if cache.exists() else []


# ------------------------------------------------------------------------------- what it is


def test_a_checkout_holds_the_files_of_its_revision(repository, environ, run):
    with checkout(repository, "v1", environ) as tree:
        assert (tree.path / "package/model.py").read_text() == "VERSION = 1\n"
        assert {path.name for path in tree.path.iterdir()} == {".git", "package", "gone.py"}
        assert tree.commit == run("rev-parse", "v1")
        assert tree.subject == "First"


@pytest.mark.parametrize("revision", ["main", "HEAD", "HEAD~1", "v1", "main^0"])
def test_a_revision_is_whatever_git_takes(repository, environ, run, revision):
    with checkout(repository, revision, environ) as tree:
        assert tree.commit == run("rev-parse", f"{revision}^{{commit}}")


def test_a_checkout_from_a_subfolder_is_that_of_the_whole_repository(repository, environ):
    with checkout(repository / "package", "HEAD", environ) as tree:
        assert (tree.path / "package/model.py").read_text() == "VERSION = 2\n"


def test_the_root_of_a_repository_is_found_from_its_subfolders(repository, environ, tmp_path):
    assert repository_root(repository / "package", environ) == repository
    assert repository_root(repository, environ) == repository
    assert repository_root(tmp_path, environ) is None
    assert repository_root(tmp_path / "missing", environ) is None


def test_a_linked_worktree_of_the_user_has_its_own_head(repository, environ, run, tmp_path):
    run("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "v1")
    with checkout(tmp_path / "linked", "HEAD", environ) as tree:
        assert tree.commit == run("rev-parse", "v1")


# ------------------------------------------------------------------------------- what it leaves


def test_nothing_of_the_users_is_touched(repository, environ, run):
    before, status = everything_in(repository), run("status", "--porcelain=v2", "--branch")
    # A status may refresh the index by itself.
    before = everything_in(repository)
    with checkout(repository, "v1", environ):
        assert run("status", "--porcelain=v2", "--branch") == status
    assert everything_in(repository) == before
    assert left_in(environ) == []


def test_a_checkout_is_gone_after_an_error_too(repository, environ):
    def fail():
        with checkout(repository, "v1", environ) as tree:
            (tree.path / "package/model.py").write_text("changed")
            (tree.path / "__pycache__").mkdir()
            raise KeyError(tree.path)

    with pytest.raises(KeyError):
        fail()
    assert left_in(environ) == []


def test_hooks_of_the_user_do_not_run(repository, environ, tmp_path):
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    with checkout(repository, "v1", environ):
        pass
    assert not (tmp_path / "ran").exists()


def test_from_inside_a_hook_the_repository_is_still_the_one_asked_for(
    repository, environ, run, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    run("init", "--quiet", at=other)
    before = everything_in(other)
    hooked = {**environ, "GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other),
              "GIT_INDEX_FILE": str(other / "index"), "GIT_PREFIX": "x/"}  # fmt: skip
    with checkout(repository, "v1", hooked) as tree:
        assert (tree.path / "gone.py").exists()
    assert repository_root(repository, hooked) == repository
    assert everything_in(other) == before


# ------------------------------------------------------------------------------- strays


@pytest.fixture
def holder(repository, environ):
    """Another process that holds a worktree, and its path."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(repository)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    path = Path(process.stdout.readline().strip())
    yield process, path
    process.kill()
    process.communicate()


def listed(run):
    lines = run("worktree", "list", "--porcelain").splitlines()
    return [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")]


def test_what_a_killed_owner_left_is_removed_by_the_next_checkout(repository, environ, run, holder):
    process, path = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    with checkout(repository, "v1", environ) as tree:
        assert listed(run) == [str(repository), str(tree.path)]
    assert listed(run) == [str(repository)]
    assert left_in(environ) == []
    assert not (repository / ".git/worktrees").exists()


def test_a_stray_that_git_cannot_remove_any_more_is_forgotten_too(repository, environ, run, holder):
    process, path = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    (path / ".git").unlink()
    with checkout(repository, "v1", environ):
        pass
    assert listed(run) == [str(repository)]
    assert left_in(environ) == []


def test_two_at_once_leave_each_other_alone(repository, environ, holder):
    _, path = holder
    with (
        checkout(repository, "v1", environ) as first,
        checkout(repository, "v1", environ) as second,
    ):
        assert first.path != second.path
        assert all((one / "package/model.py").exists() for one in (path, first.path, second.path))
    assert (path / "package/model.py").exists()


def test_a_worktree_of_the_user_on_a_disk_that_is_away_is_not_forgotten(
    repository, environ, run, tmp_path, holder
):
    run("worktree", "add", "--quiet", "--detach", str(tmp_path / "usb"), "v1")
    (tmp_path / "usb").rename(tmp_path / "away")
    process, _ = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    with checkout(repository, "v1", environ):
        pass
    (tmp_path / "away").rename(tmp_path / "usb")
    assert listed(run) == [str(repository), str(tmp_path / "usb")]


def test_signals_that_come_while_it_is_taken_away_are_heard_when_it_is_gone(
    repository, environ, run, monkeypatch
):
    real = worktree.git

    def hanging_up(*arguments, **named):
        if "remove" in arguments:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **named)

    monkeypatch.setattr(worktree, "git", hanging_up)
    before = signal.signal(signal.SIGHUP, signal.default_int_handler)
    done = threading.Event()
    # numpy and torch have threads, and any of them may be the one that hears.
    threading.Thread(target=done.wait, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt), checkout(repository, "v1", environ):
            pass
    finally:
        done.set()
        signal.signal(signal.SIGHUP, before)
    assert left_in(environ) == []
    assert listed(run) == [str(repository)]


def test_strays_of_a_repository_that_is_gone_are_removed_by_any(
    repository, environ, run, tmp_path, holder
):
    process, path = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    run("clone", "--quiet", str(repository), str(tmp_path / "clone"))
    shutil.rmtree(repository)
    with checkout(tmp_path / "clone", "HEAD", environ):
        assert not path.exists()
    assert left_in(environ) == []


def test_strays_of_other_repositories_are_left_to_theirs(
    repository, environ, run, tmp_path, holder
):
    process, path = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    run("clone", "--quiet", str(repository), str(tmp_path / "clone"))
    with checkout(tmp_path / "clone", "HEAD", environ):
        pass
    assert path.exists()


# ------------------------------------------------------------------------------- mistakes


def refused(repository, revision, environ):
    with pytest.raises(RevisionError) as caught, checkout(repository, revision, environ):
        pass
    assert caught.value.exit_code is ExitCode.USAGE
    assert left_in(environ) == []
    return caught.value


def test_a_folder_that_is_in_no_repository_is_told(tmp_path, environ):
    assert "is in no git repository" in refused(tmp_path, "HEAD", environ).message


def test_a_misspelt_revision_gets_the_nearest_one(repository, environ):
    error = refused(repository, "mian", environ)
    assert error.message == "unknown revision 'mian'"
    assert error.hint == "did you mean 'main'?"


@pytest.mark.parametrize("revision", ["", "--help", "HEAD:package", "0" * 40, "main:nothing"])
def test_what_names_no_commit_is_no_revision(repository, environ, revision):
    assert "branches and tags: " in refused(repository, revision, environ).hint


def test_a_repository_without_commits_has_no_revision(environ, run, tmp_path):
    (tmp_path / "empty").mkdir()
    run("init", "--quiet", at=tmp_path / "empty")
    assert refused(tmp_path / "empty", "HEAD", environ).hint == "branches and tags: none"


def test_in_a_shallow_clone_the_hint_is_to_fetch_more(repository, environ, run, tmp_path):
    run("clone", "--quiet", "--depth=1", f"file://{repository}", str(tmp_path / "shallow"))
    assert "git fetch --unshallow" in refused(tmp_path / "shallow", "HEAD~1", environ).hint


def test_a_machine_without_git_is_told(repository, environ, tmp_path):
    error = refused(repository, "HEAD", {**environ, "PATH": str(tmp_path)})
    assert error.message == "there is no git on this machine"


def test_a_cache_that_cannot_be_written_is_told_with_what_to_do(repository, environ, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(RevisionError, match="cannot write to") as caught:
        checkout(repository, "v1", environ).__enter__()
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_a_checkout_that_git_cannot_finish_is_told_and_leaves_nothing(repository, environ, run):
    # What a full disk does to git: the content of a file cannot be had.
    blob = run("rev-parse", "v1:package/model.py")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    error = refused(repository, "v1", environ)
    assert "git cannot check out 'v1'" in error.message
    assert "needs room" in error.hint
    assert listed(run) == [str(repository)]
