"""The fork server: reads jobs as JSON lines, forks a child for each, answers in JSON lines.

In:   {"measure": {...}}, {"profile": {...}}, {"probe": {...}}, {"cuda": {}} or {"ceilings": {...}}
Out:  {"ready": true, "fields": …, versions} once, then for each job {"pid": n} and
      {"result": ..., "exit": code, "output": the end of what it printed, "cap": what limited its
       memory, or null, "left": how many processes it left behind, "printed": bytes by stream}.
With the argument --cgroup, memory is limited by cgroups where a job says so.
The parent kills a child that overstays; the server only ever waits, blocked.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from lmn_bench.cgroups import WITH_GROUPS
from lmn_bench.keeping import Kept, end_of, make_file, printed_bytes, shortened
from lmn_bench.offspring import adopt_orphans, die_with_parent, end_relatives
from lmn_bench.shared import Shared, TooLongError
from lmn_bench.worker.ending import wait_for

if TYPE_CHECKING:
    from lmn_bench.errors import LmnBenchError
    from lmn_bench.worker.best_loops import BestLoops
    from lmn_bench.worker.cgroup import CaseGroup, CaseGroups

_STDERR_TAIL_BYTES = 4000
# Jobs that limit nothing, whatever they measure.
_NEVER_CAPPED = frozenset({"cuda", "ceilings", "probe"})


def main() -> None:
    """Serve jobs until the parent closes our standard input."""
    die_with_parent()
    adopt_orphans()
    # Whatever a model prints must not end up between our answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    # Imports that children need not repeat.
    import lmn_bench.subjects.lmn
    import lmn_bench.subjects.recurrent
    import lmn_bench.subjects.transformer
    import lmn_bench.worker.measure  # noqa: F401
    from lmn_bench.cgroups import own_group
    from lmn_bench.errors import CapError, UsageError
    from lmn_bench.worker.best_loops import BestLoops
    from lmn_bench.worker.cgroup import CaseGroups
    from lmn_bench.worker.job import FIELDS
    from lmn_bench.worker.plant import planted_share
    from lmn_bench.worker.reference import ReferenceLoops

    try:
        planted_share(os.environ)
        groups = CaseGroups.here(own_group()) if WITH_GROUPS in sys.argv[1:] else None
    except (CapError, UsageError) as error:
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
    # On one thread only: a pool of threads that was started here would be lost to the children.
    best = BestLoops(*ReferenceLoops().measure())
    for line in sys.stdin:
        job = json.loads(line)
        best.learn(_threads(job), _serve(job, answers, contexts, best, groups))


def _software() -> dict[str, str]:
    import platform

    import torch

    from lmn_bench import __version__

    return {
        "python": platform.python_version(), "torch": str(torch.__version__),
        "lmn_bench": __version__,
    }  # fmt: skip


def _serve(
    job: dict[str, Any],
    answers: TextIO,
    contexts: dict[str, int],
    best: BestLoops,
    groups: CaseGroups | None,
) -> dict[str, float]:
    """Run one job in a child, answer the parent, and return the metrics that came out."""
    best.loop_s = min(best.loop_s, job.get("measure", {}).get("best_loop_s", best.loop_s))
    streams = make_file("child-output"), make_file("child-errors")
    context = _context_of(job, contexts)
    # Made here: a child that the kernel kills could neither read how it ended nor take it away.
    group = groups.make() if groups is not None and _may_be_capped(job) else None
    told, server = Shared(), os.getpid()
    pid = os.fork()
    if pid == 0:
        _child(job, server, told, streams, context, best.of(_threads(job)), group)
    _send(answers, {"pid": pid})
    status = wait_for(pid, Kept(streams))
    left = end_relatives()
    log, errors = streams
    tail = end_of(errors, _STDERR_TAIL_BYTES) or end_of(log, _STDERR_TAIL_BYTES)
    printed = {"stdout": printed_bytes(log), "stderr": printed_bytes(errors)}
    for stream in streams:
        os.close(stream)
    result, cap = _parsed(told.read())
    told.close()
    if group is not None:
        if cap is not None and cap["mechanism"] == group.mechanism:
            cap |= group.ending()
        group.close()
    if result is None and context is not None:
        # The child may have died while it wrote its context.
        os.ftruncate(context, 0)
    code = os.waitstatus_to_exitcode(status)
    _send(answers, {"result": result, "exit": code, "output": tail, "cap": cap, "left": left,
                    "printed": printed})  # fmt: skip
    metrics: dict[str, float] = (result or {}).get("metrics", {})
    return metrics


def _threads(job: dict[str, Any]) -> int:
    threads: int = job.get("measure", {}).get("case", {}).get("threads", 1)
    return threads


def _may_be_capped(job: dict[str, Any]) -> bool:
    kind = next(iter(job))
    if kind == "measure":
        return job["measure"]["case"].get("memory_cap_bytes") is not None
    return kind not in _NEVER_CAPPED


def _context_of(job: dict[str, Any], contexts: dict[str, int]) -> int | None:
    """The anonymous file in which processes of one case hand on a context."""
    if "measure" not in job or job["measure"]["case"]["mode"] != "decode":
        return None
    key = json.dumps(job["measure"]["case"], sort_keys=True)
    if key not in contexts:
        contexts[key] = os.memfd_create("context")
    return contexts[key]


def _parsed(text: bytes) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What a child said, and the cap it was under; None for what it died before it had said."""
    result = cap = None
    for line in text.splitlines():
        message: dict[str, Any] = json.loads(line)
        cap, result = message.get("cap", cap), message.get("result", result)
    return result, cap


