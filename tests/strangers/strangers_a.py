"""Models with a state, well-behaved and otherwise: windows, scans, caches, handles, halting."""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from strangers_log import note
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Ring:
    """The last WINDOW keys and values, written over in place, and how many tokens there were."""

    keys: Tensor
    values: Tensor
    seen: int = 0


class LocalAttention(nn.Module):
    """Causal attention over a window of 16 tokens; its state is a dataclass, changed in place.

    Right: ok; the state is 2 x 16 x width floats (and a count) at any context; no decode at
    contexts far beyond those asked for.
    """

    window = 16

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.width = width

    def initial_state(self, batch: int) -> Ring:
        return Ring(*(torch.zeros(batch, self.window, self.width) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    def prefill(self, x: Tensor) -> tuple[Tensor, Ring]:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, -1)
        at = torch.arange(tokens)
        distance = at[:, None] - at
        y = F.scaled_dot_product_attention(
            q[:, None], k[:, None], v[:, None],
            attn_mask=(distance >= 0) & (distance < self.window),
        )[:, 0]  # fmt: skip
        state = self.initial_state(batch)
        kept = at[-self.window :]
        state.keys[:, kept % self.window] = k[:, kept].detach()
        state.values[:, kept % self.window] = v[:, kept].detach()
        state.seen = tokens
        return self.out(y), state

    def decode(self, x: Tensor, state: Ring) -> tuple[Tensor, Ring]:
        note("decode", state.seen + 1)
        q, k, v = self.qkv(x).chunk(3, -1)
        state.keys[:, state.seen % self.window] = k
        state.values[:, state.seen % self.window] = v
        state.seen += 1
        n = min(state.seen, self.window)
        scores = (state.keys[:, :n] @ q[..., None])[..., 0] / self.width**0.5
        return self.out((scores.softmax(-1)[:, None] @ state.values[:, :n])[:, 0]), state


def local_attention(spec, dtype, device):
    return LocalAttention(spec.width).to(device=device, dtype=dtype)


class ComplexScan(nn.Module):
    """A diagonal SSM with complex64 states in a dict, 8 per channel.

    Right: ok; the state is width x 8 complex numbers, 64 bytes per channel.
    """

    def __init__(self, width: int, n: int = 8) -> None:
        super().__init__()
        self.log_decay = nn.Parameter(torch.rand(width, n))
        self.angle = nn.Parameter(torch.rand(width, n))
        self.weight = nn.Parameter(torch.randn(width, n, dtype=torch.complex64) / n)
        self.shape = (width, n)

    def initial_state(self, batch: int) -> dict[str, Tensor]:
        return {"h": torch.zeros(batch, *self.shape, dtype=torch.complex64)}

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    def prefill(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        state, ys = self.initial_state(x.shape[0]), []
        for x_t in x.unbind(1):
            y, state = self.decode(x_t, state)
            ys.append(y)
        return torch.stack(ys, 1), state

    def decode(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        a = torch.polar((-self.log_decay.exp()).exp(), self.angle)
        h = a * state["h"] + x[..., None]
        return (self.weight * h).sum(-1).real, {"h": h}


def complex_scan(spec, dtype, device):
    return ComplexScan(spec.width)


class Packed(NamedTuple):
    """Keys in int8 with a bfloat16 scale each, a mask, and a plain count."""

    codes: Tensor
    scales: Tensor
    mask: Tensor
    step: int


class QuantisedCache(nn.Module):
    """Attention to all tokens so far, kept in int8; the state is a NamedTuple of four types.

    Right: ok; at context n the state is n x (width + 2 + 1) bytes, an int aside.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.width = width

    def initial_state(self, batch: int) -> Packed:
        return Packed(
            torch.zeros(batch, 0, self.width, dtype=torch.int8),
            torch.zeros(batch, 0, dtype=torch.bfloat16),
            torch.zeros(batch, 0, dtype=torch.bool), 0,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    def prefill(self, x: Tensor) -> tuple[Tensor, Packed]:
        state, ys = self.initial_state(x.shape[0]), []
        for x_t in x.unbind(1):
            y, state = self.decode(x_t, state)
            ys.append(y)
        return torch.stack(ys, 1), state

    def decode(self, x: Tensor, state: Packed) -> tuple[Tensor, Packed]:
        scale = (x.abs().amax(-1) / 127).bfloat16()
        code = (x / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        codes = torch.cat([state.codes, code[:, None]], 1)
        scales = torch.cat([state.scales, scale[:, None]], 1)
        mask = torch.cat([state.mask, torch.ones_like(scale, dtype=torch.bool)[:, None]], 1)
        kept = codes.float() * scales.float()[..., None] * mask[..., None]
        weights = (kept @ x[..., None]).softmax(1)
        return self.inner((weights * kept).sum(1)), Packed(codes, scales, mask, state.step + 1)


def quantised_cache(spec, dtype, device):
    return QuantisedCache(spec.width)


class Scripted(nn.Module):
    """A leaky integrator; handed over as torch.jit.script makes it. Right: ok, width floats."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.width = width

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    @torch.jit.export
    def prefill(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.zeros(x.shape[0], self.width)
        ys: list[Tensor] = []
        for t in range(x.shape[1]):
            y, state = self.decode(x[:, t], state)
            ys.append(y)
        return torch.stack(ys, 1), state

    @torch.jit.export
    def decode(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = 0.9 * state + x
        return self.inner(state), state


def scripted(spec, dtype, device):
    return torch.jit.script(Scripted(spec.width))


class Sum(nn.Module):
    """A running mean and a linear layer: what some strangers below share, and nothing more."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.width = width

    def initial_state(self, batch: int):
        return torch.zeros(batch, self.width), 0

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    def prefill(self, x: Tensor):
        count = torch.arange(1, x.shape[1] + 1)[:, None]
        return self.inner(x.cumsum(1) / count), (x.sum(1), x.shape[1])

    def decode(self, x: Tensor, state):
        total, seen = state
        total = total + x
        return self.inner(total / (seen + 1)), (total, seen + 1)


class Sleepy(Sum):
    """Each token sleeps 1 ms; its state is nested lists, dicts and None.

    Right: ok; a stream of n tokens takes a little over n ms.
    """

    def initial_state(self, batch: int):
        return {"layers": [{"total": torch.zeros(batch, self.width)}, None], "n": [0]}

    def prefill(self, x: Tensor):
        y, (total, seen) = super().prefill(x)
        return y, {"layers": [{"total": total}, None], "n": [seen]}

    def decode(self, x: Tensor, state):
        time.sleep(0.001)
        y, (total, seen) = super().decode(x, (state["layers"][0]["total"], state["n"][0]))
        return y, {"layers": [{"total": total}, None], "n": [seen]}


def sleepy(spec, dtype, device):
    return Sleepy(spec.width)


class Halting(Sum):
    """Ponders each token up to 8 times, by its own numbers. Right: ok."""

    def prefill(self, x: Tensor):
        state, ys = self.initial_state(x.shape[0]), []
        for x_t in x.unbind(1):
            y, state = self.decode(x_t, state)
            ys.append(y)
        return torch.stack(ys, 1), state

    def decode(self, x: Tensor, state):
        y, state = super().decode(x, state)
        alive = torch.ones(x.shape[0], 1, dtype=torch.bool)
        for _ in range(8):
            alive = alive & (y[:, :1] < 0.1)
            if not alive.any():
                break
            y = torch.where(alive, (y + self.inner(y)).tanh(), y)
        return y, state


def halting(spec, dtype, device):
    return Halting(spec.width)


class Handles(Sum):
    """The caches lie in a table of the class; the state is a number that names one.

    Decoding twice from the same state goes on where the first left off. Right: refused as
    incorrect, or its state said to be held outside; never a state of 0 bytes without a word.
    """

    table: dict[int, list[Tensor]] = {}  # noqa: RUF012

    def initial_state(self, batch: int) -> int:
        self.table[len(self.table)] = []
        return len(self.table) - 1

    def prefill(self, x: Tensor):
        handle = self.initial_state(x.shape[0])
        self.table[handle] += [*x.detach().unbind(1)]
        return super().prefill(x)[0], handle

    def decode(self, x: Tensor, state: int):
        self.table[state].append(x.detach())
        return self.inner(torch.stack(self.table[state], 1).mean(1)), state


def handles(spec, dtype, device):
    return Handles(spec.width)


class Coroutine(Sum):
    """Its state is a running Python generator, as in asyncio-minded servers.

    Such a state can be neither copied nor weighed. Right: incorrect or error that says so, or a
    warning; never a state of 0 bytes without a word.
    """

    def initial_state(self, batch: int):
        def steps():
            total, seen, y = torch.zeros(batch, self.width), 0, None
            while True:
                x = yield y
                total, seen = total + x, seen + 1
                y = self.inner(total / seen)

        made = steps()
        next(made)
        return made

    def prefill(self, x: Tensor):
        state = self.initial_state(x.shape[0])
        return torch.stack([state.send(x_t) for x_t in x.unbind(1)], 1), state

    def decode(self, x: Tensor, state):
        return state.send(x), state


def coroutine(spec, dtype, device):
    return Coroutine(spec.width)


class SharedOut(Sum):
    """Writes every output into one buffer and returns a view of it; decode is wrong by a tenth.

    Whoever compares outputs without copying compares the buffer with itself. Right: incorrect.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("shared", torch.zeros(4, 8192, width), persistent=False)

    def prefill(self, x: Tensor):
        y, state = super().prefill(x)
        self.shared[: x.shape[0], : x.shape[1]] = y.detach()
        return self.shared[: x.shape[0], : x.shape[1]], state

    def decode(self, x: Tensor, state):
        y, state = super().decode(x, state)
        at = state[1] - 1
        self.shared[: x.shape[0], at] = 1.1 * y.detach()
        return self.shared[: x.shape[0], at], state


def shared_out(spec, dtype, device):
    return SharedOut(spec.width)


class FewerSteps(Sum):
    """Rotary angles: the first token is number 0 in prefill, 1 in decode. Right: incorrect."""

    def turn(self, x: Tensor, position) -> Tensor:
        a, b = x.chunk(2, -1)
        angle = torch.as_tensor(position, dtype=torch.float32) * 0.3
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)

    def prefill(self, x: Tensor):
        turned = self.turn(x, torch.arange(x.shape[1])[:, None])
        return super().prefill(turned)

    def decode(self, x: Tensor, state):
        return super().decode(self.turn(x, state[1] + 1), state)


def off_by_one(spec, dtype, device):
    return FewerSteps(spec.width)


class Dither(Sum):
    """Adds noise to every output, and forgot to ask self.training. Right: incorrect, as random."""

    def prefill(self, x: Tensor):
        y, state = super().prefill(x)
        return y + 0.1 * torch.randn_like(y), state

    def decode(self, x: Tensor, state):
        y, state = super().decode(x, state)
        return y + 0.1 * torch.randn_like(y), state


def dither(spec, dtype, device):
    return Dither(spec.width)


class Clock(Sum):
    """What it says depends on the clock. Right: incorrect."""

    def prefill(self, x: Tensor):
        y, state = super().prefill(x)
        return y * (1 + time.time_ns() // 1000 % 100 / 100), state

    def decode(self, x: Tensor, state):
        y, state = super().decode(x, state)
        return y * (1 + time.time_ns() // 1000 % 100 / 100), state


def clock(spec, dtype, device):
    return Clock(spec.width)


class Overflow(Sum):
    """A mask of minus infinity gone wrong: every output is NaN, everywhere. Right: incorrect."""

    def prefill(self, x: Tensor):
        y, state = super().prefill(x)
        return y * float("inf") * 0, state

    def decode(self, x: Tensor, state):
        y, state = super().decode(x, state)
        return y * float("inf") * 0, state


def overflow(spec, dtype, device):
    return Overflow(spec.width)


class Uncopyable(Sum):
    """The module holds a lock and refuses to be copied; its state is plain. Right: ok."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.lock = threading.Lock()

    def __deepcopy__(self, memo):
        raise copy.Error("this model is not to be copied")

    def decode(self, x: Tensor, state):
        with self.lock:
            return super().decode(x, state)


def uncopyable(spec, dtype, device):
    return Uncopyable(spec.width)


class Locked(Sum):
    """A lock in the state, which Python cannot copy. Right: refused, with the way out."""

    def initial_state(self, batch: int):
        return OrderedDict(total=torch.zeros(batch, self.width), seen=0, lock=threading.RLock())

    def prefill(self, x: Tensor):
        y, (total, seen) = super().prefill(x)
        return y, OrderedDict(total=total, seen=seen, lock=threading.RLock())

    def decode(self, x: Tensor, state):
        with state["lock"]:
            y, (total, seen) = super().decode(x, (state["total"], state["seen"]))
        return y, OrderedDict(total=total, seen=seen, lock=state["lock"])


def locked(spec, dtype, device):
    return Locked(spec.width)


class BatchTwo(Sum):
    """Subtracts the batch's mean, so that rows depend on each other. Right: ok with 4 rows."""

    def prefill(self, x: Tensor):
        return super().prefill(x - x.mean(0, keepdim=True))

    def decode(self, x: Tensor, state):
        return super().decode(x - x.mean(0, keepdim=True), state)


def batch_mean(spec, dtype, device):
    return BatchTwo(spec.width)


class ThreeAxes(Sum):
    """decode wants (batch, 1, width), as Hugging Face does. Right: an error with the shapes."""

    def decode(self, x: Tensor, state):
        if x.dim() != 3:
            raise ValueError(f"expected (batch, 1, width), got {tuple(x.shape)}")
        y, state = super().decode(x[:, 0], state)
        return y[:, None], state


def three_axes(spec, dtype, device):
    return ThreeAxes(spec.width)


class LostTail(Sum):
    """read() goes by blocks of 64 and drops what is left over. Right: incorrect."""

    def read(self, x: Tensor):
        state = self.initial_state(x.shape[0])
        y = torch.zeros(x.shape[0], self.width)
        for block in x.split(64, 1):
            if block.shape[1] == 64:
                total, seen = state[0] + block.sum(1), state[1] + 64
                state, y = (total, seen), self.inner(total / seen)
        return y, state


def lost_tail(spec, dtype, device):
    return LostTail(spec.width)


class Blockwise(Sum):
    """read() by blocks of 64, rightly, and 20 ms asleep. Right: ok, 20 ms."""

    def read(self, x: Tensor):
        time.sleep(0.02)
        total = torch.zeros(x.shape[0], self.width)
        for block in x.split(64, 1):
            total = total + block.sum(1)
        return self.inner(total / x.shape[1]), (total, x.shape[1])


def blockwise(spec, dtype, device):
    return Blockwise(spec.width)


class SecretPosition(Sum):
    """Counts positions in the module, not in the state; each prefill sets the counter anew.

    One sequence after the other it is right, two side by side are not. Right: incorrect with a
    word on the state, or measured as one sequence would be.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.position = 0

    def initial_state(self, batch: int):
        self.position = 0
        return torch.zeros(batch, self.width)

    def prefill(self, x: Tensor):
        y, (total, _) = super().prefill(x)
        self.position = x.shape[1]
        return y, total

    def decode(self, x: Tensor, state):
        self.position += 1
        note("decode", self.position)
        total = state + x
        return self.inner(total / self.position), total


def secret_position(spec, dtype, device):
    return SecretPosition(spec.width)
