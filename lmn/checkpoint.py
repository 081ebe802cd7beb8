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

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from lmn.atomic import PathLike
from lmn.checkpoint_file import (
    CheckpointError,
    Entry,
    config_of,
    plain_of,
    read_file,
    read_header,
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
from lmn.weight_shapes import weight_shapes

# weights that do not fit, of which one tells as much as all
_TOLD: Final = 2
# layers that the weights have not, of which more are not worth making to tell their shapes
_MOST_LAYERS: Final = 64
# what weights may be numbers of, by safetensors' names
_DTYPES: Final = ("F32", "BF16", "F16", "F64")

_Entry = TypeVar("_Entry", Tensor, Entry)

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
    header, metadata = read_header(path)
    config = config_of(path, metadata)
    _check_weights(path, _without_training(header), config, _expected(header, config))
    weights = _without_training(read_file(path)[0])
    random = torch.get_rng_state()
    # the weights drawn here are not kept, so nobody's random numbers should go on for them
    model = LMNLanguageModel(config, implementation=implementation)
    torch.set_rng_state(random)
    model.to(device, weights["embedding.weight"].dtype)
    _load_weights(model, weights)
    return model


def read_config(path: PathLike) -> LMNLanguageModelConfig:
    """The config of a checkpoint's model; raises as `load_model`."""
    return config_of(path, read_metadata(path))


def read_notes(path: PathLike) -> dict[str, Any]:
    """The notes that were saved with a checkpoint; raises as `load_model`."""
    return plain_of(path, read_metadata(path), "notes")


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
    header, metadata = read_header(path)
    if "training" not in metadata:
        raise CheckpointError(
            f"{path} holds a model without its training; start from it with load_model, or resume "
            "from a file of save_training"
        )
    require_config(path, config_of(path, metadata), model.config)
    shapes = {name: tuple(weight.shape) for name, weight in _weights(model).items()}
    _check_weights(path, _without_training(header), model.config, shapes)
    training = plain_of(path, metadata, "training")
    step = training.get("step")
    if not isinstance(step, int) or step < 0:
        raise CheckpointError(f"{path} does not say after which step it was written, got {step!r}")
    entries, _ = read_file(path)
    check_random(path, entries, random_entries(model.device, generators or {}))
    load_optimizer(path, optimizer, training.get("optimizer"), entries)
    _load_weights(model, _without_training(entries))
    load_random(entries, generators or {})
    return step


def _without_training(entries: Mapping[str, _Entry]) -> dict[str, _Entry]:
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


def _expected(
    header: Mapping[str, Entry], config: LMNLanguageModelConfig
) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights that a config asks for; {} if it asks for so many that the first
    difference is all there is to tell.
    """
    if _other_sizes(_without_training(header), config) and config.layers > _MOST_LAYERS:
        return {}
    return weight_shapes(config)


def _check_weights(
    path: PathLike,
    weights: Mapping[str, Entry],
    config: LMNLanguageModelConfig,
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Tell what is wrong with the weights: sizes first, then single ones, a few of each kind."""
    wrong = [
        f"{name!r} has shape {weights[name].shape}, expected {shape}"
        for name, shape in expected.items()
        if name in weights and weights[name].shape != shape
    ]
    if expected:
        wrong += [f"missing {name!r}" for name in expected if name not in weights]
        wrong += [f"unexpected {name!r}" for name in weights if name not in expected]
    wrong += [
        f"{name!r} is of type {weight.dtype}, expected one of {', '.join(_DTYPES)}"
        for name, weight in weights.items()
        if weight.dtype not in _DTYPES
    ]
    sizes = _other_sizes(weights, config)
    if sizes or wrong:
        told = [*sizes, *wrong[:_TOLD]]
        if len(wrong) > _TOLD:
            told.append(f"{len(wrong) - _TOLD} more do not fit")
        raise CheckpointError(
            f"{path} does not hold the weights that its config asks for: {'; '.join(told)}; the "
            "file was changed after it was written, so take another copy"
        )


def _other_sizes(weights: Mapping[str, Entry], config: LMNLanguageModelConfig) -> list[str]:
    """Sizes that the weights have and the config has not, as far as names and shapes tell."""
    found = {"layers": len({name.split(".")[1] for name in weights if name.startswith("blocks.")})}
    table = weights.get("embedding.weight")
    if table is None:
        return ["there is no embedding"]
    if len(table.shape) == 2:
        found["vocabulary"], found["width"] = table.shape
    wanted = {name: getattr(config, name) for name in found}
    return [
        f"{name} is {size} in the weights and {wanted[name]} in the config"
        for name, size in found.items()
        if size != wanted[name]
    ]
