"""How processes that measure or learn are started: so that nothing they start outlives them."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lmn_bench.offspring import end_marked
from lmn_bench.run.installation import PACKAGES
from lmn_bench.warden import HELD_SIGNALS

# Neither site-packages nor what a user has set for Python: it takes 20 ms and 10 MB.
_WARDEN = (
    sys.executable, "-I", "-S", "-c",
    f"import sys; sys.path.insert(0, {str(PACKAGES)!r}); from lmn_bench.warden import main; main()",
)  # fmt: skip

# By which everything that it has started is known, wherever it is.
_MARK = "LMN_BENCH_GUARDED"
_MARK_BYTES = 16


class GuardedProcess(subprocess.Popen[bytes]):
    """A command with pipes to its standard input and output, in a session of its own.

    Its number is that of a warden beside it (`lmn_bench.warden`), which ends as the command does,
    once everything has ended that the command had started; Ctrl-C is handed on to it. All of them
    end with this process too, however it ends.

    Args:
        command: the program and its arguments.
        env: its environment variables.
        cwd: its working directory; None: ours.
        stderr: where its standard error goes; None: where ours does.
        kept: descriptors of files in which it keeps what it prints: they are its own as well, and
            are kept short (`lmn_bench.keeping`).

    Raises:
        OSError: there is no such program.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None,
        stderr: IO[bytes] | int | None = None,
        kept: Sequence[int] = (),
    ) -> None:
        if shutil.which(command[0], path=env.get("PATH")) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
        self._mark = secrets.token_hex(_MARK_BYTES)
        reading, self._lifeline = os.pipe()
        # The warden hears them as soon as it can: one that comes before must not end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
        try:
            super().__init__(
                [*_WARDEN, str(reading), *map(str, kept), "--", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                env={**env, _MARK: self._mark}, cwd=cwd,
                start_new_session=True, pass_fds=(reading, *kept),
            )  # fmt: skip
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(reading)

    def end(self) -> int:
        """End it with all that it has started, if it has not ended; its exit code."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        code = self.wait()
        # The warden's work, if a model has killed it too.
        end_marked(f"{_MARK}={self._mark}")
        return code
