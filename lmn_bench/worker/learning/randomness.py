"""All random numbers of a process that a model may draw from: torch's, Python's and numpy's."""

from __future__ import annotations

import random
import sys
from typing import Any

import torch

# What a model draws while it learns shall not be what its weights were drawn from.
_APART = 2**31
_SEEDS = 2**32


def seed_random(seed: int) -> None:
    """Let all that is drawn from here on be a function of the seed; torch begins anywhere else."""
    drawn_from = (seed + _APART) % _SEEDS
    torch.manual_seed(drawn_from)
    random.seed(drawn_from)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(drawn_from)


def random_states() -> dict[str, Any]:
    """Where every generator stands, as tensors and plain data."""
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    # Not imported for this: what nobody has loaded, nobody draws from.
    if (numpy := sys.modules.get("numpy")) is not None:
        name, keys, *rest = numpy.random.get_state()
        states["numpy"] = (name, keys.tolist(), *rest)
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put back what `random_states` gave; a generator that is not among them stays as it is."""
    if "torch" in states:
        torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    if "python" in states:
        random.setstate(states["python"])
    if "numpy" in states:
        import numpy

        numpy.random.set_state(states["numpy"])
