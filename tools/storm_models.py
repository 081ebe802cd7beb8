"""Models that take their process apart, one way each, for storm_processes.py.

They behave in the short calls of a trial where nothing else is said: what these do, they do on
sequences longer than `LONG`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

LONG = 600
MIB = 2**20
GIB = 2**30
_CHUNK = b"." * 65535 + b"\n"
# As long as nothing ends it.
_FOR_EVER_S = 1000


class Model(nn.Module):
    """A linear map that does something first."""

    def __init__(self, width: int, act: Callable[[Model], object], *, always: bool) -> None:
        super().__init__()
        self.map = nn.Linear(width, width)
        self.act, self.always = act, always
        self.held: list[Any] = []

    def forward(self, x: Tensor) -> Tensor:
        """What the map makes of x: (batch, tokens, width)."""
        if self.always or x.shape[1] > LONG:
            self.act(self)
        return self.map(x)


def _model(act: Callable[[Model], object], *, always: bool = False) -> Any:
    def factory(spec: Any, *, dtype: torch.dtype, device: torch.device) -> Model:
        return Model(spec.width, act, always=always)

    return factory


# ---------------------------------------------------------------- processes of its own


def _daemon(seconds: float = _FOR_EVER_S) -> None:
    """Fork twice, with a session of its own, deaf to every polite signal."""
    if (first := os.fork()) == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(seconds)
        os._exit(0)
    os.waitpid(first, 0)


def _raw_daemon() -> None:
    """Likewise, past Python's own hooks: every descriptor stays open in it."""
    libc = ctypes.CDLL(None)
    if libc.fork() == 0:
        libc.setsid()
        if libc.fork() == 0:
            time.sleep(_FOR_EVER_S)
        os._exit(0)


def _four_sleepers() -> None:
    for _ in range(4):
        subprocess.Popen(["sleep", str(_FOR_EVER_S)], start_new_session=True)


def _forks_as_it_dies() -> None:
    """A process that lives on in its children, each for a moment."""
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)


def _guards() -> None:
    """Two processes that start each other anew, and wake whoever was stopped."""
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            while True:
                with suppress(OSError):
                    os.kill(os.getppid(), signal.SIGCONT)
                subprocess.Popen(["sleep", str(_FOR_EVER_S)], start_new_session=True)
                time.sleep(0.05)


forks_twice = _model(lambda _: _daemon())
forks_twice_in_trials = _model(lambda _: _daemon(), always=True)
raw_daemon_in_trials = _model(lambda _: _raw_daemon(), always=True)
four_sleepers = _model(lambda _: _four_sleepers())
forks_as_it_dies = _model(lambda _: _forks_as_it_dies())
guards = _model(lambda _: _guards())


def _daemon_and_hang(_: Model) -> None:
    _daemon()
    if sign := os.environ.get("STORM_SIGN"):
        Path(sign).touch()
    time.sleep(_FOR_EVER_S)


daemon_and_hang = _model(_daemon_and_hang)


def learns_with_a_daemon(spec: Any) -> Model:
    """Hang in its first step."""
    return Model(spec.width, _daemon_and_hang, always=True)


def _leaves_to_a_daemon(_: Model) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(_FOR_EVER_S)


leaves_to_a_daemon = _model(_leaves_to_a_daemon)


def _deaf_and_hanging(_: Model) -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    time.sleep(_FOR_EVER_S)


ignores_sigterm = _model(_deaf_and_hanging)


def _threads(model: Model, count: int = 1000) -> None:
    while len(model.held) < count:
        thread = threading.Thread(target=time.sleep, args=(_FOR_EVER_S,), daemon=True)
        thread.start()
        model.held.append(thread)


thousand_threads = _model(_threads)


# ---------------------------------------------------------------- what it prints and raises


def _prints(number: int, size: float) -> None:
    printed = 0
    while printed < size:
        printed += os.write(number, _CHUNK)


def _once(act: Callable[[], object]) -> Callable[[Model], None]:
    def once(model: Model) -> None:
        if not model.held:
            model.held.append(True)
            act()

    return once


