"""What the system refused, in words for a user: the last net under all commands.

Whoever reads or writes a file says itself what that was for, where it can. What is left are places
that nobody thought of, and a machine that has run out of something: neither is a mistake in
lmn-bench, and a traceback helps nobody to mend it.
"""

from __future__ import annotations

import errno
import os

from lmn_bench.errors import UsageError

# What a machine or a session runs out of, or keeps to itself.
_SHORT = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
    errno.EROFS, errno.EIO,
})  # fmt: skip
# As Python's `tempfile` and `pathlib` begin what they say; neither names a file.
_NO_TEMPORARY = "No usable temporary directory"
_LOOP = "Symlink loop"


def refusal(error: Exception) -> UsageError | None:
    """The error as one of the user's; None if it is likelier to be ours."""
    if isinstance(error, RuntimeError) and str(error).startswith(_LOOP):
        return UsageError(f"cannot follow a link: {error}", "it leads to itself: remove it")
    if not isinstance(error, OSError):
        return None
    why = error.strerror or str(error)
    if why.startswith(_NO_TEMPORARY):
        return UsageError(
            "there is no folder for temporary files that can be written to",
            "make room, or name one: TMPDIR=FOLDER lmn-bench …",
        )
    if isinstance(error.filename, str | bytes | os.PathLike):
        return UsageError(f"cannot use {os.fsdecode(error.filename)}: {why}")
    if error.errno in _SHORT:
        return UsageError(f"the system refuses what is needed: {why}")
    return None
