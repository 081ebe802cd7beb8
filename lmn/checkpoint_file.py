"""The file under `lmn.checkpoint`: safetensors with the model's config in its metadata."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lmn.atomic import PathLike, replacing
from lmn.config import LMNLanguageModelConfig

FORMAT: Final = "lmn-language-model"
VERSION: Final = 1


@dataclass(frozen=True)
class Entry:
    """A tensor as the file's header tells of it; `dtype` by safetensors' name: "F32"."""

    shape: tuple[int, ...]
    dtype: str


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or does not fit what it is loaded into."""


def write_file(
    path: PathLike,
    entries: Mapping[str, Tensor],
    config: LMNLanguageModelConfig,
    more: Mapping[str, Any],
) -> None:
    """Write the whole file, or leave the old one as it was.

    Args:
        path: of the file.
        entries: tensors on any device.
        config: of the model.
        more: further metadata by name, plain data.

    Raises:
        OSError: the file cannot be written.
        TypeError: the metadata are no plain data.
    """
    metadata = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(config.to_dict())}
    metadata |= {name: json.dumps(plain) for name, plain in more.items()}
    plain_entries = {name: entry.detach().cpu().contiguous() for name, entry in entries.items()}
    try:
        with replacing(path) as file:
            file.write(save(plain_entries, metadata))
    except OSError as error:
        if error.errno is None:
            raise
        # the caller knows the file by the name that it gave
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_file(path: PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Entries, in memory of their own, and metadata.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, of another kind or of a newer version.
    """
    with _opened(path) as file:
        metadata = _checked(path, file.metadata())
        # copies: the file itself may be replaced while they are in use
        return {name: file.get_tensor(name).clone() for name in file.keys()}, metadata  # noqa: SIM118


def read_header(path: PathLike) -> tuple[dict[str, Entry], dict[str, str]]:
    """What the entries are, without reading them, and the metadata; raises as `read_file`."""
    with _opened(path) as file:
        metadata = _checked(path, file.metadata())
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        entries = {
            name: Entry(tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()
        }
        return entries, metadata


def read_metadata(path: PathLike) -> dict[str, str]:
    """The metadata alone; raises as `read_file`."""
    with _opened(path) as file:
        return _checked(path, file.metadata())


def config_of(path: PathLike, metadata: Mapping[str, str]) -> LMNLanguageModelConfig:
    """The config that metadata tell.

    Raises:
        CheckpointError: it is missing or not one that this version knows.
    """
    try:
        return LMNLanguageModelConfig.from_dict(plain_of(path, metadata, "config"))
    except (ValueError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the config in {path} cannot be read: {error}") from error


def plain_of(path: PathLike, metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """The plain data of that name in the metadata.

    Raises:
        CheckpointError: they are missing, or no table of names and values.
    """
    try:
        plain = json.loads(metadata[name])
    except KeyError:
        reason = "it is missing"
    except RecursionError:
        reason = "it is nested too deep"
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(plain, dict):
            return plain
        reason = f"expected a table, got {type(plain).__name__}"
    raise CheckpointError(
        f"the {name} in {path} cannot be read: {reason}; the file was changed after it was "
        "written, or another program wrote it, so take another copy"
    )


def require_config(
    path: PathLike, stored: LMNLanguageModelConfig, wanted: LMNLanguageModelConfig
) -> None:
    """Raise a CheckpointError that names every difference, if there is one."""
    if stored == wanted:
        return
    here, there = _flat(wanted.to_dict()), _flat(stored.to_dict())
    differing = [
        f"{name} is {there[name]!r} there and {here[name]!r} here"
        for name in here
        if here[name] != there[name]
    ]
    raise CheckpointError(
        f"{path} is of another config: " + "; ".join(differing) + "; make the model from "
        "read_config(path), or resume from another file"
    )


@contextmanager
def _opened(path: PathLike) -> Iterator[Any]:
    """The file under safetensors' own reader, which speaks of folders in riddles."""
    if Path(path).is_dir():
        raise CheckpointError(
            f"{path} is a folder; expected a file of save_model or save_training, perhaps one in it"
        )
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise CheckpointError(f"{path} is a pipe or a device; expected a file")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise _damaged(path, error) from error


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def _checked(path: PathLike, metadata: Mapping[str, str] | None) -> dict[str, str]:
    found = dict(metadata or {})
    if found.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but its metadata do not say format={FORMAT!r}; "
            "expected a file of save_model or save_training (public weights are read by "
            "lmn.public_weights)"
        )
    if found.get("version") != str(VERSION):
        raise CheckpointError(
            f"{path} has version {found.get('version')} of the format and this is version "
            f"{VERSION}; read it with the release of lmn that wrote it"
        )
    return found


def _damaged(path: PathLike, error: SafetensorError) -> CheckpointError:
    size = Path(path).stat().st_size
    return CheckpointError(
        f"{path} is truncated or no safetensors file: its {size:,} bytes do not make one "
        f"({error}); copy it again, or take an earlier checkpoint"
    )