prints_3_gib = _model(_once(lambda: _prints(1, 3 * GIB)))
complains_3_gib = _model(_once(lambda: _prints(2, 3 * GIB)))
prints_for_ever = _model(lambda _: _prints(1, float("inf")))


def _raises(_: Model) -> None:
    error = ValueError("x" * 50 * MIB)
    error.add_note("y" * 50 * MIB)
    raise error


raises_50_mb = _model(_raises)
raises_50_mb_at_once = _model(_raises, always=True)
warns_50_mb = _model(_once(lambda: warnings.warn("z" * 50 * MIB, stacklevel=2)))


def refuses_50_mb(spec: Any, *, dtype: torch.dtype, device: torch.device) -> Model:
    """Raise an error of our own kind, of 50 MB."""
    from lmn_bench.errors import SubjectError

    raise SubjectError("s" * 50 * MIB, "h" * 50 * MIB)


# ---------------------------------------------------------------- descriptors


def _eats_descriptors(model: Model) -> None:
    with suppress(OSError):
        while True:
            model.held.append(os.open(os.devnull, os.O_RDONLY))


def _writes_everywhere(_: Model) -> None:
    for number in range(3, 1024):
        with suppress(OSError):
            os.write(number, b'{"result": 5}\n{"failed": 3}\n{"half of')


eats_descriptors = _model(_eats_descriptors)
writes_into_descriptors = _model(_writes_everywhere)
closes_descriptors = _model(lambda _: os.closerange(3, 256))
closes_all_descriptors = _model(lambda _: os.closerange(0, 65536))


# ---------------------------------------------------------------- whom it kills


def _kills(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)
    time.sleep(_FOR_EVER_S)


def _grandparent() -> int:
    stat = Path(f"/proc/{os.getppid()}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


kills_the_server = _model(lambda _: (_daemon(), _kills(os.getppid())))
asks_the_server_to_end = _model(lambda _: (_daemon(), _kills(os.getppid(), signal.SIGTERM)))
stops_the_server = _model(lambda _: (_daemon(), _kills(os.getppid(), signal.SIGSTOP)))
kills_the_warden = _model(lambda _: (_daemon(), _kills(_grandparent())))
kills_its_group = _model(lambda _: os.killpg(0, signal.SIGKILL))
leaves_by_exit = _model(lambda _: (_daemon(), os._exit(0)))
leaves_by_sys_exit = _model(lambda _: sys.exit(0))


# ---------------------------------------------------------------- memory


def _memory_file(model: Model) -> None:
    if not model.held:
        file = os.memfd_create("weights")
        for _ in range(800):
            os.write(file, bytes(MIB))
        model.held.append(file)


def _shared_memory(model: Model) -> None:
    if not model.held:
        room = mmap.mmap(-1, 800 * MIB)
        for begin in range(0, len(room), 4096):
            room[begin] = 1
        model.held.append(room)


def _dev_shm(model: Model) -> None:
    if not model.held:
        file = Path("/dev/shm", f"storm-{os.getpid()}").open("wb+")  # noqa: SIM115  held
        Path(file.name).unlink()
        for _ in range(800):
            file.write(bytes(MIB))
        file.flush()
        model.held.append(file)


def _has_others_hold(model: Model) -> None:
    """Twenty processes of 40 MiB each."""
    if not model.held:
        for _ in range(20):
            ready, told = os.pipe()
            if os.fork() == 0:
                held = bytearray(40 * MIB)
                os.write(told, b".")
                time.sleep(_FOR_EVER_S)
                del held
            os.read(ready, 1)
            model.held.append(ready)


def _child_allocates(_: Model) -> None:
    """As a data loader might: in a child, which the kernel may end."""
    if (pid := os.fork()) == 0:
        with suppress(MemoryError):
            for _ in range(400):
                _KEPT.append(bytearray(2 * MIB))
        os._exit(0)
    os.waitpid(pid, 0)


_KEPT: list[bytearray] = []

memory_file = _model(_memory_file)
shared_memory = _model(_shared_memory)
dev_shm = _model(_dev_shm)
others_hold = _model(_has_others_hold)
child_allocates = _model(_child_allocates)
