"""The shape of a suite file: tables, keys, and what each key may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
)
from pydantic_core import PydanticCustomError

from lmn.config import INITS
from lmn_bench.errors import LmnBenchError, nearest_hint
from lmn_bench.learning.limits import (
    MAX_COUNT,
    MAX_LAYERS,
    MAX_LEARNING_RATE,
    MAX_WAIT_S,
    MAX_WIDTH,
)
from lmn_bench.learning.names import TASKS
from lmn_bench.lessons import TEXT
from lmn_bench.metrics import METRICS
from lmn_bench.reading import shown
from lmn_bench.schema import (
    ALL_MODES,
    CAP_MECHANISMS,
    DEVICES,
    DTYPES,
    LAWS,
    MALLOCS,
    MODES,
    Measuring,
    Sweep,
)
from lmn_bench.subjects.names import BUILTIN, LEARNERS, LMN_FAMILY
from lmn_bench.units import MAX_LENGTHS, as_count, parse_lengths, parse_memory_cap, parse_seconds

AXES = tuple(field.name for field in fields(Sweep))
MEASURING_KEYS = tuple(field.name for field in fields(Measuring))
_USER_SUBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# A day; the kernel's own timers end at 24 of them.
MAX_TIMEOUT_S = MAX_WAIT_S
# Of one axis, as many as there may be lengths; and of tables of one kind.
MAX_VALUES = MAX_LENGTHS
MAX_TABLES = 1000
# A year: whoever means more has mistaken the unit.
MAX_TRAINING_S = 365 * 86_400
# The interpreter itself asks for memory in pieces of 1 MiB.
MIN_CAP_BYTES = 2**20
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def _fail(message: str, hint: str | None = None) -> PydanticCustomError:
    # The message travels as data: braces in a user's text must not be read as a template.
    return PydanticCustomError("suite", "{text}", {"text": message, "hint": hint})


def _as_list(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if not value:
            raise _fail("an empty list", "give at least one value, or leave the key out")
        if len(value) > MAX_VALUES:
            raise _fail(f"{len(value):,} values are too many: at most {MAX_VALUES:,}")
        repeated = [v for i, v in enumerate(value) if v in value[:i]]
        if repeated:
            raise _fail(f"{shown(repeated[0])} stands twice")
        return tuple(value)
    return (value,)


def _subject(name: Any) -> str:
    if not isinstance(name, str):
        raise _fail(f"expected a name, got {shown(name)}")
    base, at, init = name.partition("@")
    if at and base in LMN_FAMILY:
        if init not in INITS:
            raise _fail(f"unknown init {init!r} of {name}", nearest_hint("init", init, list(INITS)))
        return name
    known = [*dict.fromkeys([*BUILTIN, *LEARNERS])]
    if name not in known and not _USER_SUBJECT.fullmatch(name):
        extra = "; your own model is package.module:factory"
        raise _fail(f"unknown model {name!r}", nearest_hint("model", name, known, extra))
    return name


def _one_of(kind: str, known: Sequence[str]) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value not in known:
            raise _fail(
                f"unknown {kind} {shown(value)}", nearest_hint(kind, shown(value), list(known))
            )
        return value

    return BeforeValidator(check)


def _lengths(value: Any) -> Any:
    if isinstance(value, bool | float | Mapping):
        raise _fail(f"expected lengths, got {shown(value)}", 'write "2^7..2^15" or [128, 256]')
    try:
        return parse_lengths(value)
    except LmnBenchError as error:
        raise _fail(error.message, error.hint) from None


def _cap(value: Any) -> int | None:
    if isinstance(value, bool | float) or not isinstance(value, str | int | None):
        raise _fail(f"expected a memory cap, got {shown(value)}", 'write "64MiB" or "none"')
    try:
        cap = None if value is None else parse_memory_cap(value)
    except LmnBenchError as error:
        raise _fail(error.message, error.hint) from None
    if cap is not None and cap < MIN_CAP_BYTES:
        raise _fail(f"nothing can run under a cap of {value!r}", "give at least 1MiB")
    return cap


def _seconds(value: Any) -> Any:
    """Seconds, bare or with a unit: 2.5, "2min"."""
    try:
        return parse_seconds(value) if isinstance(value, str) else value
    except LmnBenchError as error:
        raise _fail(error.message, error.hint) from None


_Positive = Annotated[StrictInt, Field(ge=1, le=MAX_COUNT), BeforeValidator(as_count)]
_Width = Annotated[StrictInt, Field(ge=1, le=MAX_WIDTH), BeforeValidator(as_count)]
# Ends of a wait, which may also be none at all.
_Wait = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=MAX_WAIT_S)]
_Seconds = Annotated[float, BeforeValidator(_seconds)]
_List = BeforeValidator(_as_list)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _SweepTable(_Table):
    """A `[[sweep]]` or `[defaults]`: every axis a tuple, None where it isn't given."""

    subjects: Annotated[tuple[Annotated[str, BeforeValidator(_subject)], ...] | None, _List] = None
    modes: Annotated[
        tuple[Annotated[str, _one_of("mode", tuple(ALL_MODES))], ...] | None, _List
    ] = None
    lengths: Annotated[tuple[int, ...] | None, BeforeValidator(_lengths)] = None
    device: Annotated[tuple[Annotated[str, _one_of("device", DEVICES)], ...] | None, _List] = None
    dtype: Annotated[tuple[Annotated[str, _one_of("dtype", DTYPES)], ...] | None, _List] = None
    memory_cap: Annotated[
        tuple[Annotated[int | None, BeforeValidator(_cap)], ...] | None, _List
    ] = None
    batch: Annotated[tuple[_Positive, ...] | None, _List] = None
    threads: Annotated[tuple[_Positive, ...] | None, _List] = None
    width: Annotated[tuple[_Width, ...] | None, _List] = None
    heads: Annotated[tuple[_Width, ...] | None, _List] = None
    layers: Annotated[
        tuple[Annotated[StrictInt, Field(ge=1, le=MAX_LAYERS)], ...] | None, _List
    ] = None
    banks: Annotated[tuple[_Width, ...] | None, _List] = None
    expansion: Annotated[
        tuple[Annotated[StrictInt, Field(ge=0, le=MAX_WIDTH)], ...] | None, _List
    ] = None
    compile: Annotated[tuple[StrictBool, ...] | None, _List] = None
    cuda_graph: Annotated[tuple[StrictBool, ...] | None, _List] = None
    task: Annotated[tuple[Annotated[str, _one_of("task", (TEXT, *TASKS))], ...] | None, _List] = (
        None
    )
    learning_rate: Annotated[
        tuple[Annotated[float, Field(gt=0, le=MAX_LEARNING_RATE)], ...] | None, _List
    ] = None

    def given(self) -> dict[str, Any]:
        """The axes that the table gives."""
        return {key: getattr(self, key) for key in self.model_fields_set}


