"""Users' own models: "package.module:factory" becomes a subject.

The factory is called with a `ModelSpec`, and `dtype` and `device` if it takes them (see `factory`).
What it returns needs the methods of at least one mode (see `protocol`). The rest is filled in:

* `train_step` and `prefill` fall back on `forward(x)`, (batch, tokens, width) in and out (see
  `inside.output_of` for other containers), so that a plain `nn.Module` or function can be measured;
* `copy_state` falls back on a deep copy, `state_bytes` on the sum over the state's tensors, and
  `slots` on `None`.

Nothing is called here: how a model behaves is found out by `worker.trial`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from lmn_bench.errors import SubjectError
from lmn_bench.outcomes import says_out_of_memory
from lmn_bench.plain import message_of, said_at
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.conversion import convert
from lmn_bench.subjects.factory import make
from lmn_bench.subjects.inside import model_parts, output_of, state_bytes
from lmn_bench.subjects.lazy import make_lazy_parts
from lmn_bench.subjects.protocol import INFERENCE, State, Subject, sequence_loss

# What a mode calls of a model; where it lacks that, `forward`.
_METHOD_OF_MODE = {
    "train": "train_step", "prefill": "prefill", "read": "read", "decode": "decode",
    "stream": "decode",
}  # fmt: skip
MODES_HINT = (
    "give it forward(x) for train and prefill; prefill(x) -> (y, state) with decode(x_t, state) -> "
    "(y_t, state) for decode; initial_state(batch, capacity=...) for stream; and read(x) -> (last "
    "y_t, state) for read"
)
# Calls outside of training, the strictest first: as most people run a model, and what is left to
# one that cannot run so, because it computes gradients itself, for one.
CALLINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    INFERENCE: torch.inference_mode, "no_grad": torch.no_grad,
    "gradients": nullcontext,
}  # fmt: skip
# Prefill lengths that models take multiples of, the longest first.
_MULTIPLES = (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2)


def load(
    name: str,
    spec: ModelSpec,
    *,
    dtype: torch.dtype,
    device: torch.device,
    length: int | None = None,
) -> Subject:
    """Import the factory that `name` names, call it, and make a subject of what it returns.

    Lazy layers are made by a call of `length` tokens, or of as many as it takes.

    Raises:
        SubjectError: saying which of these steps failed, and what to do.
    """
    model = make(name, spec, dtype=dtype, device=device)
    notes: list[str] = []
    if isinstance(model, nn.Module):
        notes += prepared(name, model, dtype, device)
        make_lazy_parts(name, model, spec.width, dtype, device, length)
    return UserModel(name, model, notes)


def prepared(name: str, model: nn.Module, dtype: torch.dtype, device: torch.device) -> list[str]:
    """Convert a model to `dtype` on `device`, and set it to evaluation; what is to be told of it.

    Raises:
        SubjectError: it cannot be moved or converted.
    """
    try:
        notes = convert(model, dtype, device)
    except Exception as error:
        raise SubjectError(
            f"{name} cannot be moved to {device} in {str(dtype).removeprefix('torch.')}: "
            f"{said_at(error)}",
            "make it there: factory(spec, dtype=..., device=...) gets both",
        ) from error
    try:
        model.eval()
    except Exception as error:
        notes.append(f"eval() raised {said_at(error)}: the model was left as it is")
    return notes


class UserModel:
    """A user's model as a subject; what it lacks and can be done without is filled in.

    Attributes:
        modes: what it can be measured in.
        lacks: why not in others, where there is more to say.
        notes: what a record should tell of it.
        calling: which of `CALLINGS` it runs under outside of training.
        changes_input: whether a call writes into the tensor that it is given.

    Raises:
        SubjectError: it has the methods of no mode.
    """

    def __init__(self, name: str, model: Any, notes: Sequence[str] = ()) -> None:
        self.name = name
        self.model = model
        self.notes = list(notes)
        self.lacks: dict[str, str] = {}
        self.calling = INFERENCE
        self.changes_input = False
        own = frozenset(
            method
            for method in ("train_step", "prefill", "read", "decode", "initial_state",
                           "copy_state", "state_bytes", "slots", "parameters")
            if callable(getattr(model, method, None))
        )  # fmt: skip
        self._own = own
        self._has_forward = has_forward(model)
        whole = self._has_forward
        can = {
            "train": (whole and self._learns()) or "train_step" in own,
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
        if whole and not can["train"]:
            self.lacks["train"] = "none of its parameters requires a gradient"
        if "parameters" not in own:
            self.notes.append(
                "no parameters(): weights that it may hold count as none (a torch.nn.Module has it)"
            )
        elif isinstance(model, nn.Module) and _is_packed(model):
            self.notes.append("packed weights (of a quantised model) count as no parameters")
        if "prefill" in own:
            self._prefill_takes_capacity = _takes(model.prefill, "capacity")

    def _learns(self) -> bool:
        return any(parameter.requires_grad for parameter in self.parameters())

    @property
    def can_compile(self) -> bool:
        """Whether the model is something that torch.compile takes."""
        return isinstance(self.model, nn.Module)

    def compile_for(self, mode: str) -> None:
        """Hand the model's own method that `mode` calls to torch.compile."""
        method = _METHOD_OF_MODE[mode]
        method = method if method in self._own else "forward"
        setattr(self.model, method, torch.compile(getattr(self.model, method)))

    def calls(self) -> AbstractContextManager[object]:
        """The grad mode of calls that are not training."""
        return CALLINGS[self.calling]()

    def _need(self, mode: str, method: str) -> None:
        if method not in self._own:
            can = ", ".join(sorted(self.modes))
            raise SubjectError(
                f"{self.name} cannot be measured in {mode}: it lacks {method}(); it can be in: "
                f"{can}",
                MODES_HINT,
            )

    def parameters(self) -> Iterable[nn.Parameter]:
        """The model's own; none where it does not tell."""
        if "parameters" not in self._own:
            return ()
        parameters: Iterable[nn.Parameter] = self.model.parameters()
        return parameters

    def train_step(self, x: Tensor) -> Tensor:
        """The model's own, or forward and backward of `sequence_loss`."""
        if "train_step" in self._own:
            loss: Tensor = self.model.train_step(x)
            return loss
        if not self._has_forward:
            self._need("train", "train_step")
        self._drop_gradients()
        self._switch("train")
        try:
            result = sequence_loss(output_of(self.model(x), x))
            torch.autograd.backward(result)
        finally:
            self._switch("eval")
        return result.detach()

    def _drop_gradients(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def _switch(self, to: str) -> None:
        # Exported and frozen graphs are what they are, and say so.
        with suppress(AttributeError, NotImplementedError, RuntimeError):
            getattr(self.model, to)()

    def prefill(self, x: Tensor, *, capacity: int | None = None) -> tuple[Tensor, State]:
        """The model's own, or its forward pass with no state."""
        if "prefill" not in self._own:
            if not self._has_forward:
                self._need("prefill", "prefill")
            return output_of(self.model(x), x), None
        extra = {"capacity": capacity} if self._prefill_takes_capacity else {}
        result: tuple[Tensor, State] = self.model.prefill(x, **extra)
        return result

    def read(self, x: Tensor) -> tuple[Tensor, State]:
        """The model's own."""
        self._need("read", "read")
        result: tuple[Tensor, State] = self.model.read(x)
        return result

    def context(self, x: Tensor, *, capacity: int) -> State:
        """The state of its prefill, of as many tokens as it takes at once, and the rest one by one.

        Raises:
            SubjectError: it takes no such number of tokens.
        """
        refused: Exception | None = None
        whole = x.shape[1]
        lengths = (whole, *(whole - whole % n for n in _MULTIPLES if n < whole))
        for length in dict.fromkeys(lengths):
            try:
                state = self.prefill(x[:, :length], capacity=capacity)[1]
            except Exception as error:
                if isinstance(error, MemoryError) or says_out_of_memory(message_of(error)):
                    raise
                refused = refused or error
                continue
            for token in x[:, length:].unbind(1):
                _, state = self.decode(token, state)
            return state
        assert refused is not None
        raise refused

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
        """The model's own, or a deep copy of all but the model itself.

        Raises:
            SubjectError: it cannot be copied.
        """
        if "copy_state" in self._own:
            return self.model.copy_state(state)
        try:
            return copy.deepcopy(state, model_parts(self.model))
        except (TypeError, RuntimeError) as error:
            if says_out_of_memory(message_of(error)):
                raise
            raise SubjectError(
                f"{self.name}: its state cannot be copied: {said_at(error)}",
                "give the model copy_state(state) -> an independent copy",
            ) from error

    def state_bytes(self, state: State) -> int:
        """The model's own, or the sum over all tensors in the state; 0 where there is none."""
        if "state_bytes" in self._own:
            return int(self.model.state_bytes(state))
        return state_bytes(state, self.model)

    def slots(self, length: int) -> int | None:
        """The model's own, or `None`; also where something else goes by that name."""
        if "slots" not in self._own:
            return None
        with suppress(Exception):
            slots = self.model.slots(length)
            return slots if isinstance(slots, int) else None
        return None


def _is_packed(model: nn.Module) -> bool:
    """Whether weights are kept in something that is no tensor."""
    with suppress(Exception):
        return any(not isinstance(kept, Tensor) for kept in model.state_dict().values())
    return False


def has_forward(model: Any) -> bool:
    """Whether calling the model does something: a function, or a module with a forward."""
    if not isinstance(model, nn.Module):
        return callable(model)
    if isinstance(model, torch.jit.ScriptModule):
        return callable(getattr(model, "forward", None))
    return "forward" in vars(model) or type(model).forward is not nn.Module.forward


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
