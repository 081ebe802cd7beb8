"""Commands in processes of their own that need not import anything: seconds of CPU each.

A server of forks, one per process of pytest, has imported torch and all of ours. A command is a
fork of it, with the streams, session, folder, environment, signals and search path of a program
that was just started; so are the processes that the command starts by `python -m lmn_bench...`.
That these start by themselves too is for the tests that start them as users do
(test_worker_process, test_exit_codes, test_installation).
"""

from __future__ import annotations

import inspect
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
_PRELOADED = (
    # multiprocessing imports what was our __main__ in every fork
    "pytest", "torch", "pandas", "altair", "scipy.stats", "vl_convert",
    *(f"lmn_bench.cli.{name}" for name in (
        "run", "report", "compare", "ab", "list", "profile", "train", "generate", "show", "env",
        "sweep", "ab_run", "profile_run", "train_run", "generate_run", "verdict", "reports")),
    "lmn_bench.report.charts.draw", "lmn_bench.subjects.lmn", "lmn_bench.subjects.recurrent",
    "lmn_bench.subjects.transformer", "lmn_bench.worker.measure", "lmn_bench.worker.best_loops",
    "lmn_bench.worker.cgroup", "lmn_bench.worker.reference", "lmn_bench.worker.learning.lesson",
    "lmn_bench.worker.learning.train", "lmn_bench.worker.learning.generate",
)  # fmt: skip
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*_PRELOADED])
_POLLED_S = 0.01
_STARTING = inspect.signature(subprocess.Popen._execute_child)


class Command:
    """`lmn-bench` with these words, as far as tests ask what `subprocess.Popen` is.

    Args:
        words: its arguments.
        folder: working directory.
        environ: environment variables, in place of ours.
        before: code that runs in its process first.
        streams: what its three standard streams are; None: no input, and files for `communicate`.
    """

    def __init__(
        self,
        words: Sequence[object],
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        before: str = "",
        stdin: str = os.devnull,
        stdout: str | None = None,
        stderr: str | None = None,
    ) -> None:
        printed = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, printed, ignore_errors=True)
        self._out, self._err = printed / "out", printed / "err"
        for each in (self._out, self._err):
            each.touch()
        streams = (stdin, stdout or str(self._out), stderr or str(self._err))
        given = {**os.environ, "PYTHONPATH": str(ROOT)} if environ is None else dict(environ)
        self._process = _FORKS.Process(
            target=_command,
            args=([str(word) for word in words], str(folder), given, before, streams),
            daemon=True,
        )
        with _WithoutThreads():
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """To it alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """At once."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"still running after {timeout} s")
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it has printed on both streams, once it has ended."""
        self.wait(timeout)
        return self._out.read_text("utf-8"), self._err.read_text("utf-8")

    def lines(self) -> Iterator[str]:
        """What it says on stderr, as it comes."""
        with self._err.open(encoding="utf-8") as said:
            while True:
                ended = self.poll() is not None
                yield from iter(said.readline, "")
                if ended:
                    return
                time.sleep(_POLLED_S)


class _WithoutThreads:
    """A server of forks that starts now has no threads of OpenBLAS: they don't survive a fork."""

    def __enter__(self) -> None:
        self._before = os.environ.get("OPENBLAS_NUM_THREADS")
        os.environ["OPENBLAS_NUM_THREADS"] = "1"

    def __exit__(self, *_: object) -> None:
        del os.environ["OPENBLAS_NUM_THREADS"]
        if self._before is not None:
            os.environ["OPENBLAS_NUM_THREADS"] = self._before


class _ForkingPopen(subprocess.Popen):
    """`python -m lmn_bench...` is a fork of this process, all else what it always is."""

    def _execute_child(self, *given: Any) -> None:
        how = _STARTING.bind(self, *given).arguments
        words = how["args"]
        if not isinstance(words, list) or words[:3] != [sys.executable, "-P", "-m"]:
            super()._execute_child(*given)
            return
        streams = [how[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self.pid = os.fork()
        if self.pid == 0:
            _as_started(
                words[3:], how["cwd"], how["env"] or os.environ, streams, how["pass_fds"],
                own_session=how["start_new_session"],
            )  # fmt: skip
        self._child_created = True
        self._close_pipe_fds(
            *(how[name] for name in (
                "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"))
        )  # fmt: skip


def _command(
    words: list[str], folder: str, environ: dict[str, str], before: str, streams: Sequence[str]
) -> None:
    modes = (os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_APPEND)
    opened = [os.open(name, mode) for name, mode in zip(streams, modes, strict=True)]
    subprocess.Popen = _ForkingPopen
    exec(before)
    _as_started(["lmn_bench", *words], folder, environ, opened, (), own_session=True)


def _as_started(
    words: Sequence[str],
    folder: str | None,
    environ: Mapping[str, str],
    streams: Sequence[int],
    kept: Sequence[int],
    *,
    own_session: bool,
) -> None:
    """Be `python -P -m` with these words from now on: as after `exec`, but for what is imported."""
    code = 1
    try:
        if own_session:
            os.setsid()
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, descriptor in enumerate(streams):
            if descriptor != -1:
                os.dup2(descriptor, place)
        # A list first: the descriptor of the folder itself is closed by then.
        for descriptor in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2 and descriptor not in kept:
                with suppress(OSError):
                    os.close(descriptor)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(place, "w" if place else "r", encoding="utf-8", closefd=False,
                      errors="backslashreplace" if place == 2 else "strict")
            for place in range(3)
        )  # fmt: skip
        environ = dict(environ)
        os.environ.clear()
        os.environ.update(environ)
        if folder is not None:
            os.chdir(folder)
        named = [one for one in environ.get("PYTHONPATH", "").split(os.pathsep) if one]
        rest = [one for one in sys.path if one and TESTS not in (Path(one), *Path(one).parents)]
        sys.path[:] = [*named, *(one for one in rest if one not in named)]
        sys.argv = list(words)
        code = _ran(words[0])
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                code = code or 120
        os._exit(code)


def _ran(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
