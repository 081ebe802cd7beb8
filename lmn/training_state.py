"""What training keeps beside the weights, as tensors and plain data: optimizer, random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from lmn.atomic import PathLike
from lmn.checkpoint_file import CheckpointError

TRAINING: Final = "training."
OPTIMIZER: Final = TRAINING + "optimizer."
RANDOM: Final = TRAINING + "random."
TORCH: Final = "torch"
CUDA: Final = "cuda."

Generators = Mapping[str, torch.Generator]


def optimizer_entries(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's tensors by entry, and its settings and other numbers as plain data."""
    saved = optimizer.state_dict()
    entries: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for number, kept in saved["state"].items():
        for name, value in kept.items():
            if isinstance(value, Tensor):
                entries[f"{OPTIMIZER}{number}.{name}"] = value
            else:
                plain.setdefault(str(number), {})[name] = value
    kind = type(optimizer).__name__
    return entries, {"kind": kind, "groups": saved["param_groups"], "plain": plain}


def load_optimizer(
    path: PathLike,
    optimizer: torch.optim.Optimizer,
    saved: Mapping[str, Any],
    entries: Mapping[str, Tensor],
) -> None:
    """Put back what `optimizer_entries` gave.

    Args:
        path: of the file, for errors.
        optimizer: changed.
        saved: the plain data.
        entries: the tensors, among others.

    Raises:
        CheckpointError: the optimizer is of another kind, or has other parameters.
    """
    kind = type(optimizer).__name__
    if kind != saved["kind"]:
        raise CheckpointError(
            f"{path} was written with the optimizer {saved['kind']}, and this one is {kind}; "
            "make it as it was made then"
        )
    state = {int(number): dict(kept) for number, kept in saved["plain"].items()}
    for name, entry in entries.items():
        if name.startswith(OPTIMIZER):
            number, _, kept = name.removeprefix(OPTIMIZER).partition(".")
            state.setdefault(int(number), {})[kept] = entry
    # JSON has no tuples, and betas are one
    groups = [
        {
            name: tuple(value) if isinstance(value, list) and name != "params" else value
            for name, value in group.items()
        }
        for group in saved["groups"]
    ]
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise CheckpointError(
            f"the optimizer in {path} does not fit this one: {error}; make it as it was made then"
        ) from error


def random_entries(device: torch.device, generators: Generators) -> dict[str, Tensor]:
    """Torch's global random numbers, those of all GPUs if `device` is one, and the caller's.

    Raises:
        ValueError: a generator has a name that stands for torch's own.
    """
    taken = [name for name in generators if name == TORCH or name.startswith(CUDA)]
    if taken:
        raise ValueError(
            f"generators cannot be called {taken}: these names stand for torch's own random "
            "numbers, which are saved in any case"
        )
    states = {TORCH: torch.get_rng_state()}
    if device.type == "cuda":
        for number, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"{CUDA}{number}"] = state
    states |= {name: generator.get_state() for name, generator in generators.items()}
    return {RANDOM + name: state for name, state in states.items()}


def load_random(entries: Mapping[str, Tensor], generators: Generators) -> None:
    """Put back what `random_entries` gave; other entries are left alone."""
    for entry, state in entries.items():
        name = entry.removeprefix(RANDOM)
        if name == entry:
            continue
        if name == TORCH:
            torch.set_rng_state(state)
        elif name.startswith(CUDA):
            torch.cuda.set_rng_state(state, int(name.removeprefix(CUDA)))
        else:
            generators[name].set_state(state)


def check_random(
    path: PathLike, entries: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Raise a CheckpointError unless the file's random numbers are those that training has."""
    stored, here = (
        sorted(name.removeprefix(RANDOM) for name in names if name.startswith(RANDOM))
        for names in (entries, wanted)
    )
    if stored != here:
        raise CheckpointError(
            f"{path} holds the random numbers {stored}, and this training has {here}; resume with "
            "the same generators and devices"
        )
