"""Calls that leave no trace: made in a copy of this process that ends after them.

A model that is called once is another one afterwards: it has made its caches for this length, its
lazy layers, tensors that belong to inference. What is measured must be the model as it was made.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import torch

_Result = TypeVar("_Result")
_PR_SET_PDEATHSIG = 1


def without_trace(
    call: Callable[[], _Result],
    known: tuple[type[Exception], ...],
    device: torch.device,
    here: Callable[[], _Result] | None = None,
) -> _Result:
    """The result of `call` in a copy of this process, which is as it was afterwards.

    A copy that dies has told nothing: the call is made here, and dies as it would by itself.

    Args:
        call: gives something that can be pickled.
        known: errors that are raised here too; they are made of their `args`.
        device: that it computes on.
        here: is called in its place where there can be no copy; by default the same.
    """
    if not can_be_apart(device):
        return (here or call)()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _run(call, known, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    with suppress(ChildProcessError):  # the model has children reaped as they end
        os.waitpid(pid, 0)
    if not told:
        return call()
    succeeded, value = pickle.loads(told)  # written by ourselves
    if not succeeded:
        raise value
    result: _Result = value
    return result


def can_be_apart(device: torch.device) -> bool:
    """Whether a copy of this process can do what it can.

    CUDA does not survive a fork, and neither do threads, which a model may wait for.
    """
    return device.type == "cpu" and threading.active_count() == 1


def _run(call: Callable[[], _Result], known: tuple[type[Exception], ...], writing: int) -> NoReturn:
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # What it prints is printed again where the model is called in earnest.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        # OpenMP's threads stayed behind: whoever asked for more than one would wait for them.
        torch.set_num_threads(1)
        try:
            told = pickle.dumps((True, call()))
        except known as error:
            told = pickle.dumps((False, error))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(told)
    except BaseException:
        # It is made once more where it can be told.
        pass
    finally:
        os._exit(0)
