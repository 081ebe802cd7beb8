"""Models that are run over whole sequences: layers of every kind, and what surrounds them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass, fields

import torch
from strangers_log import note
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint


@dataclass
class ModelOutput(OrderedDict):
    """As transformers makes it: a dict and a dataclass at once."""

    last_hidden_state: Tensor | None = None
    past_key_values: tuple | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                self[field.name] = value


class HuggingLike(nn.Module):
    """forward(inputs_embeds, attention_mask=None) returns a ModelOutput.

    Right: ok, or an error that names ModelOutput and what is expected.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, inputs_embeds=None, attention_mask=None) -> ModelOutput:
        return ModelOutput(last_hidden_state=self.inner(inputs_embeds).relu())


def hugging_like(spec, dtype, device):
    return HuggingLike(spec.width)


def bare_lstm(spec, dtype, device):
    """torch's own LSTM, which returns (y, (h, c)). Right: ok, or an error that names the tuple."""
    return nn.LSTM(spec.width, spec.width, batch_first=True)


class WeightNormed(nn.Module):
    """A causal convolution with weight norm, and a hook that watches gradients.

    Right: ok; parameters are width x width x 4, width norms and width biases.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = parametrizations.weight_norm(nn.Conv1d(width, width, 4))
        self.register_full_backward_hook(lambda *_: None)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x.transpose(1, 2), (3, 0))).transpose(1, 2)


def weight_normed(spec, dtype, device):
    return WeightNormed(spec.width)


def compiled(spec, dtype, device):
    """Handed over as torch.compile makes it. Right: ok; parameters as without."""
    inner = nn.Sequential(nn.Linear(spec.width, 64), nn.GELU(), nn.Linear(64, spec.width))
    return torch.compile(inner, backend="aot_eager")


def int8_linear(spec, dtype, device):
    """Quantised dynamically: no parameters that could be counted. Right: prefill is ok."""
    inner = nn.Sequential(nn.Linear(spec.width, 64), nn.ReLU(), nn.Linear(64, spec.width))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(inner, {nn.Linear}, dtype=torch.qint8)


class Experts(nn.Module):
    """Routing to the best 2 of 8 experts; most of the time some get no token and no gradient.

    Right: ok in training.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 8)
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(8))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        weight, chosen = self.gate(flat).softmax(-1).topk(2)
        y = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            rows, place = (chosen == number).nonzero(as_tuple=True)
            if len(rows):
                y = y.index_add(0, rows, expert(flat[rows]) * weight[rows, place, None])
        return y.view_as(x)


def experts(spec, dtype, device):
    return Experts(spec.width)


class Thrifty(nn.Module):
    """Checkpoints its inner part, reentrantly, with dropout in it.

    Right: ok; every step of training runs the inner part twice, and dropout is on in training.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(width, width)
        self.part = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.5), nn.Linear(width, width))

    def run(self, x: Tensor) -> Tensor:
        note("inner", x.shape[1], int(torch.is_grad_enabled()), int(self.training))
        return self.part(x)

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.run, self.into(x), use_reentrant=True)


def thrifty(spec, dtype, device):
    return Thrifty(spec.width)


class Doubles(torch.autograd.Function):
    """A running sum in float64, with a backward of its own."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.double().cumsum(1).to(x.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad.double().flip(1).cumsum(1).flip(1).to(grad.dtype)


class OwnBackward(nn.Module):
    """A custom autograd function, double inside, that saves nothing. Right: ok."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return Doubles.apply(self.inner(x)) * 0.01


def own_backward(spec, dtype, device):
    return OwnBackward(spec.width)


class PowersOnly(nn.Module):
    """A Walsh-Hadamard mixer: takes powers of two, and 8 tokens at least.

    Right: ok at 64 and 128; at 96 an error with its own words.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        if tokens < 8 or tokens & (tokens - 1):
            raise ValueError(f"needs a power of two from 8 on, got {tokens} tokens")
        y, step = self.inner(x), 1
        while step < tokens:
            a, b = y.view(x.shape[0], -1, 2, step, x.shape[2]).unbind(2)
            y, step = torch.stack([a + b, a - b], 2).view_as(x), 2 * step
        return y / tokens


def powers_only(spec, dtype, device):
    return PowersOnly(spec.width)


