"""Cases that are compiled, or run as CUDA graphs: see that the computation stays the same."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lmn_bench.subjects.protocol import Subject, SubjectWithGraphs
from lmn_bench.worker.caps import is_out_of_memory
from lmn_bench.worker.checks import compare
from lmn_bench.worker.workload import Workload

# What torch's compiler calls for the code that it writes, as it looks it up itself.
_CPP_COMPILER = "CXX", "g++"


class CompilationError(Exception):
    """torch.compile could not make anything of a subject."""


def why_not(subject: Subject) -> str | None:
    """Why this subject can't be compiled here, or None when it can."""
    if not getattr(subject, "can_compile", False):
        return "torch.compile takes a torch.nn.Module, and the model is none"
    variable, standard = _CPP_COMPILER
    compiler = os.environ.get(variable, standard)
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler, and there is no {compiler} here"
    return None


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run what a model has compiled for itself as it was written.

    For a trial, whose few calls of several lengths would be compiled one by one, and once more
    where they are measured.
    """
    # Whoever compiles has imported it; for others it takes a second.
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def compile_subject(subject: Subject, mode: str, work: Workload) -> dict[str, float]:
    """Compile what `mode` runs, and run it once, so that nothing is left to be compiled.

    Returns:
        The metric `compile_s`.

    Raises:
        CompilationError: the compiler failed.
        IncorrectSubjectError: the compiled computation gives something else.
    """
    import torch._dynamo
    import torch._inductor.config

    # Its own pool of processes would outlast the compiling and run beside the timing.
    torch._inductor.config.compile_threads = 1
    torch._dynamo.utils.counters.clear()
    expected = work.output(work.prepare())
    begin = time.perf_counter()
    try:
        subject.compile_for(mode)
        found = work.output(work.prepare())
    except Exception as error:
        if is_out_of_memory(error):
            raise
        lines = str(error).strip().splitlines() or ["no message"]
        raise CompilationError(f"torch.compile: {type(error).__name__}: {lines[0]}") from error
    compile_s = time.perf_counter() - begin
    compare("plain and compiled", expected, found)
    return {"compile_s": compile_s}


def record_subject(subject: SubjectWithGraphs, work: Workload) -> None:
    """Decode as CUDA graphs from here on, and run it once, so that all are recorded.

    Raises:
        IncorrectSubjectError: the graphs give something else.
        SubjectError: there are none of this subject.
    """
    expected = work.output(work.prepare())
    subject.use_cuda_graphs()
    found = work.output(work.prepare())
    compare("plain and recorded", expected, found)


def compiled_graphs() -> int:
    """Graphs that were compiled in this process so far."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def warnings() -> Iterator[str]:
    """What kept the compiler from compiling everything into one piece."""
    breaks = torch._dynamo.utils.counters["graph_break"]
    if breaks:
        first = str(next(iter(breaks))).strip().splitlines()[0]
        yield f"graph breaks: {sum(breaks.values())}, the first: {first}"
    limit = torch._dynamo.config.recompile_limit
    if compiled_graphs() >= limit:
        yield f"many graphs: past {limit} of one function torch runs it uncompiled"
