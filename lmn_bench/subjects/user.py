"""Users' own models: "package.module:factory" becomes a subject.

The factory is called as `factory(spec, dtype=..., device=...)` with a `ModelSpec`. What it returns
needs `parameters()` and the methods of at least one mode (see `protocol`). The rest is filled in:

* `train_step` and `prefill` fall back on `forward(x)`, (batch, tokens, width) in and out (a tuple's
  first entry counts), so that a plain `nn.Module` can be measured in train and prefill;
* `copy_state` falls back on a deep copy, `state_bytes` on the sum over the state's tensors, and
  `slots` on `None`.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmn_bench.errors import SubjectError, nearest_hint
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.protocol import State, Subject, sequence_loss
from lmn_bench.subjects.search import search_path

# Tokens in the trial call of a new model: enough for a wrong axis order to show.
PROBE_TOKENS = 5
# What a mode calls of a model; where it lacks that, `forward`.
_METHOD_OF_MODE = {
    "train": "train_step", "prefill": "prefill", "read": "read", "decode": "decode",
    "stream": "decode",
}  # fmt: skip
FACTORY_HINT = "a factory is called as factory(spec, dtype=..., device=...)"
MODES_HINT = (
    "give it forward(x) for train and prefill; prefill(x) -> (y, state) with decode(x_t, state) -> "
    "(y_t, state) for decode; initial_state(batch, capacity=...) for stream; and read(x) -> (last "
    "y_t, state) for read"
)


def load(name: str, spec: ModelSpec, *, dtype: torch.dtype, device: torch.device) -> Subject:
    """Import the factory that `name` names, call it, and make a subject of what it returns.

    Raises:
        SubjectError: saying which of these steps failed, and what to do.
    """
    model = make(name, spec, dtype=dtype, device=device)
    if isinstance(model, nn.Module):
        model = model.to(device=device, dtype=dtype).eval()
    subject = UserModel(name, model)
    _probe(subject, name, spec, dtype, device)
    return subject


def make(name: str, spec: ModelSpec, *, dtype: torch.dtype, device: torch.device) -> Any:
    """Import the factory that `name` names, and call it; what it returns is not looked at.

    Raises:
        SubjectError: it cannot be imported, or it raised an error.
    """
    factory = _import_factory(name)
    try:
        return factory(spec, dtype=dtype, device=device)
    except Exception as error:
        raise SubjectError(
            f"{name} raised {type(error).__name__}: {error}", FACTORY_HINT
        ) from error


def _import_factory(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise SubjectError(f"{name!r} names no factory", 'write it as "package.module:factory"')
    here = str(Path.cwd())
    sys.path[:] = search_path(sys.path, os.environ, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module_name}.".startswith(f"{missing}."):
            raise SubjectError(
                f"{name}: no module named {missing!r}",
                f"run from the folder that holds it ({here} was searched), or install it",
            ) from error
        raise SubjectError(
            f"{name}: importing {module_name} raised {type(error).__name__}: {error}",
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
    return factory  # type: ignore[no-any-return]


class UserModel:
    """A user's model as a subject; what it lacks and can be done without is filled in.

    Attributes:
        modes: what it can be measured in.

    Raises:
        SubjectError: it has no `parameters()`, or the methods of no mode.
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.model = model
        own = frozenset(
            method
            for method in ("train_step", "prefill", "read", "decode", "initial_state",
                           "copy_state", "state_bytes", "slots", "parameters")
            if callable(getattr(model, method, None))
        )  # fmt: skip
        self._own = own
        self._has_forward = isinstance(model, nn.Module) and (
            type(model).forward is not nn.Module.forward
        )
        if "parameters" not in own:
            raise SubjectError(
                f"{name} returned an object of type {type(model).__name__}, which lacks "
                "parameters()",
                "return a torch.nn.Module, or give it parameters() -> its tensors",
            )
        whole = self._has_forward
        can = {
            "train": whole or "train_step" in own,
            "prefill": whole or "prefill" in own,
            "read": "read" in own,
            "decode": {"prefill", "decode"} <= own,
            "stream": {"initial_state", "decode"} <= own,
        }
        self.modes = frozenset(mode for mode, able in can.items() if able)
        if not self.modes:
            raise SubjectError(
                f"{name} returned a {type(model).__name__} that can be measured in no mode: it "
                "lacks forward, train_step, prefill, read and decode",
                MODES_HINT,
            )
        if "prefill" in own:
            self._prefill_takes_capacity = _takes(model.prefill, "capacity")

    @property
    def can_compile(self) -> bool:
        """Whether the model is something that torch.compile takes."""
        return isinstance(self.model, nn.Module)

    def compile_for(self, mode: str) -> None:
        """Hand the model's own method that `mode` calls to torch.compile."""
        method = _METHOD_OF_MODE[mode]
        method = method if method in self._own else "forward"
        setattr(self.model, method, torch.compile(getattr(self.model, method)))

    def _need(self, mode: str, method: str) -> None:
        if method not in self._own:
            can = ", ".join(sorted(self.modes))
            raise SubjectError(
                f"{self.name} cannot be measured in {mode}: it lacks {method}(); it can be in: "
                f"{can}",
                MODES_HINT,
            )

    def parameters(self) -> Iterable[nn.Parameter]:
        """The model's own."""
        parameters: Iterable[nn.Parameter] = self.model.parameters()
        return parameters

    def train_step(self, x: Tensor) -> Tensor:
        """The model's own, or forward and backward of `sequence_loss`."""
        if "train_step" in self._own:
            loss: Tensor = self.model.train_step(x)
            return loss
        if not self._has_forward:
            self._need("train", "train_step")
        self.model.zero_grad(set_to_none=True)
        self.model.train()
        try:
            result = sequence_loss(output_of(self.model(x)))
            torch.autograd.backward(result)
        finally:
            self.model.eval()
        return result.detach()

    def prefill(self, x: Tensor, *, capacity: int | None = None) -> tuple[Tensor, State]:
        """The model's own, or its forward pass with no state."""
        if "prefill" not in self._own:
            if not self._has_forward:
                self._need("prefill", "prefill")
            return output_of(self.model(x)), None
        extra = {"capacity": capacity} if self._prefill_takes_capacity else {}
        result: tuple[Tensor, State] = self.model.prefill(x, **extra)
        return result

    def read(self, x: Tensor) -> tuple[Tensor, State]:
        """The model's own."""
        self._need("read", "read")
        result: tuple[Tensor, State] = self.model.read(x)
        return result

    def context(self, x: Tensor, *, capacity: int) -> State:
        """The state of its prefill."""
        return self.prefill(x, capacity=capacity)[1]

    def initial_state(self, batch: int, *, capacity: int) -> State:
        """The model's own."""
        self._need("stream", "initial_state")
        takes = _takes(self.model.initial_state, "capacity")
        return self.model.initial_state(batch, **({"capacity": capacity} if takes else {}))

    def decode(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """The model's own."""
        self._need("decode", "decode")
        result: tuple[Tensor, State] = self.model.decode(x_t, state)
        return result

    def copy_state(self, state: State) -> State:
        """The model's own, or a deep copy."""
        if "copy_state" in self._own:
            return self.model.copy_state(state)
        return copy.deepcopy(state)

    def state_bytes(self, state: State) -> int:
        """The model's own, or the sum over all tensors in the state; 0 where there is none."""
        if "state_bytes" in self._own:
            return int(self.model.state_bytes(state))
        tensors = {id(tensor): tensor for tensor in _tensors(state)}
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

    def slots(self, length: int) -> int | None:
        """The model's own, or `None`."""
        if "slots" not in self._own:
            return None
        slots: int | None = self.model.slots(length)
        return slots


def _takes(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def output_of(result: Any) -> Tensor:
    """The outputs in what a forward pass returned: the first entry where there are several."""
    output: Tensor = result[0] if isinstance(result, tuple | list) else result
    return output


def _tensors(state: Any) -> Iterator[Tensor]:
    """All tensors inside containers, data classes and plain objects."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for part in state.values():
            yield from _tensors(part)
    elif isinstance(state, list | tuple | set | frozenset):
        for part in state:
            yield from _tensors(part)
    elif is_dataclass(state):
        for field in fields(state):
            yield from _tensors(getattr(state, field.name))
    elif hasattr(state, "__dict__"):
        yield from _tensors(vars(state))


def _probe(
    subject: UserModel, name: str, spec: ModelSpec, dtype: torch.dtype, device: torch.device
) -> None:
    """Try a few tokens, so that a wrong shape is told before anything is measured."""
    tokens = torch.ones(1, PROBE_TOKENS, spec.width, dtype=dtype, device=device)
    with torch.inference_mode():
        if "prefill" in subject.modes:
            result = _attempt(name, "prefill", subject.prefill, tokens, capacity=PROBE_TOKENS + 1)
            _check_output(name, "prefill", result[0], tokens)
            if "decode" in subject.modes:
                result = _attempt(name, "decode", subject.decode, tokens[:, 0], result[1])
                _check_output(name, "decode", result[0], tokens[:, 0])
        if "read" in subject.modes:
            result = _attempt(name, "read", subject.read, tokens)
            _check_output(name, "read", result[0], tokens[:, 0])
        if "stream" in subject.modes:
            state = _attempt(name, "initial_state", subject.initial_state, 1, capacity=1)
            result = _attempt(name, "decode", subject.decode, tokens[:, 0], state)
            _check_output(name, "decode", result[0], tokens[:, 0])


def _attempt(name: str, method: str, function: Callable[..., Any], *args: Any, **extra: Any) -> Any:
    try:
        result = function(*args, **extra)
    except Exception as error:
        shape = f" of shape {tuple(args[0].shape)}" if isinstance(args[0], Tensor) else ""
        raise SubjectError(
            f"{name}: {method} raised {type(error).__name__} on a trial input{shape}: {error}",
            "inputs are (batch, tokens, width), and (batch, width) for decode",
        ) from error
    if method != "initial_state" and not (isinstance(result, tuple) and len(result) == 2):
        raise SubjectError(
            f"{name}: {method} returned {type(result).__name__}, not (output, state)", MODES_HINT
        )
    return result


def _check_output(name: str, method: str, output: Any, x: Tensor) -> None:
    got = (
        f"{output.dtype} of shape {tuple(output.shape)}"
        if isinstance(output, Tensor)
        else type(output).__name__
    )
    expected = f"{x.dtype} of shape {tuple(x.shape)}"
    if got != expected:
        raise SubjectError(
            f"{name}: {method} gave {got} for {expected}",
            "a subject's outputs have the shape and type of its inputs",
        )
