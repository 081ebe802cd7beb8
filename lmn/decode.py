"""Decoding one token at a time: a block's weights folded once, and a state in fixed memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor

from lmn import tree
from lmn.block import LMNBlock
from lmn.decode_eager import EagerExecution
from lmn.decode_execution import (
    Backend,
    CompiledExecution,
    CudaGraphRecorder,
    GraphExecution,
    Recorder,
)
from lmn.decode_state import DecodeState
from lmn.decode_weights import FoldedWeights, fold, stored
from lmn.memory import check_input, refuse_autocast
from lmn.state import MemoryState, state_type

# A level costs a few rows of memory, running out of levels costs the time of dozens of steps.
DEFAULT_MAX_TOKENS: Final = 1 << 20

Execution = Literal["eager", "compiled", "cuda_graph"]
EXECUTIONS: Final[tuple[str, ...]] = ("eager", "compiled", "cuda_graph")

__all__ = ["DEFAULT_MAX_TOKENS", "EXECUTIONS", "DecodeState", "Decoder", "Execution"]


class Decoder:
    """A block made ready to read one token at a time, without gradients.

    Computes what `LMNBlock.step` computes, from copies of the block's weights: make it anew after
    the block has been trained, loaded or moved. Numbers differ by rounding, since scales, norm
    weights and, for a single head, the output projection are folded into other weights.

        decoder = Decoder(block)
        state = decoder.initial_state()
        with torch.inference_mode():
            y = decoder.step(x, state)  # changes the state

    | execution | a step is | good for |
    |---|---|---|
    | `eager` | few operations, dispatched one by one | the fastest on a CPU |
    | `compiled` | two functions through torch.compile, one of them once per merge | devices \
where an operation costs more than a call into compiled code |
    | `cuda_graph` | one recorded graph per number of merges; not measured yet | NVIDIA GPUs, \
