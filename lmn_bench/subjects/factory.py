"""Import the factory that a user named, and call it with what it takes."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmn_bench.errors import SubjectError, nearest_hint
from lmn_bench.plain import one_line, said_at, said_by
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.printed import Printed
from lmn_bench.subjects.search import search_path

FACTORY_HINT = "a factory is called as factory(spec, dtype=..., device=...)"
_SPEC_NAMES = frozenset({"spec", "model_spec", "config", "cfg"})
# A function of this alone is no factory, it is the model.
_INPUT_NAMES = frozenset({"x", "input", "inputs", "hidden", "hidden_states"})
_SIZES = frozenset(field.name for field in fields(ModelSpec))


def make(name: str, spec: ModelSpec, *, dtype: torch.dtype, device: torch.device) -> Any:
    """Import the factory that `name` names, and call it with as much as it takes.

    A module, or a function of nothing but the input, is the model itself.

    Raises:
        SubjectError: it cannot be imported, or it raised an error or exited.
    """
    factory = _import_factory(name)
    if isinstance(factory, nn.Module) or _is_model(factory):
        return factory
    positional, named = _arguments(factory, spec, dtype, device)
    printed = Printed()
    try:
        model = factory(*positional, **named)
    except SystemExit as error:
        raise SubjectError(
            f"{name} called sys.exit({_exit_code(error)}){printed.last_words()}",
            "a factory makes a model and returns it: it must not end the program",
        ) from error
    except Exception as error:
        raise SubjectError(f"{name} raised {said_at(error)}", FACTORY_HINT) from error
    if inspect.isclass(model):
        raise SubjectError(
            f"{name} returned the class {model.__name__}, not a model of it", "return an instance"
        )
    return model


def _import_factory(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise SubjectError(f"{name!r} names no factory", 'write it as "package.module:factory"')
    here = str(Path.cwd())
    sys.path[:] = search_path(sys.path, os.environ, here)
    printed = Printed()
    try:
        module = importlib.import_module(module_name)
    except SystemExit as error:
        raise SubjectError(
            f"{name}: importing {module_name} called sys.exit({_exit_code(error)})"
            f"{printed.last_words()}",
            'it is run as a script when it is imported: put that part under if __name__ == "'
            '__main__":',
        ) from error
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module_name}.".startswith(f"{missing}."):
            raise SubjectError(
                f"{name}: no module named {missing!r}",
                f"run from the folder that holds it ({here} was searched), or install it",
            ) from error
        raise SubjectError(
            f"{name}: importing {module_name} raised {said_at(error)}",
            f'try: python -c "import {module_name}"',
        ) from error
    factory = getattr(module, attribute, None)
    if factory is None:
        public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise SubjectError(
            f"{name}: module {module_name} has no {attribute!r}",
            nearest_hint("callable", attribute, public),
        )
    if not callable(factory):
        raise SubjectError(
            f"{name}: {attribute!r} is of type {type(factory).__name__} and cannot be called",
            FACTORY_HINT,
        )
    return factory


def _exit_code(error: SystemExit) -> str:
    if error.code is None or isinstance(error.code, int):
        return f"{error.code}" if error.code is not None else ""
    return repr(one_line(said_by(error).removeprefix("SystemExit: ")))


def _signature(factory: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):
        return None


def _is_model(factory: Callable[..., Any]) -> bool:
    if inspect.isclass(factory) or (signature := _signature(factory)) is None:
        return False
    needed = [p.name for p in signature.parameters.values() if p.default is p.empty]
    return len(needed) == 1 and needed[0] in _INPUT_NAMES


def _arguments(
    factory: Callable[..., Any], spec: ModelSpec, dtype: torch.dtype, device: torch.device
) -> tuple[list[Any], dict[str, Any]]:
    """What of spec, dtype, device and the sizes by name this factory takes."""
    everything = {"dtype": dtype, "device": device}
    signature = _signature(factory)
    if signature is None:
        return [spec], everything
    if inspect.isclass(factory) and getattr(factory, "__init__", None) is nn.Module.__init__:
        return [], {}
    parameters = signature.parameters.values()
    of_spec = _parameter_of_spec(signature)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name == of_spec:
            value: Any = spec
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= {key: one for key, one in everything.items() if key not in named}
            if of_spec is None:
                named["spec"] = spec
            continue
        elif parameter.name in everything:
            value = everything[parameter.name]
        elif parameter.name in _SIZES and (of_spec is None or parameter.default is parameter.empty):
            value = getattr(spec, parameter.name)
        else:
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            positional.append(value)
        else:
            named[parameter.name] = value
    return positional, named


def _parameter_of_spec(signature: inspect.Signature) -> str | None:
    """The parameter that the whole spec goes to, if there is one."""
    parameters = signature.parameters.values()
    for parameter in parameters:
        if parameter.name in _SPEC_NAMES and parameter.kind is not parameter.VAR_KEYWORD:
            return parameter.name
    known = {"dtype", "device", *_SIZES}
    for parameter in parameters:
        first = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        needed = parameter.default is parameter.empty and parameter.name not in known
        if (first and needed) or parameter.kind is parameter.VAR_POSITIONAL:
            return parameter.name
    return None
