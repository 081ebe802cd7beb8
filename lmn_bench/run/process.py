"""One child process per replicate, through the fork server; its death is an answer too."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from lmn_bench.cgroups import WITH_GROUPS, sweep_here
from lmn_bench.errors import (
    ComparisonError,
    ServerKilledError,
    SubjectError,
    UsageError,
    WorkerError,
)
from lmn_bench.escapes import loads_printable, plain
from lmn_bench.offspring import is_running
from lmn_bench.run.caps import launcher
from lmn_bench.run.guard import GuardedProcess
from lmn_bench.run.installation import Installation
from lmn_bench.run.jobs import Known, measuring_case, measuring_job, model_spec, unknown_field
from lmn_bench.run.oom import OomKills
from lmn_bench.run.reply import Reply, end_words, notes_of, printed_words, profile_of
from lmn_bench.schema import DEFAULT_CAP_MECHANISM, Ceiling

# Importing torch takes 1 to 3 s; on a loaded machine with a cold disk, many times that.
_START_TIMEOUT_S = 120.0
_PROBE_TIMEOUT_S = 60.0
# About 2 s per dtype; a dtype that the CPU has no units for takes several times that.
_CEILINGS_TIMEOUT_S = 120.0
# What a server says of the software that it runs.
_SOFTWARE = ("python", "torch", "lmn_bench")
# After a child was killed: how long the server may take to say so, while nothing keeps it; and how
# long the kernel may take to free what the child held (some 0.1 s per GiB).
_ANSWER_TIMEOUT_S = 1.3
_TEARDOWN_TIMEOUT_S = 60.0
# One that is killed while it starts may have met a bad moment of the machine.
_STARTS = 2


class _GoneError(Exception):
    """The server has closed its pipe to us: it has ended."""


class ForkServer:
    """A child with torch imported that forks a process per job. Use it as a context manager.

    The caller waits blocked in the kernel: nothing runs beside the measured process. It can enforce
    memory caps by `RLIMIT_DATA`, and by cgroups if `cap_mechanism` says so.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        installation: Installation | None = None,
        cap_mechanism: str = DEFAULT_CAP_MECHANISM,
    ) -> None:
        self._installation = installation or Installation()
        self._with_groups = cap_mechanism != DEFAULT_CAP_MECHANISM
        self._environ = dict(os.environ if environ is None else environ)
        self._process: GuardedProcess | None = None
        self._buffer = bytearray()
        self._ready = False
        self._known: Known = None
        self._software: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def measure(self, job: Mapping[str, Any], timeout_s: float) -> Reply:
        """Run one job in a process of its own; kill it after `timeout_s` seconds.

        Raises:
            SubjectError: the job's subject cannot be built.
            ComparisonError: the server's revision of lmn-bench lacks something that the job needs.
            WorkerError: the server itself cannot be started.
        """
        self._running_server()
        return self._run({"measure": measuring_job(job, self._known)}, timeout_s)

    def probe(
        self,
        subject: str,
        spec: Mapping[str, int],
        cases: Sequence[Mapping[str, Any]] = (),
        timeout_s: float = _PROBE_TIMEOUT_S,
    ) -> dict[str, Any]:
        """Build a subject once; its `parameters`, `modes`, and `origins`.

        A user's own is tried in these cases too, one of every mode; older revisions try it in all
        modes that it has. It is given `timeout_s`, a minute at least.

        Origins are the files of `lmn_bench`, `lmn` and the top module of a user's subject, by
        module; none from an older revision.

        Raises:
            SubjectError: it cannot be imported or built.
            ComparisonError: the server's revision of lmn-bench lacks one of the sizes.
        """
        self._running_server()
        spec = model_spec(spec, self._known)
        job: dict[str, Any] = {"subject": subject, "spec": spec}
        if "cases" in (self._known or {}).get("probe", ()):
            job["cases"] = [measuring_case(case, self._known) for case in cases]
        limit_s = max(timeout_s, _PROBE_TIMEOUT_S)
        reply = self._run({"probe": job}, limit_s)
        if reply.timed_out:
            raise SubjectError(
                f"{subject} cannot be built: that takes longer than {limit_s:g} s"
                f"{printed_words(reply)}",
                "if it takes so long by itself, give it more: --set timeout_s=SECONDS",
            )
        if reply.result is None:
            raise SubjectError(f"{subject} cannot be built: its process {end_words(reply)}")
        return {"origins": {}, **reply.result}

    def profile(self, job: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Profile one call in two processes, for time and for memory, one after the other.

        Args:
            job: as `lmn_bench.worker.profiling.job.ProfileJob` takes it, but for `memory`.
            timeout_s: wall-clock limit of each.

        Raises:
            SubjectError: the subject cannot be built, or lacks the mode.
            ProfileError: it failed, died, or ran out of memory or time.
            WorkerError: the server itself cannot be started.
        """
        found: dict[str, Any] = {}
        told: dict[str, dict[str, None]] = {"told": {}, "stderr": {}}
        for memory in (False, True):
            reply = self._run({"profile": {**job, "memory": memory}}, timeout_s)
            seen = profile_of(reply, timeout_s)
            for key, lines in told.items():
                lines |= dict.fromkeys(map(plain, seen.get(key, ())))
            told["told"] |= dict.fromkeys(notes_of(reply))
            found |= seen
        return {**found, **{key: list(lines) for key, lines in told.items()}}

    @property
    def software(self) -> Mapping[str, str]:
        """Versions of `python`, `torch` and `lmn_bench`; nothing from an older revision.

        Raises:
            WorkerError: the server cannot be started.
        """
        self._running_server()
        return dict(self._software)

    def has_cuda(self) -> bool:
        """Whether torch can use a GPU here; a driver alone (NVML) doesn't say so."""
        reply = self._run({"cuda": {}}, _PROBE_TIMEOUT_S)
        return bool(reply.result and reply.result["available"])

    def ceilings(self, device: str, threads: int, dtypes: Sequence[str]) -> tuple[Ceiling, ...]:
        """Measure what the machine can do, one ceiling per dtype.

        Raises:
            WorkerError: the process that measured it died.
        """
        job = {"device": device, "threads": threads, "dtypes": list(dtypes)}
        reply = self._run({"ceilings": job}, _CEILINGS_TIMEOUT_S)
        if reply.result is None:
            raise WorkerError(f"the ceilings of {device} could not be measured: {reply.last_words}")
        return tuple(Ceiling(**ceiling) for ceiling in reply.result["ceilings"])

    def close(self) -> None:
        """End the server, a child that still runs, and all that it has started."""
        self._end()

    def _end(self) -> int:
        """The same; the exit code of the server, that of a killed one if it still ran."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        code = process.end()
        if process.stdout is not None:
            process.stdout.close()
        self._buffer.clear()
        if self._with_groups:
            # Killed in the middle of a case, it could not.
            sweep_here()
        return code

    def _run(self, job: Mapping[str, Any], timeout_s: float) -> Reply:
        server = self._running_server()
        assert server.stdin is not None
        kills, timed_out = OomKills(), False
        answer = None
        with suppress(_GoneError, BrokenPipeError):
            server.stdin.write(json.dumps(job).encode() + b"\n")
            server.stdin.flush()
            started = self._receive(_START_TIMEOUT_S)
            if started is not None:
                answer = self._receive(timeout_s)
                timed_out = answer is None
                if timed_out:
                    answer = self._killed(int(started["pid"]))
        if answer is None:
            code = self._end()
            if code == 0:
                raise WorkerError("the measuring process ended without an answer")
            # With the child went the server, or it does not answer any more: it is started anew.
            return Reply(None, code, timed_out, "", oom_kills=kills.since())
        result = answer["result"]
        if result is not None and "refused" in result:
            raise SubjectError(**result["refused"])
        if result is not None and "incomparable" in result:
            raise ComparisonError(**result["incomparable"])
        unknown = unknown_field(answer["output"]) if result is None else None
        if unknown is not None:
            raise unknown
        return Reply(
            result=result,
            exit_code=answer["exit"],
            # A result that was complete before the kill is a result.
            timed_out=timed_out and result is None,
            output=answer["output"],
            # Older revisions don't tell.
            cap=answer.get("cap"),
            left=answer.get("left", 0),
            printed=answer.get("printed", {}),
            oom_kills=kills.since(),
        )

    def _killed(self, pid: int) -> dict[str, Any] | None:
        """Kill a child; what the server says then, or None if it says nothing."""
        # Numbers below 2 would be our own group, or all that there are.
        for kill in (os.killpg, os.kill) if pid > 1 else ():
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
                break
        deadline = time.monotonic() + _TEARDOWN_TIMEOUT_S
        while True:
            answer = self._receive(_ANSWER_TIMEOUT_S)
            if answer is not None or not is_running(pid) or time.monotonic() > deadline:
                return answer

    def launch(self) -> None:
        """Start the server without waiting for it: several can import torch at the same time.

        It ends with this process, however this one ends.

        Raises:
            WorkerError: it cannot be started.
            CapError: it is to enforce memory caps by cgroups, and no groups can be made here.
        """
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = self._start()
            self._ready = False

    def _running_server(self) -> GuardedProcess:
        for start in range(_STARTS):
            self.launch()
            assert self._process is not None
            if self._ready or self._await_ready(last=start == _STARTS - 1):
                return self._process
        raise AssertionError("the last one is ready, or has raised an error")

    def _await_ready(self, *, last: bool) -> bool:
        """Wait until it serves; False where it was killed before, and is not the last to try."""
        try:
            ready = self._receive(_START_TIMEOUT_S)
        except _GoneError:
            ready = None
        if ready is not None and "refused" in ready:
            self.close()
            raise UsageError(**ready["refused"])
        if ready is None or not ready.get("ready"):
            code = self._end()
            if code < 0 and not last:
                return False
            if code < 0:
                raise ServerKilledError(
                    f"the measuring process was killed by signal {-code} while it started",
                    "most likely the machine is short of memory; what was measured is kept",
                )
            raise WorkerError(
                "the measuring process does not start",
                f"try `{self._installation.python} -m lmn_bench.worker` and look at its error",
            )
        # Older revisions tell neither.
        self._known = ready.get("fields")
        self._software = {key: str(ready[key]) for key in _SOFTWARE if key in ready}
        self._ready = True
        return True

    def _start(self) -> GuardedProcess:
        wanted = self._installation
        # OpenBLAS starts its threads on import, and threads don't survive a fork.
        # The compiler's own pool of processes would run beside the timing of a compiled model.
        quiet = {"OPENBLAS_NUM_THREADS": "1", "KINETO_LOG_LEVEL": "99",
                 "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # fmt: skip
        before, behind = (launcher(), [WITH_GROUPS]) if self._with_groups else ((), [])
        try:
            return GuardedProcess(
                # -P: a lmn.py or statistics.py in the user's folder must not stand in for ours.
                [*before, wanted.python, "-P", "-m", "lmn_bench.worker", *behind],
                env=wanted.environ({**self._environ, **quiet}),
                cwd=wanted.folder,
            )
        except OSError as error:
            raise WorkerError(
                f"the measuring process does not start: {error.filename}: {error.strerror}"
            ) from error

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The server's next message, or None when it doesn't come in time.

        Raises:
            _GoneError: it never comes.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        end = self._buffer.find(b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while end < 0:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    return None
                chunk = os.read(descriptor, 1 << 20)
                if not chunk:
                    raise _GoneError
                found = chunk.find(b"\n")
                end = found if found < 0 else len(self._buffer) + found
                self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message: dict[str, Any] = loads_printable(line)
        return message
