"""The recurrent baselines: torch's LSTM, GRU and tanh RNN.

Whole sequences run in torch's own sequence kernels (oneDNN or cuDNN where torch has one). For one
token those pay more for their preparation than for the work, so decoding calls the cell. Measured
on one CPU thread, float32, batch 1, microseconds a token at width 64 / 256:

                       LSTM        GRU        RNN
    module call      118/1256     34/84      25/40
    torch's cell      27/80       15/58       8/20
    folded product    24/66         -         5/16

"Folded": input and hidden weights side by side, one matrix product a token. A GRU's gates don't
fold (its candidate gates the hidden part alone). CUDA has a fused kernel for the cell, so it is
used there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn_bench.subjects.stack import Mixer

_MODULES: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

# (batch, width) each: the hidden vector, and for the LSTM the cell.
RecurrentState = tuple[Tensor, ...]


class Recurrence(Mixer):
    """One recurrent layer as a mixer: an LSTM, a GRU or a tanh RNN.

    Args:
        family: "lstm", "gru" or "rnn".
        width: features per token, and of the hidden vector.
    """

    def __init__(self, family: str, width: int) -> None:
        super().__init__()
        self.family = family
        self.width = width
        self.sequence = _MODULES[family](width, width, batch_first=True)
        self._folded: tuple[Tensor, Tensor] | None = None
        self._folded_from: tuple[object, ...] = ()

    def _run(self, x: Tensor, state: RecurrentState | None) -> tuple[Tensor, RecurrentState]:
        # Outside of training the kernels need no room for the backward pass.
        self.sequence.training = torch.is_grad_enabled()
        before = None
        if state is not None:
            # torch wants an axis for layers, and the LSTM's two vectors as a tuple.
            layered = tuple(part.unsqueeze(0) for part in state)
            before = layered if self.family == "lstm" else layered[0]
        output, last = self.sequence(x, before)
        after = last if isinstance(last, tuple) else (last,)
        return output, tuple(part[0] for part in after)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        return self._run(x, None)[0]

    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, RecurrentState]:
        """As `forward`, and the state after the last token; `capacity` makes no difference."""
        return self._run(x, None)

    @property
    def can_resume(self) -> bool:
        """Whether `resume` is there."""
        return True

    def resume(self, x: Tensor, state: RecurrentState | None) -> tuple[Tensor, RecurrentState]:
        """As `prefill`, going on from `state`."""
        return self._run(x, state)

    def initial_state(self, batch: int, capacity: int) -> RecurrentState:
        """Zeros."""
        weight = self._weights()[0]
        return tuple(
            weight.new_zeros(batch, self.width) for _ in range(2 if self.family == "lstm" else 1)
        )

    def blank_state(self, batch: int, tokens: int, capacity: int) -> RecurrentState:
        """Zeros, as at the start: it never grows."""
        return self.initial_state(batch, capacity)

    def decode(self, x_t: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """(batch, width) -> (batch, width). The state is not written to."""
        weights = self._weights()
        if self.family == "gru":
            hidden = torch.gru_cell(x_t, state[0], *weights)
            return hidden, (hidden,)
        if not x_t.is_cuda:
            return self._decode_folded(x_t, state, weights)
        if self.family == "rnn":
            hidden = torch.rnn_tanh_cell(x_t, state[0], *weights)
            return hidden, (hidden,)
        hidden, cell = torch.lstm_cell(x_t, state, *weights)
        return hidden, (hidden, cell)

    def _decode_folded(
        self, x_t: Tensor, state: RecurrentState, weights: tuple[Tensor, ...]
    ) -> tuple[Tensor, RecurrentState]:
        """One product over (input, hidden), then the gates."""
        gates = F.linear(torch.cat((x_t, state[0]), dim=1), *self._fold(weights))
        after = _lstm_cell(gates, state[1]) if self.family == "lstm" else (gates.tanh_(),)
        return after[0], after

    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input weight, hidden weight, and a bias for each."""
        rnn = self.sequence
        weights = (rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0)
        return cast("tuple[Tensor, Tensor, Tensor, Tensor]", weights)

    def _fold(self, weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Weights of one product over (input, hidden); made anew when the weights change."""
        made_from = tuple((weight.data_ptr(), weight._version) for weight in weights)
        if self._folded is None or made_from != self._folded_from:
            with torch.no_grad():
                self._folded = torch.cat(weights[:2], dim=1), weights[2] + weights[3]
            self._folded_from = made_from
        return self._folded

    def copy_state(self, state: RecurrentState) -> RecurrentState:
        """An independent copy."""
        return tuple(part.clone() for part in state)

    def state_bytes(self, state: RecurrentState) -> int:
        """Bytes of the hidden vector, and of the LSTM's cell."""
        return sum(part.numel() * part.element_size() for part in state)


def _lstm_cell(gates: Tensor, cell: Tensor) -> RecurrentState:
    """Hidden vector and cell from the gates (batch, 4 * width), which are overwritten."""
    enter, forget, candidate, leave = gates.chunk(4, dim=1)
    cell = (forget.sigmoid_() * cell).addcmul_(enter.sigmoid_(), candidate.tanh_())
    return leave.sigmoid_() * cell.tanh(), cell
