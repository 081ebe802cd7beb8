"""What is handed over by mistake, ends its process, or changes it for everyone else."""

from __future__ import annotations

import ctypes
import os
import time

import torch
from strangers_log import note
from torch import Tensor, nn


class UnspeakableError(Exception):
    """An exception that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Raises(nn.Module):
    """Raises what it was made with, in its first call."""

    def __init__(self, width: int, error: BaseException) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        raise self.error


def unspeakable(spec, dtype, device):
    """Its exception's __str__ raises too. Right: error that names UnspeakableError."""
    return Raises(spec.width, UnspeakableError())


def interrupt(spec, dtype, device):
    """Raises KeyboardInterrupt itself. Right: error of this case; the other model still runs."""
    return Raises(spec.width, KeyboardInterrupt("from the model"))


class Quits(nn.Module):
    """Ends its process with os._exit(0) in call number 30. Right: error or killed, not ok."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 30:
            os._exit(0)
        return self.inner(x)


def quits(spec, dtype, device):
    return Quits(spec.width)


class Crash(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        ctypes.string_at(0)
        return grad


class Segfault(nn.Module):
    """A bad extension: backward reads address 0. Right: error or killed, that names SIGSEGV."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return Crash.apply(self.inner(x))


def segfault(spec, dtype, device):
    return Segfault(spec.width)


class Hangs(nn.Module):
    """Never returns from 128 tokens on. Right: ok at 64, timeout at 128."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        while x.shape[1] == 128:
            time.sleep(0.1)
        return self.inner(x)


def hangs(spec, dtype, device):
    return Hangs(spec.width)


class Greedy(nn.Module):
    """Asks for a tokens^4 matrix: 100 TB at 2,000 tokens... Right: ok at 16, no memory at 2048."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        work = torch.empty(x.shape[1] ** 4, dtype=torch.float64)
        return self.inner(x) + work.numel() * 0


def greedy(spec, dtype, device):
    return Greedy(spec.width)


class ByWidth(nn.Module):
    """A class of the usual kind in place of a factory: __init__(d_model=32, n_layers=2).

    Right: ok, built with its defaults.
    """

    def __init__(self, d_model: int = 32, n_layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(d_model, d_model) for _ in range(n_layers)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


instance = ByWidth()
"""A model in place of a factory. Right: ok, with its parameters."""


async def awaited(spec, dtype, device):
    """An async factory. Right: error that says that no model but a coroutine came back."""
    return nn.Linear(spec.width, spec.width)


def forgot_return(spec, dtype, device):
    """Forgot to return what it made. Right: error that speaks of None."""
    nn.Linear(spec.width, spec.width)


def plain_function(spec, dtype, device):
    """No module but a function of a tensor. Right: ok, or error that says what is missing."""
    weight = torch.randn(spec.width, spec.width)
    return lambda x: x @ weight


class Tokens(nn.Module):
    """A language model over token numbers, as most are. Right: error that says what x is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, width)
        self.head = nn.Linear(width, 100)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.head(self.embedding(input_ids))


def tokens(spec, dtype, device):
    return Tokens(spec.width)


def deaf_to_dtype(spec, dtype, device):
    """Ignores dtype: float32 though bfloat16 was asked for. Right: ok, converted."""
    return nn.Linear(spec.width, spec.width)


class Drifter(nn.Module):
    """Sets torch's globals: default dtype, grad mode, threads, determinism.

    Right: ok, or an error of its own; the model beside it is measured as ever.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(2)

    def forward(self, x: Tensor) -> Tensor:
        note("default", torch.get_default_dtype())
        return self.inner(x) * torch.ones(1, dtype=x.dtype)


def drifter(spec, dtype, device):
    return Drifter(spec.width)


class Needs(nn.Module):
    """forward(x, mask) with a mask that it cannot do without. Right: error that names mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.inner(x) * mask


def needs_mask(spec, dtype, device):
    return Needs(spec.width)


class Bidirectional(nn.Module):
    """An encoder that sees the future, decoding only the past. Right: incorrect in decode."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 0, self.attention.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]

    def prefill(self, x: Tensor):
        return self(x), x

    def decode(self, x: Tensor, state: Tensor):
        seen = torch.cat([state, x[:, None]], 1)
        return self.attention(x[:, None], seen, seen, need_weights=False)[0][:, 0], seen


def bidirectional(spec, dtype, device):
    return Bidirectional(spec.width)