class _MeasuringTable(_Table):
    processes: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    timeout_s: Annotated[_Seconds, Field(gt=0, le=MAX_TIMEOUT_S)] | None = None
    time_goal_s: _Wait | None = None
    precision_goal: Annotated[float, Field(gt=0, lt=1)] | None = None
    min_samples: Annotated[StrictInt, Field(ge=1, le=MAX_COUNT)] | None = None
    max_samples: Annotated[StrictInt, Field(ge=1, le=MAX_COUNT)] | None = None
    warmup_limit_s: _Wait | None = None
    quiet_wait_s: _Wait | None = None
    quiet_extra_s: _Wait | None = None
    decode_window: Annotated[StrictInt, Field(ge=1, le=4096)] | None = None
    timing: bool | None = None
    counters: bool | None = None
    memory_timeline: bool | None = None
    needs: bool | None = None
    blank_context: bool | None = None
    ceilings: bool | None = None
    cap_mechanism: Annotated[str, _one_of("cap mechanism", CAP_MECHANISMS)] | None = None
    malloc: Annotated[str, _one_of("malloc", MALLOCS)] | None = None


class LearningTable(_Table):
    """A `[learning]` table; one of steps, token_budget and time_budget_s is the budget."""

    corpus: Annotated[str, Field(min_length=1)] | None = None
    tokens: Annotated[str, Field(min_length=1)] | None = None
    steps: _Positive | None = None
    token_budget: _Positive | None = None
    time_budget_s: Annotated[_Seconds, Field(gt=0, le=MAX_TRAINING_S)] | None = None
    seeds: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    parameters: _Positive | None = None
    tie_weights: StrictBool | None = None
    weight_decay: Annotated[float, Field(ge=0, le=MAX_COUNT)] | None = None
    gradient_clip: Annotated[float, Field(ge=0, le=MAX_COUNT)] | None = None
    examples: _Positive | None = None
    enough_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    validate_every: _Positive | None = None
    save_every: _Positive | None = None


class _ClaimTable(_Table):
    """A `[[claim]]`: of one or more subjects, with a law or the fastest one that keeps it."""

    subject: Annotated[tuple[Annotated[str, BeforeValidator(_subject)], ...], _List]
    mode: Annotated[str, _one_of("mode", tuple(MODES))]
    metric: Annotated[str, _one_of("metric", tuple(METRICS))]
    law: Annotated[str, _one_of("law", LAWS)] | None = None
    at_most: Annotated[str, _one_of("law", LAWS)] | None = None


def _suite_name(name: str) -> str:
    # It becomes the name of a folder.
    if not _NAME.fullmatch(name):
        raise _fail(
            f"cannot be {name!r}", "use up to 60 lower-case letters, digits, - and _: my-suite"
        )
    return name


class SuiteFile(_Table):
    """A whole suite file."""

    name: Annotated[str, AfterValidator(_suite_name)]
    description: str = ""
    reference: Annotated[str, BeforeValidator(_subject)] | None = None
    measuring: _MeasuringTable = _MeasuringTable()
    learning: LearningTable | None = None
    defaults: _SweepTable = _SweepTable()
    sweep: list[_SweepTable] = Field(min_length=1, max_length=MAX_TABLES)
    claim: Annotated[list[_ClaimTable], Field(max_length=MAX_TABLES)] = []


assert set(_SweepTable.model_fields) == set(AXES)
assert set(_MeasuringTable.model_fields) == set(MEASURING_KEYS)

LEARNING_KEYS = tuple(LearningTable.model_fields)
# What says how long a model learns, with the unit of each.
BUDGET_KEYS = {"steps": "steps", "token_budget": "tokens", "time_budget_s": "s"}

# The keys of every table, for suggestions.
KNOWN_KEYS = {
    "": list(SuiteFile.model_fields),
    "measuring": list(MEASURING_KEYS),
    "learning": list(LEARNING_KEYS),
    "defaults": list(AXES),
    "sweep": list(AXES),
    "claim": list(_ClaimTable.model_fields),
}
