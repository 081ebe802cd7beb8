"""Which code a server runs: its interpreter, our packages, and the folder of users' modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Where lmn and lmn_bench lie, also in a checkout that isn't installed.
PACKAGES = Path(__file__).resolve().parents[2]
# Tells the worker where users' modules are to be found first.
_TREE_VARIABLE = "LMN_BENCH_TREE"


@dataclass(frozen=True)
class Installation:
    """Where the code of a server comes from.

    Attributes:
        python: the interpreter, with torch.
        packages: folder of `lmn_bench` and `lmn`; None: of our own. They come from there whatever
            `tree` holds.
        tree: working directory of the server; users' modules are looked for in it, and in its
            `src`, before what is installed, so that not even an editable installation of another
            tree stands in for it. None: the working directory, searched last.
    """

    python: str = sys.executable
    packages: Path | None = None
    tree: Path | None = None

    @property
    def folder(self) -> Path | None:
        """The server's working directory; None: ours."""
        return None if self.tree is None else self.tree.resolve()

    def environ(self, base: Mapping[str, str]) -> dict[str, str]:
        """The server's environment variables, those of `base` included."""
        environ = dict(base)
        packages = PACKAGES if self.packages is None else self.packages.resolve()
        search = [str(packages), environ.get("PYTHONPATH", "")]
        environ["PYTHONPATH"] = os.pathsep.join(path for path in search if path)
        environ.pop(_TREE_VARIABLE, None)
        if self.folder is not None:
            environ[_TREE_VARIABLE] = str(self.folder)
        return environ
