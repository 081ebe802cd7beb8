"""How the next token is drawn from logits: greedy, temperature, top-k, top-p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

# what torch takes as a seed, less the negative numbers that it maps onto these
LARGEST_SEED: Final = 2**64 - 1
# a double holds them all, and tools that read JSON keep nothing larger
_DRAWN_SEEDS: Final = 2**53
# below this, float32 has too few digits, and its reciprocal may be infinite
_LEAST_TEMPERATURE: Final = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which of the tokens may be drawn, and how much chance decides among them.

    Attributes:
        temperature: logits are divided by it; 0 means the most likely token, without chance.
        top_k: draw among the so many most likely tokens; `None` for all.
        top_p: draw among the fewest tokens whose probabilities, after temperature and top-k, sum up
            to at least this (Holtzman et al. 2020); `None` for all.

    Raises:
        ValueError: a number is out of range, or `top_k` or `top_p` would decide nothing because the
            temperature is 0.
        TypeError: `top_k` is no integer.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(
                f"temperature must be a number of at least 0, got {self.temperature}; 1 draws from "
                "the model's own distribution, 0 takes the most likely token"
            )
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int | None):
            raise TypeError(
                f"top_k must be an integer, got {self.top_k!r} of type "
                f"{type(self.top_k).__name__}; write it as a plain whole number"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}; None means all tokens")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(
                f"top_p must lie above 0 and be at most 1, got {self.top_p}; None means all tokens"
            )
        if self.temperature == 0 and (self.top_k, self.top_p) != (None, None):
            raise ValueError(
                "with temperature 0 the most likely token is taken and top_k and top_p decide "
                f"nothing, got top_k={self.top_k}, top_p={self.top_p}; leave them out, or raise "
                "the temperature"
            )


def seeded_generator(device: torch.device, seed: int | None) -> torch.Generator:
    """Random numbers from `seed`, or from one that the system gives; `initial_seed()` tells it.

    Raises:
        ValueError: the seed is not from 0 to 2^64 - 1.
        TypeError: it is no integer.
    """
    generator = torch.Generator(device)
    if seed is None:
        return generator.manual_seed(generator.seed() % _DRAWN_SEEDS)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(
            f"seed must be an integer or None, got {seed!r} of type {type(seed).__name__}; None "
            "takes one from the system"
        )
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(
            f"seed must be from 0 to {LARGEST_SEED}, got {seed}; None takes one from the system"
        )
    return generator.manual_seed(seed)


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Draw one token for each row.

    Args:
        logits: (batch, vocabulary).
        sampling: the rule.
        generator: of random numbers, on the device of the logits; unused at temperature 0.

    Returns:
        (batch,) int64.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    logits = logits.float()
    # the likeliest becomes 0, which no temperature makes infinite
    logits = logits - logits.amax(-1, keepdim=True)
    logits = logits / max(sampling.temperature, _LEAST_TEMPERATURE)
    if sampling.top_k is None and sampling.top_p is None:
        return torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
    kept = min(sampling.top_k or logits.shape[1], logits.shape[1])
    likeliest, tokens = logits.topk(kept)  # the likeliest first
    shares = likeliest.softmax(-1)
    if sampling.top_p is not None:
        # a token stays if those before it do not reach top_p yet, so the first one always does
        before = shares.cumsum(-1) - shares
        shares = shares.masked_fill(before >= sampling.top_p, 0.0)
    places = torch.multinomial(shares, 1, generator=generator)
    return tokens.gather(1, places).squeeze(1)
