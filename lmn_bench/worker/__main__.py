"""The fork server: reads jobs as JSON lines, forks a child for each, answers in JSON lines.

In:   {"measure": {...}}, {"profile": {...}}, {"probe": {...}}, {"cuda": {}} or {"ceilings": {...}}
Out:  {"ready": true, "fields": …, versions} once, then for each job {"pid": n} and
      {"result": ..., "exit": code}.
The parent kills a child that overstays; the server only ever waits, blocked.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
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
    import lmn_bench.subjects.transformer  # noqa: F401
    from lmn_bench.errors import UsageError
    from lmn_bench.worker.measure import FIELDS
    from lmn_bench.worker.plant import planted_share
    from lmn_bench.worker.reference import ReferenceLoop

    try:
        planted_share(os.environ)
    except UsageError as error:
        # Before anything is measured, not once per case.
        _send(answers, {"ready": False, "refused": {"message": error.message, "hint": error.hint}})
        return
    # torch leaves 300,000 objects: children need not look through them at every collection
    # (90 ms each), nor copy their pages by doing so.
    gc.collect()
    gc.freeze()
    _send(answers, {"ready": True, "fields": FIELDS, **_software()})
    # One anonymous file per decode case stays open.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    contexts: dict[str, int] = {}
    best_loop_s = ReferenceLoop().measure()
    for line in sys.stdin:
        metrics = _serve(json.loads(line), answers, contexts, best_loop_s)
        best_loop_s = min(best_loop_s, metrics.get("reference_loop_s", best_loop_s))


def _software() -> dict[str, str]:
    import platform

    import torch

    from lmn_bench import __version__

    return {
        "python": platform.python_version(), "torch": str(torch.__version__),
        "lmn_bench": __version__,
    }  # fmt: skip


def _serve(
    job: dict[str, Any], answers: TextIO, contexts: dict[str, int], best_loop_s: float
) -> dict[str, float]:
    """Run one job in a child, answer the parent, and return the metrics that came out."""
    log = os.memfd_create("child-output")
    context = _context_of(job, contexts)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(job, writing, log, context, best_loop_s)
    os.close(writing)
    _send(answers, {"pid": pid})
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    tail_from = max(0, os.fstat(log).st_size - _STDERR_TAIL_BYTES)
    tail = os.pread(log, _STDERR_TAIL_BYTES, tail_from).decode(errors="replace")
    os.close(log)
    result = _parsed(text)
    if result is None and context is not None:
        # The child may have died while it wrote its context.
        os.ftruncate(context, 0)
    _send(
        answers,
        {"result": result, "exit": os.waitstatus_to_exitcode(status), "output": tail},
    )
    metrics: dict[str, float] = (result or {}).get("metrics", {})
    return metrics


def _context_of(job: dict[str, Any], contexts: dict[str, int]) -> int | None:
    """The anonymous file in which processes of one case hand on a context."""
    if "measure" not in job or job["measure"]["case"]["mode"] != "decode":
        return None
    key = json.dumps(job["measure"]["case"], sort_keys=True)
    if key not in contexts:
        contexts[key] = os.memfd_create("context")
    return contexts[key]


def _parsed(text: str) -> dict[str, Any] | None:
    """What a child said; None when it died before it had said all of it."""
    try:
        result: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return result


def _child(
    job: dict[str, Any], writing: int, log: int, context: int | None, best_loop_s: float
) -> NoReturn:
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

        from lmn_bench.errors import ComparisonError, LmnBenchError, ProfileError
        from lmn_bench.worker.contexts import ContextFile
        from lmn_bench.worker.measure import Job, probe, run_job

        try:
            result: dict[str, Any]
            if "cuda" in job:
                import torch

                result = {"available": torch.cuda.is_available()}
            elif "ceilings" in job:
                from lmn_bench.worker.ceilings import measure_ceilings

                result = {"ceilings": measure_ceilings(**job["ceilings"])}
            elif "profile" in job:
                from lmn_bench.worker.profiling.job import ProfileJob, run_profile

                result = {"profile": run_profile(ProfileJob.from_dict(job["profile"]))}
            elif "probe" in job:
                result = probe(**job["probe"])
            else:
                kept = None if context is None else ContextFile(context)
                result = run_job(Job.from_dict(job["measure"]), kept, best_loop_s)
        except ComparisonError as error:
            result = {"incomparable": {"message": error.message, "hint": error.hint}}
        except ProfileError as error:
            result = {"failed": {"message": error.message, "hint": error.hint}}
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
