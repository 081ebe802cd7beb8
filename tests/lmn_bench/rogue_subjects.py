"""Models that misbehave in one way each, for test_worker_process.py.

A new model is tried on 5 tokens and checked on up to 21 before it is measured, and it warms up on
4: what these do, they do only on sequences longer than `LONG`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

LONG = 30
WORKING_BYTES = 64 * 2**20


class Mean(nn.Module):
    """A running mean; right in every mode."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, width)

    def prefill(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        total = x.cumsum(1)
        count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        state = {"total": total[:, -1].clone(), "count": count[-1].clone()}
        return self.map(total / count[:, None]), state

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    def decode(self, x_t: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        state = {"total": state["total"] + x_t, "count": state["count"] + 1}
        return self.map(state["total"] / state["count"]), state


class OnlyParallel(nn.Module):
    """Does something on long sequences; can't decode, so that nothing checks it."""

    def __init__(self, width: int, act: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.map = nn.Linear(width, width)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > LONG:
            self.act()
        return self.map(x)


def good(spec, *, dtype, device):
    return Mean(spec.width)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.map = nn.Linear(width, width)

    def forward(self, x):
        return x + self.map(x)


class Nested(nn.Module):
    """Makes its modules in its first call."""

    def __init__(self, width):
        super().__init__()
        self.width, self.blocks = width, None
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        if self.blocks is None:
            self.blocks = nn.ModuleList([Block(self.width) for _ in range(2)])
        for block in self.blocks:
            x = block(x)
        return x * self.scale


def nested(spec, *, dtype, device):
    return Nested(spec.width)


def no_decode(spec, *, dtype, device):
    return OnlyParallel(spec.width)


def hangs(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: time.sleep(1000))


def hangs_with_a_child(spec, *, dtype, device):
    def fork_and_sleep():
        os.fork()
        time.sleep(1000)

    return OnlyParallel(spec.width, fork_and_sleep)


def exits(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: os._exit(7))


def leaves(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: sys.exit("I am leaving"))


def kills_itself(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: os.kill(os.getpid(), signal.SIGKILL))


def kills_the_server(spec, *, dtype, device):
    def kill_and_wait():
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)

    return OnlyParallel(spec.width, kill_and_wait)


def crashes(spec, *, dtype, device):
    def read_nowhere():
        # torch's and Python's own handlers would print for seconds.
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)

    return OnlyParallel(spec.width, read_nowhere)


def raises(spec, *, dtype, device):
    def boom():
        raise ValueError("boom")

    return OnlyParallel(spec.width, boom)


def chatters(spec, *, dtype, device):
    def print_garbage():
        print('{"result": null, "exit": 0}\n{"pid"', flush=True)
        os.write(1, b"\xff\xfe\n{}\n")
        os.write(2, b"x" * 100_000)

    return OnlyParallel(spec.width, print_garbage)


def allocates(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: torch.ones(WORKING_BYTES // 4))


def touches_200_mib(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: torch.ones(200 * 2**20 // 4))


def touches_20_mib(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: torch.ones(20 * 2**20 // 4))


def reserves_200_mib(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: torch.empty(200 * 2**20 // 4))


class Wrong(Mean):
    """Decodes something else than it prefills."""

    def decode(self, x_t, state):
        output, state = super().decode(x_t, state)
        return output * 1.01, state


class NotANumber(Mean):
    """Agrees with itself on outputs that are no numbers."""

    def prefill(self, x):
        output, state = super().prefill(x)
        return output * float("nan"), state

    def decode(self, x_t, state):
        output, state = super().decode(x_t, state)
        return output * float("nan"), state


class Forgets(Mean):
    """Reads on, but from nothing each time."""

    def read(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        output, state = self.prefill(x.split(4096, dim=1)[-1])
        return output[:, -1], state


def _daemon():
    if (pid := os.fork()) == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    os.waitpid(pid, 0)


def forks_twice(spec, *, dtype, device):
    return OnlyParallel(spec.width, _daemon)


class Always(OnlyParallel):
    """Does it in trials too."""

    def forward(self, x: Tensor) -> Tensor:
        self.act()
        return self.map(x)


def forks_twice_in_trials(spec, *, dtype, device):
    return Always(spec.width, _daemon)


def forks_twice_and_hangs(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: (_daemon(), time.sleep(1000)))


def closes_all_descriptors(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: os.closerange(0, 4096))


def writes_into_descriptors(spec, *, dtype, device):
    def write():
        found = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
        for number in found:
            if number > 2:
                with suppress(OSError):
                    os.write(number, b'{"result": 5}\n{"half of')

    return OnlyParallel(spec.width, write)


def eats_descriptors(spec, *, dtype, device):
    held = []

    def eat():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))

    return OnlyParallel(spec.width, eat)


def prints_16_mib(spec, *, dtype, device):
    return OnlyParallel(spec.width, lambda: os.write(2, b"." * 2**24))


def raises_much(spec, *, dtype, device):
    def boom():
        raise ValueError("x" * 10**7)

    return OnlyParallel(spec.width, boom)


def _holding(make):
    def factory(spec, *, dtype, device):
        held = []

        def hold():
            if not held:
                held.append(make())

        return OnlyParallel(spec.width, hold)

    return factory


def _memory_file():
    file = os.memfd_create("weights")
    for _ in range(48):
        os.write(file, bytes(2**20))
    return file


def _shared_memory():
    room = mmap.mmap(-1, 48 * 2**20)
    for begin in range(0, len(room), 4096):
        room[begin] = 1
    return room


def _another_process():
    ready, told = os.pipe()
    if os.fork() == 0:
        held = b"x" * (24 * 2**20)
        os.write(told, b".")
        time.sleep(1000)
        os._exit(len(held))
    os.read(ready, 1)


holds_a_memory_file = _holding(_memory_file)
holds_shared_memory = _holding(_shared_memory)
holds_by_others = _holding(lambda: [_another_process() for _ in range(2)])


def starts_threads(spec, *, dtype, device):
    def start():
        for _ in range(100):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    return OnlyParallel(spec.width, start)


def forgets(spec, *, dtype, device):
    return Forgets(spec.width)


class WrongWhenCompiled(OnlyParallel):
    """Computes something else once it is compiled."""

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x) * (2 if torch.compiler.is_compiling() else 1)


class NoModule:
    """Not a torch.nn.Module, and nothing that torch.compile takes."""

    def __init__(self, width: int) -> None:
        self.map = nn.Linear(width, width)

    def parameters(self):
        return self.map.parameters()

    def prefill(self, x: Tensor) -> tuple[Tensor, None]:
        return self.map(x), None


def wrong_when_compiled(spec, *, dtype, device):
    return WrongWhenCompiled(spec.width)


def no_module(spec, *, dtype, device):
    return NoModule(spec.width)


def wrong(spec, *, dtype, device):
    return Wrong(spec.width)


def not_a_number(spec, *, dtype, device):
    return NotANumber(spec.width)


def cannot_be_built(spec, *, dtype, device):
    raise ValueError("no such size")


class SlowToRead(Mean):
    """Takes its time for a long prefill, and counts in a file how often it did."""

    def prefill(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if x.shape[1] > LONG:
            time.sleep(1.2)
            with Path(os.environ["PREFILLS"]).open("a") as file:
                file.write("x")
        return super().prefill(x)


def slow_to_read(spec, *, dtype, device):
    return SlowToRead(spec.width)
