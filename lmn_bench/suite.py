"""TOML files into suites: every mistake at once, each with its place and what to do.

name = "scaling"
description = "how latency and memory grow with length"
reference = "lmn"           # optional; the model that reports compare the others with
[measuring]                 # optional; keys of `schema.Measuring`
processes = 5
[defaults]                  # optional; what sweeps inherit
width = 64
[[sweep]]                   # one grid; each key takes a value or a list of values
subjects = ["lmn", "transformer"]
modes = ["prefill", "train"]
lengths = "2^7..2^15"
[[claim]]                   # optional; how a metric should grow, judged in the report
subject = "lmn"             # or a list
mode = "prefill"
metric = "latency_s"
at_most = "n log n"         # or law = "…" for that law and no other

A suite whose sweeps have modes = ["learn"] has a table on how, and neither measuring nor claims:
[learning]                  # keys of `lessons.Learning`, and one of
steps = 1000                # steps, token_budget, time_budget_s
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lmn_bench.errors import Problem, SuiteError, UnknownNameError, UsageError, nearest_hint
from lmn_bench.grid import too_many_in
from lmn_bench.places import suite_files
from lmn_bench.reading import DataError, shown, toml_data
from lmn_bench.schema import ALL_MODES, MODES, Claim, Measuring, Suite, Sweep
from lmn_bench.suite_file import (
    BUDGET_KEYS,
    KNOWN_KEYS,
    LEARNING_KEYS,
    MAX_TABLES,
    MAX_VALUES,
    MEASURING_KEYS,
    SuiteFile,
)
from lmn_bench.suite_learning import learning_of, learning_problems, needs_lengths
from lmn_bench.texts import read_text
from lmn_bench.units import as_count

_REQUIRED = ("subjects", "modes", "lengths")
REFERENCE = "reference"
# Tables of one value per key, by name.
_TABLES = {"measuring": MEASURING_KEYS, "learning": LEARNING_KEYS}


@dataclass(frozen=True)
class Override:
    """A value from the command line that takes the place of a suite's own.

    `modes` narrows each sweep to the modes named; every other key is replaced, `reference` that of
    the suite itself.
    """

    option: str
    key: str
    value: Any


def builtin_suites() -> dict[str, Path]:
    """The suites that come with lmn-bench, by name."""
    return suite_files()


def find_suite(name: str) -> Path:
    """The file of a suite given by name or path.

    Raises:
        UnknownNameError: no suite of that name.
        SuiteError: a path where no file is.
    """
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if not path.is_file():
            what = (
                "is no file, but a folder, a pipe or a device" if path.exists() else "no such file"
            )
            problem = Problem(name, what, "give a path, or a name: lmn-bench list suites")
            raise SuiteError(name, [problem])
        return path
    known = builtin_suites()
    if name not in known:
        raise UnknownNameError("suite", name, known, "; or give the path of a TOML file")
    return known[name]


def load_suite(path: Path, overrides: Sequence[Override] = ()) -> Suite:
    """Read and validate a suite file.

    Raises:
        SuiteError: with every mistake in the file and the overrides.
    """
    try:
        data = toml_data(read_text(path))
    except OSError as error:
        raise SuiteError(
            str(path), [Problem(str(path), f"cannot be read: {error.strerror}")]
        ) from error
    except UsageError as error:
        raise SuiteError(str(path), [Problem(str(path), error.message, error.hint)]) from error
    except DataError as error:
        raise SuiteError(str(path), [Problem(str(path), str(error))]) from error
    return parse_suite(data, str(path), overrides)


def parse_suite(data: Mapping[str, Any], source: str, overrides: Sequence[Override] = ()) -> Suite:
    """Validate the content of a suite file; `source` names it in errors."""
    data, origins = _apply(data, overrides)
    problems: list[Problem] = []
    try:
        parsed = SuiteFile.model_validate(data)
    except ValidationError as error:
        problems = [_problem(item, origins) for item in error.errors(include_url=False)]
    problems.extend(_grid_problems(data, origins))
    problems.extend(learning_problems(data, origins))
    told = [problem.place for problem in problems]
    for problem in _claim_problems(data, origins):
        # a claim on a model that doesn't exist is not also one on a model that isn't measured
        if not any(place.startswith(f"{problem.place}[") for place in told):
            problems.append(problem)
    if problems:
        if all(problem.place.startswith("--") for problem in problems):
            source = "the command line"
        # An option's mistake would be told once per sweep.
        raise SuiteError(source, list(dict.fromkeys(problems)))
    sweeps = [
        Sweep(**{"lengths": (), **parsed.defaults.given(), **table.given()})
        for table in parsed.sweep
    ]
    for override in overrides:
        if override.key == "modes" and not problems:
            sweeps, problems = _narrow(sweeps, override)
    if problems:
        # Only options narrow.
        raise SuiteError("the command line", problems)
    reference = _reference(parsed, sweeps, source, origins)
    measuring = Measuring(**parsed.measuring.model_dump(exclude_none=True))
    claims = [claim for table in parsed.claim for claim in _claims(table)]
    kept = tuple(claim for claim in dict.fromkeys(claims) if _is_measured(claim, sweeps))
    suite = Suite(
        parsed.name, parsed.description, measuring, tuple(sweeps), kept,
        learning_of(parsed.learning), reference,
    )  # fmt: skip
    excess = too_many_in(suite)
    if excess is not None:
        hint = "take fewer values, or make several suites of them"
        raise SuiteError(source, [Problem("sweep", excess, hint)])
    return suite


def _reference(
    parsed: SuiteFile, sweeps: Sequence[Sweep], source: str, origins: Mapping[str, str]
) -> str | None:
    """The subject that the others are compared with, if one is named.

    One that the file names may be left out by options that choose models, as claims are.

    Raises:
        SuiteError: no sweep measures it, or its sweeps learn: trainings have no reference.
    """
    wanted = parsed.reference
    if wanted is None:
        return None
    option = origins.get(REFERENCE)
    known = list(dict.fromkeys(name for sweep in sweeps for name in sweep.subjects))
    if parsed.learning is not None:
        problem = Problem(
            option or REFERENCE, "is for what is timed, and this suite learns", "leave it out"
        )
    elif wanted not in known and (option or "subjects" not in origins):
        hint = f"it has {', '.join(known)}"
        problem = Problem(option or REFERENCE, f"no sweep measures {wanted!r}", hint)
    else:
        return wanted if wanted in known else None
    raise SuiteError("the command line" if option else source, [problem])


def _apply(
    data: Mapping[str, Any], overrides: Sequence[Override]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's data with overrides put in, and which option each overridden key came from."""
    changed = dict(data)
    origins = {}
    for override in overrides:
        origins[override.key] = override.option
        table = next((name for name, keys in _TABLES.items() if override.key in keys), None)
        if override.key == REFERENCE:
            changed[REFERENCE] = override.value
        elif table is not None:
            values = changed.get(table, {})
            if isinstance(values, Mapping):
                changed[table] = _replaced(values, override)
        elif override.key != "modes":
            sweeps = changed.get("sweep", [])
            if isinstance(sweeps, list):
                changed["sweep"] = [
                    {**table, override.key: override.value} if isinstance(table, Mapping) else table
                    for table in sweeps
                ]
    return changed, origins


