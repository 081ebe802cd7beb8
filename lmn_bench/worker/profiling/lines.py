"""Memory line by line, as memory-profiler sees it: resident memory after every line."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable
from typing import Any

from lmn_bench.worker.memory import trim
from lmn_bench.worker.profiling.modules import nodes_of

_MIB = 2**20


def memory_by_line(
    call: Callable[[], object], functions: Iterable[Callable[..., Any]]
) -> list[dict[str, Any]]:
    """Run `call` and look at resident memory after every line of `functions`.

    Looking takes a hundred times as long as most lines do, and a line's increment is what the
    process grew by, whoever made it grow: for finding the line, never the source of a peak.

    Args:
        call: the work.
        functions: whose lines; those that are not run are left out.

    Returns:
        For every function its `function`, `file`, `first_line` and `lines`, each with `line`,
        `source`, `calls`, `bytes` (the most after it) and `increment_bytes`; None in lines that
        were not run, and as the increment of the first line, which stands for all before it.
    """
    from memory_profiler import LineProfiler

    profiler = LineProfiler(backend="psutil")
    names = {}
    for function in functions:
        profiler.add_function(function)
        code = function.__code__
        names[code.co_filename, code.co_firstlineno] = function.__qualname__
    # What was freed before would be taken again, and no line would seem to grow.
    trim()
    with profiler:
        call()
    found = []
    for file, lines in profiler.code_map.items():
        rows = [_row(file, number, seen) for number, seen in lines]
        first = rows[0]["line"]
        for row in rows:
            if row["source"].lstrip().startswith("def "):
                row["increment_bytes"] = None
                break
        found.append({"function": names.get((file, first), file), "file": file,
                      "first_line": first, "lines": rows})  # fmt: skip
    return found


def _row(file: str, number: int, seen: tuple[float, float, int] | None) -> dict[str, Any]:
    increment, most, calls = seen if seen is not None else (None, None, 0)
    return {
        "line": number,
        "source": linecache.getline(file, number).rstrip("\n"),
        "calls": calls,
        "bytes": None if most is None else round(most * _MIB),
        "increment_bytes": None if increment is None else round(increment * _MIB),
    }


def functions_of(model: object, depth: int = 1) -> list[Callable[..., Any]]:
    """Functions of a user's model that are written in Python, and of its modules down to `depth`.

    What comes with torch is left out.
    """
    kinds: dict[type, None] = {type(model): None}
    kinds.update({type(node.module): None for node in nodes_of(model, depth) if not node.deep})
    own: list[Callable[..., Any]] = [model] if inspect.isfunction(model) else []
    return own + [
        function
        for kind in kinds
        if not kind.__module__.startswith("torch.")
        for function in vars(kind).values()
        if inspect.isfunction(function)
    ]
