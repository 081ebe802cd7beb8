"""Calls that leave no trace: made in a copy of this process that ends after them.

A model that is called once is another one afterwards: it has made its caches for this length, its
lazy layers, tensors that belong to inference. What is measured must be the model as it was made.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import torch

from lmn_bench.offspring import (
    adopt_orphans,
    die_with_parent,
    end_relatives,
    has_children,
    relatives,
)
from lmn_bench.shared import Shared

_Result = TypeVar("_Result")
# What a trial found out is a few hundred bytes, and an error's message a page.
_MOST_BYTES = 2**20


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
    shared, me = Shared(_MOST_BYTES), os.getpid()
    # What is started by the copy is to leave no trace either.
    before = frozenset(relatives()) if has_children() else frozenset()
    adopt_orphans()
    pid = os.fork()
    if pid == 0:
        _run(call, known, shared, me)
    with suppress(ChildProcessError):  # the model has children reaped as they end
        os.waitpid(pid, 0)
    end_relatives(spared=before)
    adopt_orphans(adopt=False)
    told = shared.read()
    shared.close()
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


def _run(
    call: Callable[[], _Result], known: tuple[type[Exception], ...], shared: Shared, parent: int
) -> NoReturn:
    try:
        die_with_parent(parent)
        shared.take()
        # What it prints is printed again where the model is called in earnest.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        # OpenMP's threads stayed behind: whoever asked for more than one would wait for them.
        torch.set_num_threads(1)
        try:
            told = pickle.dumps((True, call()))
        except known as error:
            told = pickle.dumps((False, error))
        shared.write(told)
    except BaseException:
        # It is made once more where it can be told.
        pass
    finally:
        os._exit(0)
