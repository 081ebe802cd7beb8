"""The fork server: reads jobs as JSON lines, forks a child for each, answers in JSON lines.

In:   {"measure": {...}} or {"probe": {...}}
Out:  {"ready": true} once, then for each job {"pid": n} and {"result": ..., "exit": code}.
The parent kills a child that overstays; the server only ever waits, blocked.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn, TextIO

_PR_SET_PDEATHSIG = 1
_STDERR_TAIL_BYTES = 4000


def main() -> None:
    """Serve jobs until the parent closes our standard input."""
    _die_with_parent()
    # Whatever a model prints must not end up between our answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    # Imports that children need not repeat.
    import lmn_bench.subjects.lmn
    import lmn_bench.subjects.recurrent
    import lmn_bench.subjects.transformer
    import lmn_bench.worker.measure  # noqa: F401

    # torch leaves 300,000 objects: children need not look through them at every collection
    # (90 ms each), nor copy their pages by doing so.
    gc.collect()
    gc.freeze()
    _send(answers, {"ready": True})
    for line in sys.stdin:
        _serve(json.loads(line), answers)


def _serve(job: dict[str, Any], answers: TextIO) -> None:
    log = os.memfd_create("child-output")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(job, writing, log)
    os.close(writing)
    _send(answers, {"pid": pid})
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    tail_from = max(0, os.fstat(log).st_size - _STDERR_TAIL_BYTES)
    tail = os.pread(log, _STDERR_TAIL_BYTES, tail_from).decode(errors="replace")
    os.close(log)
    _send(
        answers,
        {
            "result": json.loads(text) if text else None,
            "exit": os.waitstatus_to_exitcode(status),
            "output": tail,
        },
    )


def _child(job: dict[str, Any], writing: int, log: int) -> NoReturn:
    """Measure in the forked process and write the result as one JSON text."""
    code = 1
    try:
        # A group of its own, so that a kill takes whatever a model started.
        os.setpgid(0, 0)
        _die_with_parent()
        os.dup2(log, 1)
        os.dup2(log, 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)

        from lmn_bench.errors import LmnBenchError
        from lmn_bench.worker.measure import Job, probe, run_job

        try:
            if "probe" in job:
                result = probe(**job["probe"])
            else:
                result = run_job(Job.from_dict(job["measure"]))
        except LmnBenchError as error:
            result = {"refused": {"message": error.message, "hint": error.hint}}
        with os.fdopen(writing, "w") as pipe:
            json.dump(result, pipe)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # No interpreter shutdown: it would run the server's own exit handlers.
        os._exit(code)


def _send(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