class FixedTable(nn.Module):
    """Learned positions up to 64. Right: ok at 32 and 64, an error at 128 that says why."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(64, width)
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + self.table(torch.arange(x.shape[1])))


def fixed_table(spec, dtype, device):
    return FixedTable(spec.width)


def lazy_norm(spec, dtype, device):
    """Lazy layers and BatchNorm over channels, whose statistics trial calls would change.

    Right: ok; parameters are width x 48 + 48, 2 x 48, 48 x width + width.
    """

    class Swap(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.transpose(1, 2)

    return nn.Sequential(
        nn.LazyLinear(48), Swap(), nn.LazyBatchNorm1d(), Swap(), nn.LazyLinear(spec.width)
    )


class SlowStart(nn.Module):
    """Sleeps 2 s when built and 1 s in its first call, then 20 ms in each. Right: ok, 20 ms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.warm = False
        time.sleep(2)

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02 if self.warm else 1)
        self.warm = True
        return self.inner(x)


def slow_start(spec, dtype, device):
    return SlowStart(spec.width)


class Ageing(nn.Module):
    """Keeps all its outputs in a list and grows slower by 1 ms with every call.

    Right: ok with a warning that it was not steady, or that it keeps on growing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.001 * len(self.kept))
        self.kept.append(self.inner(x))
        return self.kept[-1]


def ageing(spec, dtype, device):
    return Ageing(spec.width)


class InPlace(nn.Module):
    """Doubles its input in place before it works with it.

    Right: ok, and every call gets input of its own: doubled again and again it would overflow.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        note("std", float(x.detach().std()))
        return self.inner(x.mul_(2))


def in_place(spec, dtype, device):
    return InPlace(spec.width)


@functools.lru_cache(maxsize=1)
def table(tokens: int, width: int) -> Tensor:
    """A cache outside every module: what a trial call leaves here is met again in training."""
    angle = torch.arange(tokens)[:, None] * torch.arange(1, width + 1) * 0.01
    return angle.cos()


class OutsideCache(nn.Module):
    """A table that a function remembers, multiplied with what has gradients. Right: ok."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * table(x.shape[1], x.shape[2])


def outside_cache(spec, dtype, device):
    return OutsideCache(spec.width)


class Adapter(nn.Module):
    """A frozen layer with an adapter of rank 2, one tied and one unused parameter.

    Right: ok; what is trained are 4 x width and the unused 7 numbers.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.base = nn.Linear(width, width).requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, width) / width)
        self.up = nn.Parameter(torch.zeros(width, 2))
        self.alias = self.down
        self.unused = nn.Parameter(torch.zeros(7))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.down), self.up)


def adapter(spec, dtype, device):
    return Adapter(spec.width)


def frozen(spec, dtype, device):
    """Nothing in it can be trained. Right: error in training, that says so in plain words."""
    return nn.Linear(spec.width, spec.width).requires_grad_(False)


class Chatty(nn.Module):
    """Prints 64 KiB a call, on Python's stdout and on the descriptor; warns anew each time.

    Right: ok; the command's stdout and stderr stay readable.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        print("NOISE " * 5000)
        os.write(1, b"NOISE " * 5000)
        warnings.warn(f"warning number {self.calls}", stacklevel=1)
        print("NOISE " * 500, file=sys.stderr)
        return self.inner(x)


def chatty(spec, dtype, device):
    return Chatty(spec.width)


class Nomad(nn.Module):
    """Changes folder when built, reads a file of its own relative to it at the first call.

    Right: ok, and results are where the command was told to put them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        import tempfile

        self.inner = nn.Linear(width, width)
        os.chdir(tempfile.mkdtemp())
        torch.save(torch.ones(width), "scale.pt")
        self.scale = None
        sys.path.clear()

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            self.scale = torch.load("scale.pt")
        return self.inner(x) * self.scale


def nomad(spec, dtype, device):
    return Nomad(spec.width)


class Threads(nn.Module):
    """Starts a thread that isn't a daemon and never ends, and a child that outlives the case.

    Right: ok, and the command ends in time.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        threading.Thread(target=lambda: time.sleep(3600)).start()
        self.helper = subprocess.Popen(["sleep", "300"], close_fds=False)
        note("pid", self.helper.pid)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def threads(spec, dtype, device):
    return Threads(spec.width)
