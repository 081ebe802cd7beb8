"""Reference loops: is the machine itself slow just now, whatever is being measured?

Fixed arithmetic in registers takes the same time on a quiet core. On a shared machine it takes up
to 1.7 times as long while a neighbour is busy (seen on a 2-core virtual machine: a third of the
time, for milliseconds to seconds on end), and so does everything measured beside it. The loop is
timed between rounds and knows nothing of the model. Long rounds meet a slow spell more often than
short ones, so whole settings are judged by it, never single cases (`analysis.results`).

A loop on one core cannot see that another core is taken: a case of several threads has a second
loop, on torch's own threads, which are those that the model runs on. And no loop sees what is done
by turns, a few milliseconds each: the kernel tells how long our threads waited for a core.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

# About 70 µs of a 3 GHz core: long against the clock's cost, short against a round.
_ITERATIONS = 2000
# The fastest of a few: an interrupt hits one of them, a busy neighbour all.
_LOOPS = 3
# What is this slow need not be asked again.
_SLOW_S = 1e-3
# torch gives a thread of its own to every 32,768 elements; about 70 µs.
_ELEMENTS_PER_THREAD = 32_768
_TASKS = Path("/proc/self/task")


class ReferenceLoops:
    """Times fixed work on the threads that measure: on the main one, and on all of them at once.

    Moving a thread to look at other cores would do the harm it looks for: it would end up beside
    another thread of the model, on the same core.

    Attributes:
        best_s: fastest of each loop seen so far in this run: on one thread, and on all of them if
            they are several.
    """

    def __init__(self, threads: int = 1, best_s: tuple[float, ...] = ()) -> None:
        self._waits = RunQueue()
        self._loops: list[Callable[[], object]] = [_loop]
        if threads > 1:
            self._loops.append(_parallel_loop(threads))
        unknown = (float("inf"),) * (len(self._loops) - len(best_s))
        self.best_s = (*best_s[: len(self._loops)], *unknown)

    def measure(self) -> tuple[float, ...]:
        """Seconds that each loop takes now."""
        loops_s = tuple(map(_fastest_s, self._loops))
        self.best_s = tuple(map(min, self.best_s, loops_s))
        return loops_s

    def begin(self) -> None:
        """From here on is counted how long threads wait for a core."""
        self._waits.since_last()

    def waited(self) -> float | None:
        """Seconds of the thread that waited most since `begin` or the last call."""
        return self._waits.since_last()


class RunQueue:
    """How long the threads of this process waited for a core, as the kernel counts it.

    Args:
        tasks: the folder of the process's threads under /proc.
    """

    def __init__(self, tasks: Path = _TASKS) -> None:
        self._root = tasks
        self._files: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def since_last(self) -> float | None:
        """Seconds of the thread that waited most since the last call; None if nobody tells."""
        most = None
        for thread, waited_ns in self._read().items():
            # A thread that is new may have waited before the round.
            since_ns = waited_ns - self._seen.get(thread, waited_ns)
            most = max(most or 0, since_ns)
            self._seen[thread] = waited_ns
        return None if most is None else most / 1e9

    def _read(self) -> dict[str, int]:
        with suppress(OSError):
            for thread in self._root.iterdir():
                if thread.name not in self._files:
                    flags = os.O_RDONLY | os.O_CLOEXEC
                    self._files[thread.name] = os.open(thread / "schedstat", flags)
        found = {}
        for name, file in list(self._files.items()):
            try:
                # CPU time, time on a run queue, time slices.
                found[name] = int(os.pread(file, 64, 0).split()[1])
            except (OSError, ValueError, IndexError):
                del self._files[name]
                _close_if_it_is(self._root / name, file)
        return found


def _close_if_it_is(thread: Path, file: int) -> None:
    """Close what was opened of a thread; not what a model that has closed it has opened since."""
    with suppress(OSError):
        # Behind the name of one that has ended, the kernel adds that it was deleted.
        is_now = Path(f"/proc/self/fd/{file}").readlink()
        if f"{is_now}".startswith(f"{thread.resolve() / 'schedstat'}"):
            os.close(file)


def _fastest_s(loop: Callable[[], object]) -> float:
    fastest = float("inf")
    for _ in range(_LOOPS):
        begin = time.perf_counter()
        loop()
        took_s = time.perf_counter() - begin
        fastest = min(fastest, took_s)
        if took_s > _SLOW_S:
            break
    return fastest


def _loop() -> object:
    total = 0
    for i in range(_ITERATIONS):
        total += i * i
    return total


def _parallel_loop(threads: int) -> Callable[[], object]:
    with torch.inference_mode():
        numbers = torch.linspace(-2, 2, threads * _ELEMENTS_PER_THREAD, device="cpu")
        result = torch.empty_like(numbers)

    def run() -> object:
        with torch.inference_mode():
            return torch.tanh(numbers, out=result)

    return run
