"""Decoding a whole language model one token at a time: folded weights, state in fixed memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lmn.decode import DEFAULT_MAX_TOKENS, Decoder, Execution
from lmn.decode_state import DecodeState
from lmn.decode_weights import stored
from lmn.language_model import LMNLanguageModel
from lmn.state import LanguageModelState
from lmn.tokens import check_tokens, embed


@dataclass(frozen=True, eq=False)
class LanguageModelDecodeState:
    """What a `LanguageModelDecoder` keeps of its tokens: a `DecodeState` per layer, first to last.

    `LanguageModelDecoder.step` changes it in place; a second stream goes on from a `clone`.
    """

    layers: tuple[DecodeState, ...]

    @property
    def tokens_seen(self) -> int:
        """Tokens read so far, the same for every layer and sequence."""
        return self.layers[0].tokens_seen

    @property
    def batch(self) -> int:
        """Sequences held side by side."""
        return self.layers[0].batch

    @property
    def nbytes(self) -> int:
        """Bytes to keep for the tokens seen: a node, its key and its value per slot and layer."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def allocated_bytes(self) -> int:
        """Bytes held: room for further levels, and for what lives within one step only, too."""
        return sum(layer.allocated_bytes for layer in self.layers)

    def clone(self) -> LanguageModelDecodeState:
        """A second stream that goes on from here, with memory of its own."""
        return LanguageModelDecodeState(tuple(layer.clone() for layer in self.layers))


class LanguageModelDecoder:
    """A language model made ready to read one token at a time, without gradients.

    Computes what `LMNLanguageModel.decode_one_token` computes, from copies of the weights: make it
    anew after the model has been trained, loaded or moved. Numbers differ by rounding, since scales
    and the weights of norms are folded into other weights.

        decoder = LanguageModelDecoder(model)
        logits, state = model.prefill(prompt)
        decode_state = decoder.from_state(state)
        logits = decoder.step(logits.argmax(-1), decode_state)  # changes the state

    Args:
        model: whose weights, type and device are copied.
        execution: how each block's step runs, see `lmn.Decoder`.

    Raises:
        ValueError: `execution` is unknown, or cannot run on the model's device.
    """

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, model: LMNLanguageModel, *, execution: Execution = "eager") -> None:
        self.config, self.dtype, self.device = model.config, model.dtype, model.device
        self._blocks = [Decoder(block, execution=execution) for block in model.layers]
        self._embedding = stored(model.embedding.weight.detach(), self.dtype)
        self._epsilon = model.norm.eps
        # head(g * x + b) = (head g) x + head b
        norm, norm_bias, head, bias = (
            part.detach().double()
            for part in (model.norm.weight, model.norm.bias, model.head.weight, model.head.bias)
        )
        self._head = stored((head * norm).t(), self.dtype)
        self._head_bias = stored((head @ norm_bias + bias)[None], self.dtype)

    def initial_state(
        self, batch: int = 1, *, max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> LanguageModelDecodeState:
        """State before the first token of `batch` sequences.

        Args:
            batch: sequences read side by side.
            max_tokens: tokens to make room for; beyond them the state grows by itself.

        Raises:
            ValueError: one of them is below 1.
        """
        return LanguageModelDecodeState(
            tuple(block.initial_state(batch, max_tokens=max_tokens) for block in self._blocks)
        )

    def from_state(
        self, state: LanguageModelState, *, max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> LanguageModelDecodeState:
        """State that goes on where `LMNLanguageModel` stopped.

        Args:
            state: what the model returned; stays as it is.
            max_tokens: tokens to make room for, counted from the start of the sequence; beyond
                them the state grows by itself.

        Raises:
            ValueError: the state belongs to another configuration.
            TypeError: a layer of it is of another type.
        """
        self._check_layers(len(state.layers))
        parts = zip(self._blocks, state.layers, strict=True)
        return LanguageModelDecodeState(
            tuple(block.from_memory_state(part, max_tokens=max_tokens) for block, part in parts)
        )

    def to_state(self, state: LanguageModelDecodeState) -> LanguageModelState:
        """The same memory as a value, for `LMNLanguageModel`; `state` stays as it is."""
        self._check_layers(len(state.layers))
        parts = zip(self._blocks, state.layers, strict=True)
        return LanguageModelState(tuple(block.to_memory_state(part) for block, part in parts))

    def step(self, token: Tensor, state: LanguageModelDecodeState) -> Tensor:
        """Read one token per sequence, and change `state` to the one after it.

        The time does not depend on the tokens before, but for the number of merges: fewer than one
        per layer on average, one per level at a power of two.

        Args:
            token: (batch,) integers below `vocabulary`, on the decoder's device.
            state: from `initial_state`, `from_state` or `clone`; changed in place.

        Returns:
            The logits (batch, vocabulary) of the token after it.

        Raises:
            ValueError: `token` has the wrong shape or a number outside the vocabulary, or `state`
                does not fit it or this model.
            TypeError: `token` holds no integers, or `state` is of another execution.
        """
        check_tokens(token, ("batch",))
        self._check_layers(len(state.layers))
        x = embed(token, self._embedding)
        for block, part in zip(self._blocks, state.layers, strict=True):
            x = block.step(x, part)
        x = F.layer_norm(x, x.shape[1:], eps=self._epsilon)
        return torch.addmm(self._head_bias, x, self._head)

    def _check_layers(self, layers: int) -> None:
        if layers != len(self._blocks):
            raise ValueError(
                f"the state has {layers} layers and the model {len(self._blocks)}; pass a state of "
                "this model"
            )
