"""Halves of checkpoints, beside the whole ones: what a save leaves behind that is killed."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

# As `lmn.checkpoint_file` names them: the checkpoint's name, the process that writes.
_PARTIAL = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.part", re.DOTALL)


def remove_partials(checkpoint: Path) -> None:
    """Remove what killed saves of this checkpoint have left, and nothing that is being written."""
    with suppress(OSError):
        for path in checkpoint.parent.iterdir():
            found = _PARTIAL.fullmatch(path.name)
            if found is None or found["name"] != checkpoint.name or not path.is_file():
                continue
            with suppress(OSError):
                if not _is_open(path, int(found["pid"])):
                    path.unlink()


def _is_open(path: Path, pid: int) -> bool:
    """Whether the process of that number, be it the same one or not, has this file open.

    Raises:
        OSError: nobody tells us: it is somebody else's.
    """
    try:
        handles = [*Path(f"/proc/{pid}/fd").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False
    for handle in handles:
        with suppress(FileNotFoundError, ProcessLookupError):
            if handle.samefile(path):
                return True
    return False
