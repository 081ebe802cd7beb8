"""The two versions of `lmn-bench ab`: where their code lies, and whether it really differs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lmn_bench.errors import ComparisonError, RevisionError, UsageError
from lmn_bench.run.git import find_commit, repository_root
from lmn_bench.run.installation import Installation
from lmn_bench.run.worktree import checkout
from lmn_bench.typed import shell_word

_FIND_PACKAGES = "import lmn_bench, pathlib; print(pathlib.Path(lmn_bench.__file__).parents[1])"


@dataclass(frozen=True)
class Version:
    """One version of the code.

    Attributes:
        name: in words.
        installation: where it lies.
        commit: of the revision, where it is one.
    """

    name: str
    installation: Installation
    commit: str | None = None


def working_version(here: Path) -> Version:
    """The code as it lies in the working directory, uncommitted changes included."""
    root = repository_root(here)
    return Version("working tree", Installation(packages=_packages_in(root), tree=here))


@contextmanager
def base_version(base: str | None, python: str | None, here: Path) -> Iterator[Version]:
    """The version to compare with; a revision's worktree lasts as long as the context.

    Args:
        base: a revision, or a folder; None: the working tree itself, run by another interpreter.
        python: interpreter of the base, with an installation of its own; None: ours.
        here: the working directory.

    Raises:
        UsageError: neither is given, or one of them is not there.
    """
    if base is not None and not base.strip():
        raise UsageError("--base is empty", "name a revision, e.g. --base main")
    if base is None and python is None:
        raise UsageError(
            "ab needs something to compare with",
            "`lmn-bench ab --base main`, or --base-python with another interpreter",
        )
    extra = {} if python is None else {"python": python}
    packages = None if python is None else _packages_of(python)
    in_words = "" if python is None else f", {python}"
    if base is None:
        installation = Installation(packages=packages, tree=here, **extra)
        yield Version(f"working tree{in_words}", installation)
        return
    root = repository_root(here)
    if Path(base).is_dir() and not (root is not None and _is_revision(root, base)):
        folder = Path(base)
        installation = Installation(packages=_packages_in(folder) or packages, tree=folder, **extra)
        yield Version(f"{base}{in_words}", installation)
        return
    with checkout(here, base) as tree:
        assert root is not None
        inside = tree.path / here.resolve().relative_to(root.resolve())
        installation = Installation(
            packages=_packages_in(tree.path) or packages,
            tree=inside if inside.is_dir() else tree.path,
            **extra,
        )
        name = f"{base} ({tree.commit[:10]} {tree.subject}){in_words}"
        yield Version(name, installation, tree.commit)


def _is_revision(root: Path, name: str) -> bool:
    try:
        find_commit(root, name, os.environ)
    except RevisionError:
        return False
    return True


def require_difference(base: Mapping[str, str], new: Mapping[str, str], name: str) -> None:
    """See that what is measured comes from different files.

    Args:
        base: file of each module that matters, on one side.
        new: on the other.
        name: of the base.

    Raises:
        ComparisonError: all are the same files.
    """
    same = [module for module, file in base.items() if new.get(module) == file]
    if same and len(same) == len(base):
        files = ", ".join(f"{module}: {base[module]}" for module in same)
        raise ComparisonError(
            f"nothing of {name} would be measured: both sides take the same files ({files})",
            "models of your own: --models my_module:factory, found in the repository; for two "
            "installations, --base-python",
        )


def _packages_in(root: Path | None) -> Path | None:
    """The folder itself if it is a checkout of lmn-bench."""
    return root if root is not None and (root / "lmn_bench" / "worker").is_dir() else None


def _packages_of(python: str) -> Path:
    """Where an interpreter finds its own lmn_bench."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        found = subprocess.run(
            # Its path comes as the bytes that it is, whatever the locale makes of them.
            [python, "-X", "utf8", "-P", "-c", _FIND_PACKAGES],
            capture_output=True, timeout=60, check=False, env=environ,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"--base-python {python} cannot be run: {why}", "give the path of an interpreter"
        ) from error
    if found.returncode:
        said = found.stderr.decode("utf-8", "replace")
        last = said.strip().splitlines()[-1:] or ["no message"]
        raise UsageError(
            f"--base-python {python} has no lmn-bench: {last[0]}",
            f"install it there, in a checkout: `{shell_word(python)} -m pip install .`",
        )
    packages = Path(os.fsdecode(found.stdout.strip()))
    if not (packages / "lmn_bench").is_dir():
        raise UsageError(f"--base-python {python} is no Python with lmn-bench")
    return packages
