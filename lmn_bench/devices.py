"""Profiles of devices, from microcontrollers to GPUs: memory, bandwidth, peak, and their sources.

`devices.toml` beside this file says what each key means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lmn_bench.errors import (
    DeviceFileError,
    LmnBenchError,
    Problem,
    UnknownNameError,
    UsageError,
    nearest_hint,
)
from lmn_bench.reading import DataError, shown, toml_data
from lmn_bench.schema import DTYPES
from lmn_bench.texts import read_text
from lmn_bench.units import parse_bandwidth, parse_bytes

KINDS = ("microcontroller", "board", "phone", "laptop", "desktop", "server", "gpu")
PEAK_DTYPES = (*DTYPES, "float16")
# What an operating system is allowed of a device's memory where `system` doesn't say otherwise:
# allowances by experience, not measurements, and rather too much than too little.
SYSTEM_BYTES = {
    # Bare, or a kernel of a few KiB.
    "microcontroller": 0,
    # Linux without a desktop holds 100 to 150 MiB, and the firmware some 64 MiB for graphics.
    "board": 256 * 2**20,
    # Android and its services hold 3 to 5 GiB of phones that have 8 or more.
    "phone": 4 * 2**30,
    # Windows 11 and macOS hold 3 to 4 GiB before a program is opened.
    "laptop": 4 * 2**30,
    "desktop": 4 * 2**30,
    # Linux with its services, without a desktop.
    "server": 2**30,
    # It shares nothing with the host's operating system; CUDA's context is counted apart.
    "gpu": 0,
}

_SHIPPED = Path(__file__).with_name("devices.toml")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"https?://\S+\.\S+")


@dataclass(frozen=True)
class DeviceProfile:
    """What a device can do at most, by its maker's numbers.

    Attributes:
        id: name on the command line.
        title: name for people.
        kind: one of `KINDS`.
        memory_bytes: of the part; system and driver keep some of it.
        bandwidth_bytes_per_s: of that memory, in theory.
        peak_flops_per_s: dense FLOP/s by dtype; float32 is always there, others where known.
        runs_python: whether torch and Python run there, or only native code.
        source: data sheet or product page, with its address.
        note: what is derived, and how.
        system_bytes: of the memory, left to the operating system.
    """

    id: str
    title: str
    kind: str
    memory_bytes: int
    bandwidth_bytes_per_s: float
    peak_flops_per_s: Mapping[str, float]
    runs_python: bool
    source: str
    note: str
    system_bytes: int = 0

    @property
    def usable_bytes(self) -> int:
        """What the operating system leaves to a program."""
        return self.memory_bytes - self.system_bytes

    @property
    def by_size(self) -> tuple[float, float, float, str]:
        """The order by size: memory, then peak in float32, then bandwidth, then the name."""
        return (
            self.memory_bytes, self.peak_flops_per_s["float32"], self.bandwidth_bytes_per_s, self.id
        )  # fmt: skip


def load_devices(path: Path = _SHIPPED) -> dict[str, DeviceProfile]:
    """The profiles of a file by id, in its order; those of lmn-bench unless told otherwise.

    Raises:
        DeviceFileError: with every mistake in the file.
    """
    return dict(_load(path))


def device(name: str) -> DeviceProfile:
    """The profile of the device named `name`.

    Raises:
        UnknownNameError: with the nearest name.
    """
    known = load_devices()
    if name not in known:
        raise UnknownNameError("device", name, known, "; see `lmn-bench list devices`")
    return known[name]


@cache
def _load(path: Path) -> dict[str, DeviceProfile]:
    try:
        data = toml_data(read_text(path))
    except OSError as error:
        raise DeviceFileError(str(path), [Problem(str(path), f"cannot be read: {error}")]) from None
    except UsageError as error:
        problem = Problem(str(path), error.message, error.hint)
        raise DeviceFileError(str(path), [problem]) from None
    except DataError as error:
        raise DeviceFileError(str(path), [Problem(str(path), str(error))]) from None
    try:
        rows = _FILE.validate_python(data)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
        raise DeviceFileError(str(path), problems) from None
    return {
        name: DeviceProfile(
            name, row.title, row.kind, row.memory, row.bandwidth, row.peak, row.runs_python,
            row.source, row.note, row.system_bytes,
        )
        for name, row in rows.items()
    }  # fmt: skip


def _fail(message: str, hint: str | None = None) -> PydanticCustomError:
    # The message travels as data: braces in a file's text must not be read as a template.
    return PydanticCustomError("device", "{text}", {"text": message, "hint": hint})


def _one_of(kind: str, known: tuple[str, ...]) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value not in known:
            raise _fail(f"unknown {kind} {shown(value)}", nearest_hint(kind, str(value), known))
        return value

    return BeforeValidator(check)


def _read_by(parse: Callable[[str], float]) -> BeforeValidator:
    def read(value: Any) -> float:
        if not isinstance(value, str):
            raise _fail(f"expected text with a unit, got {shown(value)}")
        try:
            return parse(value)
        except LmnBenchError as error:
            raise _fail(error.message, error.hint) from None

    return BeforeValidator(read)


def _kebab(name: str) -> str:
    if not _ID.fullmatch(name):
        raise _fail("is no id", "use lower-case letters and digits with single hyphens between")
    return name


def _with_address(source: str) -> str:
    if not _ADDRESS.search(source):
        raise _fail("has no address", "name the data sheet and where it is: https://…")
    return source


def _with_float32(peak: dict[str, float]) -> dict[str, float]:
    if "float32" not in peak:
        raise _fail("has no float32", "every device needs one: peak = { float32 = 1e9 }")
    return peak


_Text = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    """One table of the file; memory and bandwidth in bytes and bytes per second once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    title: _Text
    kind: Annotated[str, _one_of("kind", KINDS)]
    memory: Annotated[int, _read_by(parse_bytes)]
    bandwidth: Annotated[float, _read_by(parse_bandwidth)]
    peak: Annotated[
        dict[Annotated[str, _one_of("dtype", PEAK_DTYPES)], Annotated[float, Field(gt=0)]],
        AfterValidator(_with_float32),
    ]
    runs_python: StrictBool
    system: Annotated[int, _read_by(parse_bytes)] | None = None
    source: Annotated[_Text, AfterValidator(_with_address)]
    note: _Text

    @property
    def system_bytes(self) -> int:
        return SYSTEM_BYTES[self.kind] if self.system is None else self.system

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.system_bytes >= self.memory:
            raise _fail("its operating system would take all of its memory", 'give it a "system"')
        return self


_FILE = TypeAdapter(dict[Annotated[str, AfterValidator(_kebab)], _Row])


def _problem(item: Any) -> Problem:
    """A pydantic error as a problem, with its place as `device.key`."""
    # pydantic marks what is wrong with a key itself by one more step, "[key]".
    keys = [str(part) for part in item["loc"] if part != "[key]"]
    place = ".".join(keys)
    if item["type"] == "extra_forbidden":
        return Problem(place, "unknown key", nearest_hint("key", keys[-1], [*_Row.model_fields]))
    if item["type"] == "missing":
        return Problem(place, "is missing")
    if item["type"] == "device":
        return Problem(place, item["ctx"]["text"], item["ctx"]["hint"])
    if item["type"] == "model_type":
        return Problem(place, f"expected a table of keys, got {shown(item['input'])}")
    message = item["msg"].replace("Input should be", "expected")
    return Problem(place, f"{message[0].lower()}{message[1:]}, got {shown(item['input'])}")
