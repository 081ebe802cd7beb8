"""Settings of a training as people write them, in TOML: every mistake at once, with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from lmn.config import INITS, SUMMARIZERS
from lmn_bench.errors import Problem, TrainingFileError, UsageError, nearest_hint
from lmn_bench.learning.limits import MAX_COUNT, MAX_LAYERS, MAX_LEARNING_RATE, MAX_WIDTH
from lmn_bench.learning.settings import TrainingSettings
from lmn_bench.reading import DataError, shown, toml_data
from lmn_bench.texts import read_text
from lmn_bench.units import as_count

# What torch takes as a seed of its generators, and numpy as a key.
_LARGEST_SEED = 2**63 - 1

_Count = Annotated[StrictInt, Field(ge=1, le=MAX_COUNT)]
_Width = Annotated[StrictInt, Field(ge=1, le=MAX_WIDTH)]
_Name = Annotated[str, Field(min_length=1)]


class _Keys(BaseModel):
    """The keys of a config file; none has to be there."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    corpus: _Name = ""
    tokens: _Name = ""
    length: _Count = 1
    batch: _Count = 1
    steps: _Count = 1
    learning_rate: Annotated[float, Field(gt=0, le=MAX_LEARNING_RATE)] = 1
    weight_decay: Annotated[float, Field(ge=0, le=MAX_COUNT)] = 0
    gradient_clip: Annotated[float, Field(ge=0, le=MAX_COUNT)] = 0
    seed: Annotated[StrictInt, Field(ge=0, le=_LARGEST_SEED)] = 0
    threads: Annotated[StrictInt, Field(ge=0, le=MAX_COUNT)] = 0
    device: str = ""
    width: _Width = 1
    heads: _Width = 1
    layers: Annotated[StrictInt, Field(ge=1, le=MAX_LAYERS)] = 1
    banks: _Width = 1
    summarizer: str = ""
    expansion: Annotated[StrictInt, Field(ge=0, le=MAX_WIDTH)] = 0
    init: str = ""
    tie_weights: StrictBool = False
    validate_every: _Count = 1
    validation_windows: _Count = 1
    save_every: _Count = 1


KEYS = tuple(_Keys.model_fields)
_CHOICES = {"device": ("cpu", "cuda"), "summarizer": SUMMARIZERS, "init": INITS}

assert set(KEYS) == set(asdict(TrainingSettings()))


def read_settings_file(path: Path) -> dict[str, Any]:
    """The keys that a TOML file gives, not checked yet.

    Raises:
        TrainingFileError: it cannot be read, or is no TOML.
    """
    try:
        return toml_data(read_text(path))
    except OSError as error:
        problem = Problem(str(path), f"cannot be read: {error.strerror}")
    except UsageError as error:
        problem = Problem(str(path), error.message, error.hint)
    except DataError as error:
        problem = Problem(str(path), str(error))
    raise TrainingFileError(str(path), [problem])


def key_kind(key: str) -> type:
    """What a key holds: int, float, bool or str."""
    return type(getattr(TrainingSettings(), key))


def check_settings(
    given: Mapping[str, Any], base: TrainingSettings, source: str, origins: Mapping[str, str]
) -> TrainingSettings:
    """The settings of `base` with those that were given in their place.

    Args:
        given: values by key, as they were written.
        base: what holds where nothing is given.
        source: names the file in errors.
        origins: the option that a key comes from, if not from the file.

    Raises:
        TrainingFileError: with every mistake.
    """
    given = {key: as_count(value) if key in KEYS and key_kind(key) is int else value
             for key, value in given.items()}  # fmt: skip
    problems = [*_wrong_values(given, origins), *_wrong_choices(given, origins)]
    if not problems:
        problems = [*_disagreements({**asdict(base), **given}, origins)]
    if problems:
        told = all(problem.place.startswith("--") for problem in problems)
        raise TrainingFileError("the command line" if told else source, problems)
    values = {key: float(value) if key_kind(key) is float else value
              for key, value in given.items()}  # fmt: skip
    return TrainingSettings(**{**asdict(base), **values})


def _wrong_values(given: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    try:
        _Keys.model_validate(dict(given))
    except ValidationError as error:
        for item in error.errors(include_url=False):
            key = str(item["loc"][0])
            place, got = origins.get(key, key), item.get("input")
            if item["type"] == "extra_forbidden":
                yield Problem(place, "unknown key", nearest_hint("key", key, KEYS))
                continue
            message = item["msg"].replace("Input should be", "expected")
            yield Problem(
                place, f"{message[0].lower()}{message[1:]}, got {shown(got)}", _HINTS.get(key)
            )


_HINTS = {
    "corpus": "a corpus is python-docs, tinyshakespeare, or the path of a text file or folder",
    "tokens": "tokens are characters, bytes, or the path of a tokenizer.json",
}


def _wrong_choices(given: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    for key, known in _CHOICES.items():
        value = given.get(key)
        if isinstance(value, str) and value not in known:
            hint = nearest_hint(key, value, known)
            yield Problem(origins.get(key, key), f"unknown {key} {shown(value)}", hint)


def _disagreements(values: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong between keys that are right by themselves."""
    width, heads = values["width"], values["heads"]
    if width % heads:
        key = "heads" if "heads" in origins or "width" not in origins else "width"
        yield Problem(
            origins.get(key, key),
            f"{heads} heads do not divide a width of {width}",
            f"take a width that is a multiple of {heads}",
        )
    if values["expansion"] and values["summarizer"] != "expander":
        yield Problem(
            origins.get("expansion", "expansion"),
            f"{values['expansion']} is for the expander, and the summarizer is "
            f"{values['summarizer']!r}",
            'take summarizer = "expander", or leave expansion out',
        )
