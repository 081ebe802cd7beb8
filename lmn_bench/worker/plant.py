"""A slow-down planted on purpose: the proof that a gate on times goes red when code gets slower.

The environment variable LMN_BENCH_PLANT_SLOWDOWN, a share such as 0.10, makes every call of a
subject last that much longer while it is timed. Checks, memory pass and counters see nothing of it.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from lmn_bench.errors import UsageError
from lmn_bench.subjects.protocol import Subject

_VARIABLE = "LMN_BENCH_PLANT_SLOWDOWN"
# Above this it is a mistake for a percentage.
_MOST = 5.0
_METHODS = ("train_step", "prefill", "read", "decode")


def planted_share(environ: Mapping[str, str]) -> float:
    """By which share of its time every call is to last longer; 0 where nothing is planted.

    Raises:
        UsageError: the variable holds something else.
    """
    text = environ.get(_VARIABLE, "").strip()
    try:
        share = float(text or 0)
    except ValueError:
        share = math.nan
    # Not a number is not between either.
    if not 0 <= share <= _MOST:
        raise UsageError(
            f"{_VARIABLE}: expected a share between 0 and {_MOST:g}, got {text!r}",
            "write 0.10 for calls that last 10% longer",
        )
    return share


@contextmanager
def slowed(
    subject: Subject,
    share: float,
    device: torch.device,
    now: Callable[[], float] = time.perf_counter,
) -> Iterator[None]:
    """Inside, every call of the subject lasts `share` longer than it took.

    Args:
        subject: its methods are replaced on the object itself, and given back at the end.
        share: of the time that the very call took; 0 leaves the subject alone.
        device: on CUDA a call has ended when the device has done its work.
        now: the clock that is spun on (s).
    """
    inside, on_cuda = False, device.type == "cuda"

    # Little else happens here: a decoded token may take 20 us, and 10 % of that are 2.
    def slow(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **extra: Any) -> Any:
            nonlocal inside
            if inside:
                # A method that calls another one of the subject is slowed once.
                return method(*args, **extra)
            if on_cuda:
                torch.cuda.synchronize(device)
            begin = now()
            inside = True
            try:
                result = method(*args, **extra)
                if on_cuda:
                    torch.cuda.synchronize(device)
            finally:
                inside = False
            end = now()
            end += share * (end - begin)
            while now() < end:
                pass
            return result

        return call

    wrapped = [name for name in _METHODS if share and callable(getattr(subject, name, None))]
    before = {name: vars(subject)[name] for name in wrapped if name in vars(subject)}
    for name in wrapped:
        setattr(subject, name, slow(getattr(subject, name)))
    try:
        yield
    finally:
        for name in wrapped:
            delattr(subject, name)
        for name, method in before.items():
            setattr(subject, name, method)