def _child(
    job: dict[str, Any],
    server: int,
    told: Shared,
    streams: tuple[int, int],
    context: int | None,
    best_loops_s: tuple[float, ...],
    group: CaseGroup | None,
) -> NoReturn:
    """Measure in the forked process and tell the result as a line of JSON."""
    code = 1
    try:
        # A group of its own, so that a kill takes whatever a model started.
        os.setpgid(0, 0)
        die_with_parent(server)
        told.take()
        _take_streams(*streams)

        from lmn_bench.errors import ComparisonError, LmnBenchError, ProfileError
        from lmn_bench.worker.caps import AppliedCap, Cap
        from lmn_bench.worker.contexts import ContextFile
        from lmn_bench.worker.job import Job
        from lmn_bench.worker.measure import probe, run_job

        def tell(applied: AppliedCap) -> None:
            # At once: a process that dies of its cap says nothing later.
            _tell(told, {"cap": asdict(applied)})

        cap = Cap(group, tell)
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
                kept = None if context is None else ContextFile(_open_in(server, context))
                result = run_job(Job.from_dict(job["measure"]), kept, best_loops_s, cap)
        except ComparisonError as error:
            result = {"incomparable": _words(error)}
        except ProfileError as error:
            result = {"failed": _words(error)}
        except LmnBenchError as error:
            result = {"refused": _words(error)}
        _tell(told, {"result": result})
        code = 0
    except TooLongError:
        with suppress(BaseException):
            sys.stderr.write("what it measured is too long to be told\n")
    except BaseException:
        with suppress(BaseException):
            traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a model may have closed it, or put anything in its place
                stream.flush()
        # No interpreter shutdown: it would run the server's own exit handlers.
        os._exit(code)


def _tell(told: Shared, message: dict[str, Any]) -> None:
    """Write a line to the server."""
    told.write(json.dumps(message).encode() + b"\n")


def _take_streams(log: int, errors: int) -> None:
    """Print into these, read nothing, and hold no other descriptor: a model is to have none."""
    os.dup2(log, 1)
    os.dup2(errors, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    with os.scandir("/proc/self/fd") as entries:
        last = max(int(entry.name) for entry in entries)
    os.closerange(3, last + 1)


def _open_in(process: int, descriptor: int) -> Path:
    """The file that another process has open."""
    return Path("/proc", str(process), "fd", str(descriptor))


def _words(error: LmnBenchError) -> dict[str, str | None]:
    """What a parent can raise again, whoever has written it, as long as it needs to be."""
    return {
        "message": shortened(error.message),
        "hint": None if error.hint is None else shortened(error.hint),
    }


def _send(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
