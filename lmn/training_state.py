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
    saved: object,
    entries: Mapping[str, Tensor],
) -> None:
    """Put back what `optimizer_entries` gave.

    Args:
        path: of the file, for errors.
        optimizer: changed.
        saved: the plain data.
        entries: the tensors, among others.

    Raises:
        CheckpointError: the optimizer is of another kind, or has other parameters; or these data
            are not what `optimizer_entries` gave. Nothing has been changed then.
    """
    try:
        _load_optimizer(path, optimizer, saved, entries)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"the optimizer in {path} cannot be read ({type(error).__name__}: {error}); the file "
            "was changed after it was written, so take another copy"
        ) from error


def _load_optimizer(
    path: PathLike, optimizer: torch.optim.Optimizer, saved: Any, entries: Mapping[str, Tensor]
) -> None:
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
    mine = optimizer.state_dict()["param_groups"]
    _check_groups(path, groups, mine)
    _check_state(path, state, [one for group in optimizer.param_groups for one in group["params"]])
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise CheckpointError(
            f"the optimizer in {path} does not fit this one: {error}; make it as it was made then"
        ) from error


def _check_groups(path: PathLike, groups: list[dict[str, Any]], mine: list[dict[str, Any]]) -> None:
    """Raise a CheckpointError unless the settings are of the names and kinds that they have here.

    How many parameters there are is seen to by torch.
    """
    for theirs, ours in zip(groups, mine, strict=False):
        wrong = [name for name in ours if _kind(theirs.get(name)) != _kind(ours[name])]
        wrong += [name for name in theirs if name not in ours]
        if wrong:
            raise CheckpointError(
                f"the optimizer in {path} has no such settings as this one: {', '.join(wrong)}; "
                "make it as it was made then"
            )


def _kind(setting: object) -> object:
    """The type of a setting; all numbers are of one, and a tuple is of the types that it holds."""
    if isinstance(setting, tuple):
        return tuple(map(_kind, setting))
    number = isinstance(setting, int | float) and not isinstance(setting, bool)
    return float if number else type(setting)


def _check_state(path: PathLike, state: Mapping[int, Any], weights: list[Tensor]) -> None:
    """Raise a CheckpointError unless the same is kept for all parameters, of the shape of each."""
    kinds = {frozenset(kept) for kept in state.values()}
    if len(kinds) > 1:
        odd = sorted(frozenset.union(*kinds) - frozenset.intersection(*kinds))
        raise CheckpointError(
            f"the optimizer in {path} lacks {', '.join(odd)} of some parameters; the file was "
            "changed after it was written, so take another copy"
        )
    for number, kept in state.items():
        for name, entry in kept.items():
            told = entry.shape if isinstance(entry, Tensor) else ()
            if len(told) and (number >= len(weights) or told != weights[number].shape):
                raise CheckpointError(
                    f"the optimizer in {path} does not fit this one: {name} of parameter {number} "
                    f"has shape {tuple(told)}; make it as it was made then"
                )


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
    for entry, state in wanted.items():
        if not _is_state(entries[entry], state):
            raise CheckpointError(
                f"the random numbers {entry.removeprefix(RANDOM)!r} in {path} cannot be read; the "
                "file was changed after it was written, so take another copy"
            )


def _is_state(stored: Tensor, here: Tensor) -> bool:
    """Whether a generator could take it: of the right size and, on a CPU, no nonsense."""
    if stored.shape != here.shape or stored.dtype != here.dtype:
        return False
    scratch = torch.Generator()
    if here.shape == scratch.get_state().shape:
        try:
            scratch.set_state(stored)
        except RuntimeError:
            return False
    return True
