"""Checkpoints: a model, and the training of one, in a single safetensors file.

A file holds the model's weights under their own names (tied weights once), and as metadata what
kind of file it is, the model's config and the caller's notes, all JSON. A training adds

| entry | is |
|---|---|
| `training.optimizer.<number>.<name>` | what the optimizer keeps for its parameter of that number |
| `training.random.torch`, `training.random.cuda.<device>` | torch's global random numbers |
| `training.random.<name>` | a generator of the caller |

and as metadata the step and the optimizer's settings. Files are written beside their place and then
moved there, so a crash leaves the old file or the new one, never half of one. Public weights are
read by `lmn.public_weights`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from lmn.atomic import PathLike
from lmn.checkpoint_file import (
    CheckpointError,
    config_of,
    read_file,
    read_metadata,
    require_config,
    write_file,
)
from lmn.config import LMNLanguageModelConfig
from lmn.language_model import LMNLanguageModel, ModelImplementation
from lmn.public_weights import load_public_block, load_public_language_model
from lmn.training_state import (
    TRAINING,
    Generators,
    check_random,
    load_optimizer,
    load_random,
    optimizer_entries,
    random_entries,
)

# weights that do not fit, of which one tells as much as all
_TOLD: Final = 2

__all__ = [
    "CheckpointError",
    "load_model",
    "load_public_block",
    "load_public_language_model",
    "read_config",
    "read_notes",
    "resume_training",
    "save_model",
    "save_training",
]


def save_model(
    path: PathLike,
    model: LMNLanguageModel,
    *,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Save weights and config.

    Args:
        path: of the file; replaced if there is one.
        model: any implementation; all have the same weights.
        notes: whatever should lie with them, for instance the vocabulary's symbols; plain data that
            JSON can hold.

    Raises:
        OSError: the file cannot be written.
        TypeError: the notes are no plain data.
    """
    write_file(path, _weights(model), model.config, {"notes": dict(notes or {})})


def load_model(
    path: PathLike,
    *,
    device: torch.device | str = "cpu",
    implementation: ModelImplementation = "chunked",
) -> LMNLanguageModel:
    """The model of a checkpoint, or of a training's, with weights of the type they were saved in.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, of another kind or a newer version, or lacks entries.
    """
    entries, metadata = read_file(path)
    config = config_of(path, metadata)
    weights = _without_training(entries)
    random = torch.get_rng_state()
    # the weights drawn here are not kept, so nobody's random numbers should go on for them
    model = LMNLanguageModel(config, implementation=implementation)
    torch.set_rng_state(random)
    _check_weights(path, weights, model)
    model.to(device, weights["embedding.weight"].dtype)
    _load_weights(model, weights)
    return model


def read_config(path: PathLike) -> LMNLanguageModelConfig:
    """The config of a checkpoint's model; raises as `load_model`."""
    return config_of(path, read_metadata(path))


def read_notes(path: PathLike) -> dict[str, Any]:
    """The notes that were saved with a checkpoint; raises as `load_model`."""
    notes: dict[str, Any] = json.loads(read_metadata(path)["notes"])
    return notes


def save_training(
    path: PathLike,
    model: LMNLanguageModel,
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    generators: Generators | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Save all that training goes on from: weights, optimizer, step, random numbers.

    Args:
        path: of the file; replaced if there is one.
        model: in training.
        optimizer: of the model's parameters.
        step: how many steps have been done.
        generators: the caller's own random numbers by name, such as those that choose batches.
            torch's global ones, and those of all GPUs where the model is on one, are saved in any
            case; Python's and numpy's are not.
        notes: plain data that JSON can hold.

    Raises:
        OSError: the file cannot be written.
        TypeError: notes or settings of the optimizer are no plain data.
        ValueError: a generator is called as torch's own.
    """
    kept, settings = optimizer_entries(optimizer)
    entries = _weights(model) | kept | random_entries(model.device, generators or {})
    training = {"step": step, "optimizer": settings}
    write_file(path, entries, model.config, {"notes": dict(notes or {}), "training": training})


def resume_training(
    path: PathLike,
    model: LMNLanguageModel,
    optimizer: torch.optim.Optimizer,
    *,
    generators: Generators | None = None,
) -> int:
    """Put weights, optimizer and random numbers back; on the same machine training goes on exactly.

    Args:
        path: from `save_training`.
        model: of the same config; changed.
        optimizer: of this model, made as before; changed.
        generators: the same names as then; changed.

    Returns:
        How many steps have been done.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, holds no training, is of another config, or lacks entries.
            Nothing has been changed then.
    """
    entries, metadata = read_file(path)
    if "training" not in metadata:
        raise CheckpointError(
            f"{path} holds a model without its training; start from it with load_model, or resume "
            "from a file of save_training"
        )
    require_config(path, config_of(path, metadata), model.config)
    weights = _without_training(entries)
    _check_weights(path, weights, model)
    training = json.loads(metadata["training"])
    check_random(path, entries, random_entries(model.device, generators or {}))
    load_optimizer(path, optimizer, training["optimizer"], entries)
    _load_weights(model, weights)
    load_random(entries, generators or {})
    return int(training["step"])


def _without_training(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: entry for name, entry in entries.items() if not name.startswith(TRAINING)}


def _weights(model: LMNLanguageModel) -> dict[str, Tensor]:
    weights = model.state_dict()
    if model.config.tie_weights:
        del weights["head.weight"]
    return dict(weights)


def _load_weights(model: LMNLanguageModel, weights: Mapping[str, Tensor]) -> None:
    if model.config.tie_weights:
        weights = {**weights, "head.weight": weights["embedding.weight"]}
    model.load_state_dict(weights)


def _check_weights(path: PathLike, weights: Mapping[str, Tensor], model: LMNLanguageModel) -> None:
    """Tell what is wrong with the weights: sizes first, then single ones, a few of each kind."""
    expected = _weights(model)
    missing = [f"missing {name!r}" for name in expected if name not in weights]
    unknown = [f"unexpected {name!r}" for name in weights if name not in expected]
    misshapen = [
        f"{name!r} has shape {tuple(weights[name].shape)}, expected {tuple(weight.shape)}"
        for name, weight in expected.items()
        if name in weights and weights[name].shape != weight.shape
    ]
    wrong = [*misshapen, *missing, *unknown]
    if wrong:
        told = [*_other_sizes(weights, model), *wrong[:_TOLD]]
        if len(wrong) > _TOLD:
            told.append(f"{len(wrong) - _TOLD} more do not fit")
        raise CheckpointError(
            f"{path} does not hold the weights that its config asks for: {'; '.join(told)}; the "
            "file was changed after it was written, so take another copy"
        )


def _other_sizes(weights: Mapping[str, Tensor], model: LMNLanguageModel) -> list[str]:
    """Sizes that the weights have and the config has not, as far as names and shapes tell."""
    found = {"layers": len({name.split(".")[1] for name in weights if name.startswith("blocks.")})}
    table = weights.get("embedding.weight")
    if table is not None and table.dim() == 2:
        found["vocabulary"], found["width"] = table.shape
    wanted = {name: getattr(model.config, name) for name in found}
    return [
        f"{name} is {size} in the weights and {wanted[name]} in the config"
        for name, size in found.items()
        if size != wanted[name]
    ]
