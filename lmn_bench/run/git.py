"""Asking git, with nothing of the caller's surroundings that could send it elsewhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmn_bench.errors import RevisionError, nearest_hint

# Set by git for its hooks and aliases, or by users: they name a repository other than the one
# asked for (`git rev-parse --local-env-vars` lists them).
_LOCATION_VARIABLES = frozenset({
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INTERNAL_SUPER_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS",
    "GIT_QUARANTINE_PATH",
})  # fmt: skip
# For this call only, whatever the user's own configuration says.
_SETTINGS = {
    # A post-checkout hook of the user's must not run.
    "core.hooksPath": "/dev/null",
    # Nor may a daemon be started that watches the folder.
    "core.fsmonitor": "false",
    "submodule.recurse": "false",
    # Relative paths would have git write an extension into the repository's configuration.
    "worktree.useRelativePaths": "false",
    "i18n.logOutputEncoding": "UTF-8",
}
# Branches and tags that a hint names where none is near.
_MOST_NAMES = 8


@dataclass(frozen=True)
class Answer:
    """How a call of git ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The last line on stderr, as git has it, without its "fatal: "."""
        lines = self.err.strip().splitlines() or ["no message"]
        return lines[-1].removeprefix("fatal: ").removeprefix("error: ")


def git(
    *arguments: str, at: Path, environ: Mapping[str, str], kept_open: Sequence[int] = ()
) -> Answer:
    """Run git in the folder `at` and wait for its end.

    Args:
        arguments: command and options.
        at: where.
        environ: environment variables; those that name a repository are left out.
        kept_open: file descriptors that live as long as git does.

    Raises:
        RevisionError: there is no git.
    """
    clean = {key: value for key, value in environ.items() if key not in _LOCATION_VARIABLES}
    settings = [part for key, value in _SETTINGS.items() for part in ("-c", f"{key}={value}")]
    try:
        done = subprocess.run(
            ["git", *settings, "-C", str(at), *arguments],
            env={**clean, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            pass_fds=kept_open,
            # What ends us (Ctrl-C, a terminal that is closed) is ours to hear, and to clean up.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise RevisionError("there is no git on this machine", "install git") from error
    except OSError as error:
        raise RevisionError(f"git cannot be started: {error.strerror}") from error
    out, err = os.fsdecode(done.stdout), os.fsdecode(done.stderr)
    return Answer(done.returncode, out.removesuffix("\n"), err)


def repository_root(path: Path, environ: Mapping[str, str] | None = None) -> Path | None:
    """The top folder of the working tree that `path` lies in; None outside one.

    Raises:
        RevisionError: there is no git.
    """
    environ = os.environ if environ is None else environ
    answer = git("rev-parse", "--show-toplevel", at=path, environ=environ)
    return Path(answer.out) if answer.code == 0 and answer.out else None


def common_folder(path: Path, environ: Mapping[str, str]) -> Path:
    """The repository's own folder (.git), which all its working trees share.

    Raises:
        RevisionError: `path` lies in no repository, or in one that git refuses to read.
    """
    answer = git("rev-parse", "--git-common-dir", at=path, environ=environ)
    if answer.code == 0:
        return (path / answer.out).resolve()
    if "not a git repository" in answer.err or not path.is_dir():
        raise RevisionError(
            f"{path} is in no git repository", "run it inside a clone of what is compared"
        )
    commands = (line.strip() for line in answer.err.splitlines() if "git config" in line)
    raise RevisionError(
        f"git refuses to read {path}: {answer.err.strip().splitlines()[0]}",
        next((f"if you trust it: {command}" for command in commands), None),
    )


def find_commit(path: Path, revision: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The commit that a revision names, and the first line of its message.

    Raises:
        RevisionError: there is none, with the nearest branch or tag.
    """
    # Nothing that git would take for an option.
    if revision and not revision.startswith("-"):
        wanted = f"{revision}^{{commit}}"
        found = git("rev-parse", "--verify", "--quiet", wanted, at=path, environ=environ)
        if found.code == 0:
            asked = ("log", "-1", "--no-show-signature", "--format=%s", found.out)
            subject = git(*asked, at=path, environ=environ).out
            return found.out, os.fsencode(subject).decode(errors="replace")
    raise RevisionError(
        f"unknown revision {revision!r}", _hint_for_unknown(path, revision, environ)
    )


def _hint_for_unknown(path: Path, revision: str, environ: Mapping[str, str]) -> str:
    if (common_folder(path, environ) / "shallow").exists():
        return (
            "this is a shallow clone: `git fetch --unshallow`, or fetch-depth: 0 where a CI "
            "service clones"
        )
    listed = git(
        "for-each-ref", "--sort=-creatordate", "--format=%(refname:short)",
        "refs/heads", "refs/tags", "refs/remotes", at=path, environ=environ,
    )  # fmt: skip
    names = listed.out.splitlines()
    near = nearest_hint("branch", revision, names)
    if near.startswith("did you mean"):
        return near
    shown = ", ".join(names[:_MOST_NAMES]) + ", …" * (len(names) > _MOST_NAMES)
    return f"branches and tags: {shown or 'none'}"
