"""Models as strangers hand them over, for test_strange_models.py: right ones, and wrong ones."""

from __future__ import annotations

import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Plain(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.map = nn.Linear(width, width)

    def forward(self, x):
        return self.map(x)


def of(function):
    """A factory of a `Plain` whose forward is `function(model, x)`."""

    class Made(Plain):
        def forward(self, x):
            return function(self, x)

    return lambda spec, dtype, device: Made(spec.width)


# ---------------------------------------------------------------- what is handed over, and how

instance = Plain(32)


def of_spec_alone(spec):
    return Plain(spec.width)


def of_nothing():
    return Plain(32)


def of_sizes(width):
    return Plain(width)


def scripted(spec):
    return torch.jit.script(nn.Sequential(nn.Linear(spec.width, spec.width)))


def own_forward(spec):
    model = Plain(spec.width)
    model.forward = model.map.forward
    return model


def function(spec):
    return torch.tanh


def no_parameters(spec):
    return nn.Identity()


def frozen(spec):
    return Plain(spec.width).requires_grad_(False)


def a_class(spec):
    return Plain


def lstm(spec):
    return nn.LSTM(spec.width, spec.width, batch_first=True)


def lstm_sequence_first(spec):
    return nn.LSTM(spec.width, spec.width)


def attention(spec):
    return nn.MultiheadAttention(spec.width, 4)


@dataclasses.dataclass
class Outputs:
    loss: object
    hidden: torch.Tensor


data_class = of(lambda self, x: Outputs(None, self.map(x)))
dictionary = of(lambda self, x: {"aux": x.sum(), "y": self.map(x)})


# ---------------------------------------------------------------- what it does with tokens


@of
def multiples_of_16(self, x):
    if x.shape[1] % 16:
        raise ValueError("takes multiples of 16")
    return self.map(x)


@of
def only_64(self, x):
    return self.map(x + torch.ones(64, 1))


class FirstLength(Plain):
    mask = None

    def forward(self, x):
        if self.mask is None:
            self.mask = torch.ones(x.shape[1], x.shape[1]).tril()
        return self.map(self.mask @ x)


def first_length(spec):
    return FirstLength(spec.width)


class ChunkedSum(Plain):
    def prefill(self, x):
        if x.shape[1] % 16:
            raise ValueError("takes multiples of 16")
        return self.map(x.cumsum(1)), x.sum(1)

    def decode(self, x_t, state):
        state = state + x_t
        return self.map(state), state


def chunked_sum(spec):
    return ChunkedSum(spec.width)


# ---------------------------------------------------------------- what stays from call to call


class Rotary(Plain):
    table = None

    def forward(self, x):
        if self.table is None or len(self.table) < x.shape[1]:
            self.table = torch.arange(x.shape[1], dtype=x.dtype)[:, None].cos()
        return self.map(x) * self.table[: x.shape[1]]


def rotary(spec):
    return Rotary(spec.width)


def lazy(spec):
    return nn.Sequential(nn.LazyLinear(spec.width), nn.ReLU(), nn.LazyLinear(spec.width))


class Complex(Plain):
    def __init__(self, width):
        super().__init__(width)
        self.register_buffer("turns", torch.polar(torch.ones(width), torch.arange(width) * 1.0))

    def forward(self, x):
        assert self.turns.is_complex()
        return (self.map(x) * self.turns).real.to(x.dtype)


def complex_buffer(spec):
    return Complex(spec.width)


class CacheInside(Plain):
    def prefill(self, x):
        self.sum = x.sum(1)
        return self.map(x.cumsum(1)), None

    def decode(self, x_t, state):
        self.sum = self.sum + x_t
        return self.map(self.sum), None


def cache_inside(spec):
    return CacheInside(spec.width)


class FixedCacheInside(Plain):
    def __init__(self, width):
        super().__init__(width)
        self.register_buffer("cache", torch.zeros(2, 256, width))

    def prefill(self, x):
        self.cache[: x.shape[0], : x.shape[1]] = x
        return self.map(x.cumsum(1)), x.shape[1]

    def decode(self, x_t, position):
        self.cache[: x_t.shape[0], position] = x_t
        return self.map(self.cache[: x_t.shape[0], : position + 1].sum(1)), position + 1


def fixed_cache_inside(spec):
    return FixedCacheInside(spec.width)


class SharedCopies(ChunkedSum):
    def prefill(self, x):
        return self.map(x.cumsum(1)), x.sum(1)

    def decode(self, x_t, state):
        state += x_t
        return self.map(state), state

    def copy_state(self, state):
        return state


def shared_copies(spec):
    return SharedCopies(spec.width)


class Closure(Plain):
    def prefill(self, x):
        total = x.sum(1)
        return self.map(x.cumsum(1)), lambda: total

    def decode(self, x_t, state):
        total = state() + x_t
        return self.map(total), lambda: total


def state_in_a_closure(spec):
    return Closure(spec.width)


class StateWithModel(Plain):
    class State:
        __slots__ = ("model", "total")

        def __init__(self, model, total):
            self.model, self.total = model, total

    def prefill(self, x):
        return self.map(x.cumsum(1)), self.State(self, x.sum(1))

    def decode(self, x_t, state):
        state = self.State(self, state.total + x_t)
        return self.map(state.total), state


def state_with_model(spec):
    return StateWithModel(spec.width)


class WithLock(Plain):
    def prefill(self, x):
        return self.map(x.cumsum(1)), (x.sum(1), threading.Lock())

    def decode(self, x_t, state):
        total = state[0] + x_t
        return self.map(total), (total, state[1])


def state_with_lock(spec):
    return WithLock(spec.width)


class Counting(Plain):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return self.map(x) + self.calls


def counting(spec):
    return Counting(spec.width)


class Memo(Plain):
    def forward(self, x):
        known = self.__dict__.setdefault("known", {})
        key = x.data_ptr(), tuple(x.shape)
        if key not in known:
            known[key] = self.map(x)
        return known[key]


def memo(spec):
    return Memo(spec.width)


random_numbers = of(lambda self, x: F.dropout(self.map(x)))
writes_into_its_input = of(lambda self, x: self.map(x.mul_(2)))


@of
def learns_inside(self, x):
    with torch.enable_grad():
        weight = self.map.weight.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad((x @ weight).square().mean(), weight)
    return x @ (weight.detach() - gradient)


# ---------------------------------------------------------------- what it does to its process


def sets_threads(spec):
    torch.set_num_threads(2)
    return Plain(spec.width)


@of
def sets_threads_in_forward(self, x):
    torch.set_num_threads(2)
    return self.map(x)


def sets_default_type(spec):
    torch.set_default_dtype(torch.float64)
    return Plain(spec.width).float()


def starts_a_helper(spec):
    if os.fork() == 0:
        time.sleep(100)
        os._exit(0)
    return Plain(spec.width)


def starts_a_daemon(spec):
    subprocess.Popen(["sleep", "100"], start_new_session=True)
    return Plain(spec.width)


def closes_its_streams(spec):
    sys.stdout.close()
    sys.stderr.close()
    return Plain(spec.width)


@of
def complains(self, x):
    warnings.warn("slow path \x1b[31mtaken", stacklevel=1)
    sys.stderr.write("half \udc80 a character\n")
    return self.map(x)


def exits(spec):
    print("no licence", file=sys.stderr)
    sys.exit(3)


def exits_at_once(spec):
    os._exit(3)


class SpeechlessError(Exception):
    def __str__(self):
        raise RuntimeError


def raises_speechless(spec):
    raise SpeechlessError


def raises_half_a_character(spec):
    raise ValueError("named \udcff \x1b[31m")


@of
def raises_late(self, x):
    if x.shape[1] > 40:
        return F.linear(x, self.map.weight[:, :3])
    return self.map(x)


# ---------------------------------------------------------------- threads that do the work


class Asking(Plain):
    """Has another thread compute; `at_once`: one that lives as long as the model."""

    def __init__(self, width, at_once):
        super().__init__(width)
        self.asked, self.told = queue.SimpleQueue(), queue.SimpleQueue()
        self.at_once = at_once
        if at_once:
            self.start()

    def start(self):
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self):
        while True:
            self.told.put(self.map(self.asked.get()).detach())
            if not self.at_once:
                return

    def forward(self, x):
        if not self.at_once:
            self.start()
        self.asked.put(x)
        return self.told.get()


def thread_from_the_start(spec):
    return Asking(spec.width, at_once=True)


def thread_per_call(spec):
    return Asking(spec.width, at_once=False)


def thread_that_fails(spec):
    model = Asking(spec.width, at_once=False)
    model.map = None
    return model


# ---------------------------------------------------------------- compiled, checkpointed


def compiled_itself(spec):
    return torch.compile(Plain(spec.width))


def checkpointed(spec):
    return of_checkpoint(use_reentrant=False)(spec)


def checkpointed_reentrant(spec):
    return of_checkpoint(use_reentrant=True)(spec)


def of_checkpoint(**how):
    def factory(spec):
        class Made(Plain):
            def __init__(self, width):
                super().__init__(width)
                self.first = nn.Linear(width, width)

            def forward(self, x):
                return checkpoint(self.map, torch.tanh(self.first(x)), **how)

        return Made(spec.width)

    return factory


# ---------------------------------------------------------------- the process around it


def moves_away(spec):
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    warnings.warn("far from home", stacklevel=1)
    return Plain(spec.width)