where dispatching costs more than computing |

    `compiled` needs two graphs for all positions, and two more when a state grows. On a CPU, each
    call costs more in torch's own checks (some 40 µs) than fusing saves: 110 to 140 µs a token
    against 20 with `eager` (width 32, float32, one thread of an AMD EPYC, means of 512 tokens). The
    two graphs cannot be had from `torch.compile(block.step)`: the shape of a `MemoryState` changes
    with every level, the operations of a step with the number of merges, and torch gives up after
    eight graphs. It counts to eight here too: by sizes of block, batch and state in one process.

    With bfloat16 or float16 weights the tree, its keys and values, scores and softmax are float32,
    and so is the state; inputs, outputs and the other products are of the weights' type. Error
    against float64 with the same rounded weights, relative to the norm, over 600 tokens of width 64
    (all summarizers, `eager` and in fixed shapes, on a CPU; at width 8 the worst token has 1.5 %):

    | weights | outputs, mean | outputs, worst token | nodes, any level |
    |---|---|---|---|
    | bfloat16 | 0.25 % | 0.4 % | 0.3 % |
    | float16 | 0.03 % | 0.05 % | 0.04 % |

    Args:
        block: the block whose weights, type and device are copied.
        execution: how a step runs; never chosen silently.
        backend: of torch.compile, for `compiled` alone. The standard one needs a C++ compiler for
            CPUs.
        new_recorder: for `cuda_graph` alone: what records graphs in place of CUDA; see
            `lmn.decode_execution.GraphExecution`.

    Raises:
        ValueError: `execution` is unknown, or cannot run on the block's device.
    """

    # ordinary tensors, which work both inside and outside inference mode
    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(
        self,
        block: LMNBlock,
        *,
        execution: Execution = "eager",
        backend: Backend = "inductor",
        new_recorder: Callable[[torch.device], Recorder] | None = None,
    ) -> None:
        weight = block.memory.output.weight
        self.config, self.execution = block.config, execution
        self.dtype, self.device = weight.dtype, weight.device
        self.state_dtype = state_type(self.dtype)
        # a device without autocast is asked about one that has it off
        known = torch.amp.is_autocast_available(self.device.type)
        self._device_type = self.device.type if known else "cpu"
        folded = fold(block)
        self._key_value = stored(folded.key_value, self.dtype)
        self._key_value_bias = stored(folded.key_value_bias, self.dtype)
        self._execution = _make_execution(block, folded, execution, backend, new_recorder)
        self._state_type: type[DecodeState] = self._execution.state_type
        self._run: Callable[..., Tensor] = self._execution.step

    def initial_state(self, batch: int = 1, *, max_tokens: int = DEFAULT_MAX_TOKENS) -> DecodeState:
        """State before the first token of `batch` sequences.

        Args:
            batch: sequences read side by side.
            max_tokens: tokens to make room for; beyond them the state grows by itself.

        Raises:
            ValueError: one of them is below 1.
        """
        if batch < 1 or max_tokens < 1:
            raise ValueError(
                f"batch and max_tokens must be at least 1, got {batch} and {max_tokens}"
            )
        levels = tree.level_count(max_tokens)
        return self._state_type(self.config, batch, levels, self.dtype, self.device)

    @torch.inference_mode(False)
    @torch.no_grad()
    def from_memory_state(
        self, memory_state: MemoryState, *, max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> DecodeState:
        """State that goes on where `LMNBlock.forward` or `LMNBlock.step` stopped.

        Args:
            memory_state: what the block returned, of the type of the weights or of the state; stays
                as it is.
            max_tokens: tokens to make room for, counted from the start of the sequence; beyond
                them the state grows by itself.

        Raises:
            ValueError: the state belongs to another configuration.
            TypeError: the state is no `MemoryState`, or of another type.
        """
        self._check_memory_state(memory_state)
        seen = memory_state.tokens_seen
        state = self.initial_state(memory_state.batch, max_tokens=max(max_tokens, seen))
        if seen:
            nodes = memory_state.nodes.to(self.device)
            key_value = self._projected(nodes)
            state._load(nodes, key_value, seen)
        return state

    @torch.no_grad()
    def to_memory_state(self, state: DecodeState) -> MemoryState:
        """The same memory, of the state's type, for `LMNBlock.forward` or `LMNBlock.step`.

        `state` stays as it is.
        """
        nodes = state.nodes.clone()
        return MemoryState(nodes, state.tokens_seen, self.config.banks, self.config.expansion)

    def _projected(self, nodes: Tensor) -> Tensor:
        """Keys and values (batch, slots, 2 * width) of the state's type, made in the weights'."""
        rows = nodes.to(self.dtype).flatten(0, 1)
        projected = torch.addmm(self._key_value_bias, rows, self._key_value).to(self.state_dtype)
        return torch.unflatten(projected, 0, nodes.shape[:2])

    def step(self, x: Tensor, state: DecodeState) -> Tensor:
        """Read one token, and change `state` to the one after it.

        Rebuilds as many levels as the token's number has zeros at the end of its binary form: fewer
        than one on average, all of them at a power of two.

        Args:
            x: (batch, width), of the decoder's type and on its device.
            state: from `initial_state`, `from_memory_state` or `DecodeState.clone`; changed in
                place. All of them are of the decoder's `execution`.

        Returns:
            The output (batch, width).

        Raises:
            ValueError: `x` has the wrong shape or device, or `state` does not fit `x` or the block.
            TypeError: `x` has another type than the weights, or `state` is no `DecodeState`, or one
                of another `execution`.
            RuntimeError: gradients are asked for.
        """
        if (
            type(state) is not self._state_type
            or x.shape != state.shape
            or x.dtype is not self.dtype
            or x.device != self.device
            or state.input_dtype is not self.dtype
            or state.device != self.device
            or state.config is not self.config
            or x.requires_grad
            or torch.is_autocast_enabled(self._device_type)
        ):
            self._check_step(x, state)
        token = state.tokens_seen + 1
        levels = tree.level_count(token)
        if levels > state.levels:
            state._grow(levels)
        y = self._run(x, state, tree.merges_at(token), levels)
        state.tokens_seen = token
        return y

    def _check_memory_state(self, memory_state: MemoryState) -> None:
        config = self.config
        if not isinstance(memory_state, MemoryState):
            raise TypeError(
                f"expected a MemoryState, got {type(memory_state).__name__}; pass what "
                "LMNBlock.forward returned, or begin with initial_state()"
            )
        made_for = (memory_state.width, memory_state.banks, memory_state.expansion)
        if made_for != (config.width, config.banks, config.expansion):
            raise ValueError(
                "the state belongs to another configuration: it has width, banks, expansion = "
                f"{made_for}, this decoder {(config.width, config.banks, config.expansion)}"
            )
        if memory_state.nodes.dtype not in (self.dtype, self.state_dtype):
            raise TypeError(
                f"the state is {memory_state.nodes.dtype} and the decoder {self.dtype}; convert "
                "the state with state.to(decoder.state_dtype)"
            )

    def _check_step(self, x: Tensor, state: DecodeState) -> None:
        if not isinstance(state, DecodeState):
            raise TypeError(
                f"state must be a DecodeState, got {type(state).__name__}; use initial_state(), or "
                "from_memory_state() for the state of a block"
            )
        if not isinstance(state, self._state_type):
            raise TypeError(
                f"execution={self.execution!r} works on states of type "
                f"{self._state_type.__name__}, got {type(state).__name__}; make one with "
                "initial_state() and copy_from(state)"
            )
        refuse_autocast(self.device)
        check_input(x, self.config.width, ("batch", "width"))
        if state.config != self.config:
            raise ValueError(
                f"the state belongs to another configuration: it was made for {state.config}, this "
                f"decoder for {self.config}"
            )
        if state.batch != x.shape[0]:
            raise ValueError(
                f"the state holds {state.batch} sequences and the input {x.shape[0]}; make a state "
                f"with initial_state({x.shape[0]})"
            )
        for name, dtype, device in (
            ("input", x.dtype, x.device),
            ("state", state.input_dtype, state.device),
        ):
            if dtype != self.dtype:
                raise TypeError(
                    f"the decoder is {self.dtype} and the {name} {dtype}; convert the input, "
                    "or the block, and then make decoder and state anew"
                )
            if device != self.device:
                raise ValueError(
                    f"the decoder is on {self.device} and the {name} on {device}; move the "
                    "input, or the block, and then make decoder and state anew"
                )
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                "a decoder computes no gradients, but its input asks for them; run it under "
                "torch.inference_mode(), or train with LMNBlock.forward or LMNBlock.step"
            )


def _make_execution(
    block: LMNBlock,
    folded: FoldedWeights,
    execution: str,
    backend: Backend,
    new_recorder: Callable[[torch.device], Recorder] | None,
) -> EagerExecution | CompiledExecution | GraphExecution:
    if execution not in EXECUTIONS:
        raise ValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {execution!r}")
    weight = block.memory.output.weight
    if execution == "compiled":
        return CompiledExecution(block.config, folded, weight.dtype, backend)
    if execution == "eager":
        return EagerExecution(block.config, folded, weight.dtype)
    if new_recorder is None:
        if weight.device.type != "cuda":
            raise ValueError(
                f"execution='cuda_graph' needs a CUDA device, and the block is on {weight.device}; "
                "move it there first, or choose 'eager' or 'compiled'"
            )
        new_recorder = CudaGraphRecorder
    return GraphExecution(block.config, folded, weight.dtype, new_recorder)
