"""Two ways to run the fixed shapes of `lmn.decode_static`: compiled, and as recorded graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from lmn.config import LMNConfig
from lmn.decode_static import StaticWeights, merge_level, read_token, static_weights
from lmn.decode_static_state import LEFT, RIGHT, StaticState
from lmn.decode_weights import FoldedWeights

# A backend of torch.compile, by name or as a function.
Backend = str | Callable[..., Any]
# Runs before a capture: libraries choose kernels and allocate on first use, which a graph must not.
WARMUP_RUNS: Final = 3


class CompiledExecution:
    """Both functions through torch.compile, called from Python: one merge after the other."""

    state_type = StaticState

    def __init__(
        self, config: LMNConfig, folded: FoldedWeights, dtype: torch.dtype, backend: Backend
    ) -> None:
        self._weights = static_weights(config, folded, dtype)
        self._merge, self._read = _compiled(backend)

    # graphs are compiled for one grad mode: always the same one, whatever the caller's is
    @torch.inference_mode(False)
    @torch.no_grad()
    def step(self, x: Tensor, state: StaticState, merges: int, levels: int) -> Tensor:
        """The step that rebuilds `merges` levels and sees `levels` of them."""
        _begin(x, state, levels)
        return _run(state, merges, self._merge, self._read, self._weights)


class Recording(NamedTuple):
    """Operations that `replay` runs once more, on the same memory; `output` is then new."""

    replay: Callable[[], None]
    output: Tensor


# Records operations that may run any number of times before: once is as good as twice.
Recorder = Callable[[Callable[[], Tensor]], Recording]


class GraphExecution:
    """All operations of a step as one graph, recorded once per state and number of merges.

    Addresses are part of a graph, so graphs lie with the state, and go when it moves. The mask is
    changed between graphs, not by them: a new level needs no new graph but that of its merge.

    Args:
        config: sizes.
        folded: weights.
        dtype: of inputs and weights.
        new_recorder: makes what records the graphs of one state, on the device given.
    """

    state_type = StaticState

    def __init__(
        self,
        config: LMNConfig,
        folded: FoldedWeights,
        dtype: torch.dtype,
        new_recorder: Callable[[torch.device], Recorder],
    ) -> None:
        self._weights = static_weights(config, folded, dtype)
        self._new_recorder = new_recorder

    @torch.inference_mode(False)
    @torch.no_grad()
    def step(self, x: Tensor, state: StaticState, merges: int, levels: int) -> Tensor:
        """The step that rebuilds `merges` levels and sees `levels` of them."""
        _begin(x, state, levels)
        # by decoder, too: another one's graphs hold other weights
        if self not in state.recordings:
            state.recordings[self] = self._new_recorder(state.device), {}
        record, recordings = state.recordings[self]
        if merges not in recordings:
            recordings[merges] = record(
                lambda: _run(state, merges, merge_level, read_token, self._weights)
            )
        recording = recordings[merges]
        recording.replay()
        output: Tensor = recording.output.clone()
        return output


class CudaGraphRecorder:
    """Captures CUDA graphs that share a pool of memory: they must not run side by side.

    Not measured yet: written without a GPU at hand, after torch's notes on CUDA graphs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, operations: Callable[[], Tensor]) -> Recording:
        """Warm up on a stream of its own, as torch asks for, then capture."""
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARMUP_RUNS):
                    operations()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                output = operations()
        return Recording(graph.replay, output)


def _begin(x: Tensor, state: StaticState, levels: int) -> None:
    """Put the token where every step finds it, and show it the levels that exist."""
    state.x.copy_(x)
    if levels > state.unmasked:
        state.unmask(levels)


def _run(
    state: StaticState,
    merges: int,
    merge: Callable[..., None],
    read: Callable[..., Tensor],
    weights: StaticWeights,
) -> Tensor:
    """Merge levels 1..merges, then read; the highest node made is a left child, all below right."""
    x, memory = state.x, state.memory
    token_row = state.token_rows[RIGHT if merges else LEFT]
    for level, rows in enumerate(state.merges[:merges], start=1):
        parent = rows.parent[RIGHT if level < merges else LEFT]
        merge(x, token_row, rows.children, parent, rows.slots, memory, weights)
    return read(x, token_row, state.first_slot, memory, weights)


@lru_cache
def _compiled(backend: Backend) -> tuple[Callable[..., None], Callable[..., Tensor]]:
    """One pair for all decoders: layers of the same sizes share what is compiled."""
    options: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend}
    return torch.compile(merge_level, **options), torch.compile(read_token, **options)
