"""What a training asks of the machine, refused before anything is built."""

from __future__ import annotations

import os

import psutil
import torch

from lmn.config import LMNLanguageModelConfig
from lmn.language_model_cost import parameter_count
from lmn_bench.errors import UsageError
from lmn_bench.units import format_bytes

# Per weight in float32: itself, its gradient, and AdamW's two moments.
_BYTES_PER_PARAMETER = 16


def take_threads(wanted: int) -> None:
    """Let torch compute in so many threads; 0 takes all cores.

    Raises:
        UsageError: there are fewer cores: a great number of threads is more than torch survives.
    """
    cores = len(os.sched_getaffinity(0))
    if wanted > cores:
        raise UsageError(
            f"{wanted:,} threads asked for, {cores} core{'s' * (cores != 1)} here",
            f"give --threads {cores} at most",
        )
    torch.set_num_threads(wanted or cores)


def require_room(config: LMNLanguageModelConfig) -> None:
    """Refuse a model whose weights alone do not fit.

    Raises:
        UsageError: weights, gradients and the optimizer's moments are larger than the memory.
    """
    parameters = parameter_count(config)
    needed, there = parameters * _BYTES_PER_PARAMETER, psutil.virtual_memory().total
    if needed > there:
        raise UsageError(
            f"a model of {parameters:,} parameters takes {format_bytes(needed)} to learn (weights, "
            f"gradients, AdamW's moments), and this machine has {format_bytes(there)}",
            "take a smaller width, fewer layers or fewer banks",
        )
