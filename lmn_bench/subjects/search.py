"""Where users' modules are looked for, and where modules came from."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Names a folder whose modules come before installed ones (see `run.installation`).
_TREE_VARIABLE = "LMN_BENCH_TREE"
_INSTALLED = {"site-packages", "dist-packages"}


def search_path(path: Sequence[str], environ: Mapping[str, str], here: str) -> list[str]:
    """Python's search path with the folders of users' modules put in.

    Without a tree the working directory comes last: a console script doesn't look there at all.
    A tree, with its `src`, comes behind the standard library, whose modules it must not replace,
    and before everything that is installed or named by the user's PYTHONPATH: those may hold the
    same modules in another state.

    Args:
        path: `sys.path`.
        environ: environment variables; the first entry of PYTHONPATH is our own packages.
        here: the working directory.
    """
    tree = environ.get(_TREE_VARIABLE)
    if not tree:
        return [*path] if here in path else [*path, here]
    own = [tree, *(str(source) for source in [Path(tree, "src")] if source.is_dir())]
    packages, *named = (Path(one).resolve() for one in environ["PYTHONPATH"].split(os.pathsep))
    later = [
        one for one in path
        if one not in own and Path(one).resolve() in named and Path(one).resolve() != packages
    ]  # fmt: skip
    rest = [one for one in path if one not in (*own, *later) or Path(one).resolve() == packages]
    places = (at for at, one in enumerate(rest) if Path(one).name in _INSTALLED)
    at = next(places, len(rest))
    return [*rest[:at], *own, *later, *rest[at:]]


def origins(subject: str) -> dict[str, str]:
    """Files of `lmn_bench`, `lmn`, and the top module of a user's loaded subject, by module.

    A package is told by its `__init__.py`, or by its folder where it has none.
    """
    names = ["lmn_bench", "lmn"]
    if ":" in subject:
        names.append(subject.partition(":")[0].partition(".")[0])
    found = {}
    for name in names:
        module = sys.modules[name]
        place = module.__file__ or next(iter(module.__path__))
        found[name] = str(Path(place).resolve())
    return found
