"""What a shell may complete: names, found without torch and without reading a run.

Every function here is a `shell_complete` of click: it answers at once, and never fails.
"""

from __future__ import annotations

import ast
import re
import tomllib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

from lmn_bench import places
from lmn_bench.cli.results_place import default_results

# What may be completed, with a word on each.
Names: TypeAlias = Mapping[str, str | None]
Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

# bash puts what is completed into the line as it is, where `$(…)` would be a command and a blank
# the end of a word; a hyphen in front would make an option of a name.
_TYPEABLE = re.compile(r"[\w@%+=:,./][\w@%+=:,./-]*")
_DEVICE_FILE = Path(places.__file__).with_name("devices.toml")


def _one(find: Callable[[click.Context, str], Names], *, files: bool = False) -> Completer:
    """Completes one name; with `files`, paths where no name fits."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        items = _items(_found(find, ctx, incomplete), incomplete)
        return items or ([CompletionItem(incomplete, type="file")] if files else [])

    return complete


def _list(find: Callable[[click.Context, str], Names]) -> Completer:
    """Completes the last of several names with commas between, but for those that are there."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        taken = {name.strip() for name in before.split(",")}
        names = {name: word for name, word in _found(find, ctx, last).items() if name not in taken}
        return _items(names, last, f"{before}{comma}")

    return complete


def _items(names: Names, begin: str, before: str = "") -> list[CompletionItem]:
    return [
        CompletionItem(f"{before}{name}", help=word)
        for name, word in names.items()
        if name.startswith(begin) and _TYPEABLE.fullmatch(name)
    ]


def _found(find: Callable[[click.Context, str], Names], ctx: click.Context, begin: str) -> Names:
    try:
        return find(ctx, begin)
    except (OSError, ValueError, SyntaxError):
        # A file or folder that can't be read: a shell has no use for the reason.
        return {}


def _plain(names: Iterable[str]) -> Names:
    return dict.fromkeys(names)


def _models(_: click.Context, begin: str) -> Names:
    from lmn_bench.subjects.names import BUILTIN

    return {**BUILTIN, **_own_models(begin)}


def _learners(_: click.Context, begin: str) -> Names:
    from lmn_bench.subjects.names import BUILTIN, LEARNERS

    return {**BUILTIN, **LEARNERS, **_own_models(begin)}


def _own_models(begin: str) -> Names:
    """Modules of the working directory, and the functions of the one that is named."""
    module, colon, _ = begin.partition(":")
    if not colon:
        files = sorted(path for path in Path().glob("*.py") if path.stem.isidentifier())
        return {f"{path.stem}:": f"a function of {path}" for path in files}
    path = Path(*module.split(".")).with_suffix(".py")
    with warnings.catch_warnings():
        # Python's remarks on somebody's code would land in the line that is being typed.
        warnings.simplefilter("ignore")
        body = ast.parse(path.read_text(encoding="utf-8", errors="replace")).body
    return _plain(
        f"{module}:{node.name}"
        for node in body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    )


def _modes(_: click.Context, __: str) -> Names:
    from lmn_bench.schema import ALL_MODES

    return ALL_MODES


def _suites(_: click.Context, __: str) -> Names:
    return _plain(places.suite_files())


def _devices(_: click.Context, __: str) -> Names:
    from lmn_bench.schema import DEVICES

    return _plain(DEVICES)


def _profiles(ctx: click.Context, begin: str) -> Names:
    rows = tomllib.loads(_DEVICE_FILE.read_text(encoding="utf-8"))
    return {**_devices(ctx, begin), **{name: row["title"] for name, row in rows.items()}}


def _dtypes(_: click.Context, __: str) -> Names:
    from lmn_bench.schema import DTYPES

    return _plain(DTYPES)


def _corpora(_: click.Context, __: str) -> Names:
    from lmn_bench.learning.names import CORPORA

    return CORPORA


def _tokens(_: click.Context, __: str) -> Names:
    from lmn_bench.learning.names import TOKENIZERS

    return TOKENIZERS


def _metrics(_: click.Context, __: str) -> Names:
    from lmn_bench.metrics import METRICS

    return {key: one.meaning for key, one in METRICS.items() if not one.exact}


def _counters(_: click.Context, __: str) -> Names:
    from lmn_bench.metrics import METRICS

    return {f"{key}=": one.meaning for key, one in METRICS.items() if one.exact}


def _settings(_: click.Context, __: str) -> Names:
    from lmn_bench.schema import Measuring, ModelSpec

    return _plain(f"{one.name}=" for kind in (ModelSpec, Measuring) for one in fields(kind))


def _results(ctx: click.Context) -> Path:
    return ctx.params.get("results") or default_results()


def _runs(ctx: click.Context, _: str) -> Names:
    return _plain(places.run_names(_results(ctx)))


def _baselines(ctx: click.Context, _: str) -> Names:
    return _plain(places.baseline_names(_results(ctx)))


def _sides(ctx: click.Context, begin: str) -> Names:
    return {**dict.fromkeys(_baselines(ctx, begin), "baseline"), **_runs(ctx, begin)}


model, model_list = _one(_models), _list(_models)
learner_list = _list(_learners)
mode, mode_list = _one(_modes), _list(_modes)
suite = _one(_suites, files=True)
device, device_list = _one(_devices), _list(_devices)
profile = _one(_profiles)
dtype = _one(_dtypes)
corpus, tokens = _one(_corpora, files=True), _one(_tokens, files=True)
metric, counter = _one(_metrics), _one(_counters)
setting = _one(_settings)
run = _one(_runs, files=True)
baseline = _one(_baselines)
side = _list(_sides)