def _replaced(table: Mapping[str, Any], override: Override) -> dict[str, Any]:
    """A table with an override put in; a budget takes the place of one in another unit."""
    others = BUDGET_KEYS if override.key in BUDGET_KEYS else ()
    kept = {key: value for key, value in table.items() if key not in others}
    return {**kept, override.key: override.value}


def _narrow(sweeps: Sequence[Sweep], override: Override) -> tuple[list[Sweep], list[Problem]]:
    """Keep of every sweep the modes that the override names."""
    wanted = [str(mode) for mode in override.value]
    offered = sorted({mode for sweep in sweeps for mode in sweep.modes})
    problems = []
    for mode in wanted:
        if mode not in ALL_MODES:
            hint = nearest_hint("mode", mode, list(ALL_MODES))
            problems.append(Problem(override.option, f"unknown mode {mode!r}", hint))
        elif mode not in offered:
            hint = f"it has {', '.join(offered)}"
            problems.append(Problem(override.option, f"this suite has no {mode}", hint))
    kept = [
        replace(sweep, modes=tuple(mode for mode in sweep.modes if mode in wanted))
        for sweep in sweeps
    ]
    return [sweep for sweep in kept if sweep.modes], problems


def _grid_problems(data: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with whole sweeps; read from raw data, so that it is told with the rest."""
    for index, axes in _sweeps(data):
        yield from _sweep_problems(f"sweep[{index}]", axes, origins)


def _sweeps(data: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The sweeps as they stand in the file, those that are any, with what they inherit."""
    defaults, tables = data.get("defaults", {}), data.get("sweep", [])
    shared = defaults if isinstance(defaults, Mapping) else {}
    for index, table in enumerate(tables[:MAX_TABLES] if isinstance(tables, list) else []):
        if isinstance(table, Mapping):
            yield index, {**shared, **table}


def _sweep_problems(
    place: str, axes: Mapping[str, Any], origins: Mapping[str, str]
) -> Iterator[Problem]:
    for key in _REQUIRED:
        if key not in axes and (key != "lengths" or needs_lengths(axes)):
            yield Problem(
                f"{place}.{key}", "is missing", f"add it here or under [defaults]: {key} = …"
            )
    if True in _items(axes.get("cuda_graph")) and "cpu" in _items(axes.get("device", Sweep.device)):
        yield Problem(
            origins.get("cuda_graph") or origins.get("device") or f"{place}.cuda_graph",
            "a CPU has no CUDA graphs",
            'take device = "cuda", in a sweep of its own',
        )
    for width in _whole_numbers(axes.get("width", Sweep.width)):
        for heads in _whole_numbers(axes.get("heads", Sweep.heads)):
            if width % heads:
                yield Problem(
                    origins.get("heads") or origins.get("width") or f"{place}.heads",
                    f"{heads} heads do not divide a width of {width}",
                    f"take a width that is a multiple of {heads}",
                )


def _claim_problems(data: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with whole claims; also read from raw data."""
    tables = data.get("claim", [])
    measured = {
        (subject, mode)
        for _, axes in _sweeps(data)
        for subject in _names(axes.get("subjects"))
        for mode in _names(axes.get("modes"))
    }
    for index, table in enumerate(tables[:MAX_TABLES] if isinstance(tables, list) else []):
        if not isinstance(table, Mapping):
            continue
        place = f"claim[{index}]"
        if ("law" in table) == ("at_most" in table):
            message = "needs law or at_most" if "law" not in table else "has both law and at_most"
            hint = 'law = "log n" is that law and no other; at_most = "log n" also slower growth'
            yield Problem(place, message, hint)
        if not {"subjects", "modes"} & set(origins):
            yield from _unmeasured(place, table, measured)


def _unmeasured(
    place: str, table: Mapping[str, Any], measured: Collection[tuple[str, str]]
) -> Iterator[Problem]:
    """Claims of what no sweep of the file measures; options may well leave some out."""
    mode = table.get("mode")
    for subject in _names(table.get("subject")):
        if isinstance(mode, str) and mode in MODES and (subject, mode) not in measured:
            yield Problem(
                f"{place}.subject",
                f"no sweep measures {subject!r} in {mode}",
                "a claim is judged on what its suite measures",
            )


def _names(value: Any) -> list[str]:
    """The usable ones of a list of names, or of a single one."""
    return [item for item in _items(value) if isinstance(item, str)]


def _claims(table: Any) -> Iterator[Claim]:
    for subject in table.subject:
        law, at_most = table.law or table.at_most, table.law is None
        yield Claim(subject, table.mode, table.metric, law, at_most)


def _is_measured(claim: Claim, sweeps: Sequence[Sweep]) -> bool:
    return any(claim.subject in sweep.subjects and claim.mode in sweep.modes for sweep in sweeps)


def _whole_numbers(value: Any) -> list[int]:
    """The usable ones of an axis as it stands in the file; the others are told by their type."""
    counts = [as_count(item) for item in _items(value)]
    return [count for count in counts if isinstance(count, int) and count > 0]


def _items(value: Any) -> Sequence[Any]:
    """The values of an axis as it stands in the file: one, or a list; not more than may be."""
    return value[:MAX_VALUES] if isinstance(value, list | tuple) else [value]


def _problem(item: Any, origins: Mapping[str, str]) -> Problem:
    """A pydantic error as a problem with the place as a person would write it."""
    location = [part for part in item["loc"] if not str(part).startswith(("tuple[", "function-"))]
    keys = [part for part in location if isinstance(part, str)]
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    # An option replaces what sweeps say, not the defaults.
    mine = [] if keys[:1] == ["defaults"] else keys
    option = next((origins[key] for key in mine if key in origins), None)
    place = option or place
    kind, context, got = item["type"], item.get("ctx", {}), item.get("input")
    if kind == "extra_forbidden":
        table = keys[0] if len(keys) > 1 else ""
        known = KNOWN_KEYS.get(table, [])
        return Problem(place, "unknown key", nearest_hint("key", keys[-1], known))
    if kind == "missing":
        return Problem(place, "is missing")
    if kind == "model_type":
        return Problem(place, f"expected a table of keys, got {shown(got)}")
    if place == "sweep":
        return Problem(place, "expected at least one [[sweep]] table")
    if kind == "suite":
        return Problem(place, context["text"], context["hint"])
    message = item["msg"].replace("Input should be", "expected")
    return Problem(place, f"{message[0].lower()}{message[1:]}, got {shown(got)}")
