"""A language model of LMN blocks: tokens in, logits and an explicit state out."""

from __future__ import annotations

from typing import Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lmn import tree
from lmn.block import LMNBlock
from lmn.config import LMNLanguageModelConfig
from lmn.init import initialize
from lmn.published import PublishedLayer
from lmn.state import LanguageModelState
from lmn.tokens import check_asked, check_tokens, embed, mean_cross_entropy

ModelImplementation = Literal["chunked", "triton", "published"]
MODEL_IMPLEMENTATIONS: Final[tuple[str, ...]] = ("chunked", "triton", "published")


class LMNLanguageModel(nn.Module):
    """Embedding, blocks, LayerNorm, linear head. Source: arXiv 2501.07905 and its notebook.

        logits, state = model(tokens)                     # all positions at once
        loss = model.loss(tokens, targets)                # for training
        logits, state = model.prefill(prompt)             # last position, in bounded memory
        logits, state = model.decode_one_token(token, state)

    Any mixture of the ways of reading gives the same numbers and the same gradients. Nothing is
    kept between calls but the weights: the state goes in and comes out. There is no position table,
    so there is no greatest length.

    Args:
        config: sizes, and how weights are drawn.
        implementation: of the blocks. `chunked` and `triton` as in `LMNBlock`; `published` computes
            as `PublishedBlock` does, whose parallel form only starts from nothing. All have the
            same weights under the same names.
        checkpointing: whether training keeps only the input of each block and computes the rest
            again in backward: one forward pass more, for memory that hardly grows with layers. May
            be set later, as an attribute; numbers do not depend on it.

    Raises:
        ValueError: `implementation` is unknown.
    """

    def __init__(
        self,
        config: LMNLanguageModelConfig,
        *,
        implementation: ModelImplementation = "chunked",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if implementation not in MODEL_IMPLEMENTATIONS:
            raise ValueError(
                f"implementation must be one of {', '.join(MODEL_IMPLEMENTATIONS)}, "
                f"got {implementation!r}"
            )
        self.config, self.implementation = config, implementation
        self.checkpointing = checkpointing
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(
            _new_block(config, implementation) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary)
        if config.tie_weights:
            self.head.weight = self.embedding.weight
        initialize(self)

    @property
    def layers(self) -> list[LMNBlock]:
        """The blocks, first one first."""
        return cast("list[LMNBlock]", list(self.blocks))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of the logits."""
        return self.embedding.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.embedding.weight.device

    def initial_state(self, batch: int = 1) -> LanguageModelState:
        """State before the first token of `batch` sequences, of the weights' type and device."""
        return LanguageModelState(tuple(block.initial_state(batch) for block in self.layers))

    def forward(
        self, tokens: Tensor, state: LanguageModelState | None = None
    ) -> tuple[Tensor, LanguageModelState]:
        """Logits of the token that follows each of `tokens`.

        Args:
            tokens: (batch, tokens) integers below `vocabulary`, at least one.
            state: what came before; `None` at the start of a sequence.

        Returns:
            The logits (batch, tokens, vocabulary), and the state after the last token.

        Raises:
            ValueError: `tokens` has the wrong shape or a number outside the vocabulary (on a GPU,
                CUDA itself complains of that), or `state` does not fit them or this model.
            TypeError: `tokens` are no integers, or `state` is of another type than the weights.
        """
        self._check(tokens, ("batch", "tokens"), state)
        x, state = self._read(tokens, state)
        return self._logits(x), state

    def loss(self, tokens: Tensor, targets: Tensor, *, ignored: int | None = None) -> Tensor:
        """Mean cross-entropy of the targets under the model, in nats per target; a scalar.

        Args:
            tokens: (batch, tokens), the start of each sequence.
            targets: (batch, tokens), what follows each of them.
            ignored: where `targets` holds this number nothing is predicted, and no logits are made.

        Raises:
            ValueError: as `forward`; or the shapes differ, or every target is ignored.
            TypeError: as `forward`.
        """
        if targets.shape != tokens.shape:
            raise ValueError(
                f"there is one target for each token, got targets {tuple(targets.shape)} for "
                f"tokens {tuple(tokens.shape)}; give tokens[:, :-1] and tokens[:, 1:]"
            )
        if ignored is None:
            logits = self(tokens)[0].flatten(0, 1)
            return mean_cross_entropy(logits, targets.flatten())
        asked = targets != ignored
        if not asked.any():
            raise ValueError(f"every target is {ignored}, which is ignored: nothing to predict")
        return mean_cross_entropy(self.logits_where(tokens, asked), targets[asked])

    def logits_where(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Logits of the tokens that follow some of `tokens`; for the others none are made.

        With a large vocabulary and few questions, that saves most of the work and memory.

        Args:
            tokens: (batch, tokens) integers below `vocabulary`, the start of each sequence.
            asked: (batch, tokens) bool, where logits are wanted.

        Returns:
            (asked positions, vocabulary), in the order of `logits[asked]`.

        Raises:
            ValueError: as `forward`; or the shapes differ, or nothing is asked.
            TypeError: as `forward`; or `asked` is of another type than bool.
        """
        self._check(tokens, ("batch", "tokens"), None)
        check_asked(tokens, asked)
        x, _ = self._read(tokens, None)
        return self._logits(x[asked])

    def prefill(
        self, tokens: Tensor, state: LanguageModelState | None = None
    ) -> tuple[Tensor, LanguageModelState]:
        """Read a prompt of any length: logits of the token after it, and the state.

        The prompt goes through all layers a segment at a time, so that without gradients memory
        does not grow with its length (`published` reads it whole).

        Args:
            tokens: (batch, tokens) integers below `vocabulary`, at least one.
            state: what came before; `None` at the start of a sequence.

        Returns:
            The logits (batch, vocabulary), and the state after the last token.

        Raises:
            ValueError, TypeError: as `forward`.
        """
        self._check(tokens, ("batch", "tokens"), state)
        batch, count = tokens.shape
        seen = 0 if state is None else state.tokens_seen
        size = tree.segment_tokens(batch, self.config.width, self.device.type)
        cuts = list(tree.segments(seen, count, size))
        if self.implementation == "published":
            cuts = [(0, count)]
        for first, last in cuts:
            x, state = self._read(tokens[:, first:last], state)
        assert state is not None  # there is at least one token
        return self._logits(x[:, -1]), state

    def decode_one_token(
        self, token: Tensor, state: LanguageModelState
    ) -> tuple[Tensor, LanguageModelState]:
        """Read one token per sequence; the given state stays as it is.

        The time does not depend on the tokens before. `lmn.LanguageModelDecoder` does the same
        faster, without gradients and in place.

        Args:
            token: (batch,) integers below `vocabulary`.
            state: from `initial_state`, `forward`, `prefill` or `decode_one_token`.

        Returns:
            The logits (batch, vocabulary), and the state after this token.

        Raises:
            ValueError, TypeError: as `forward`.
        """
        self._check(token, ("batch",), state)
        x, after = embed(token, self.embedding.weight), []
        for block, before in zip(self.layers, state.layers, strict=True):
            x, new = block.step(x, before)
            after.append(new)
        return self._logits(x), LanguageModelState(tuple(after))

    def _read(
        self, tokens: Tensor, state: LanguageModelState | None
    ) -> tuple[Tensor, LanguageModelState]:
        """Output of the last block (batch, tokens, width), and the state."""
        x, after = embed(tokens, self.embedding.weight), []
        before = [None] * len(self.blocks) if state is None else state.layers
        for block, old in zip(self.layers, before, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                # nothing in a block is random
                x, new = checkpoint(block, x, old, use_reentrant=False, preserve_rng_state=False)
            else:
                x, new = block(x, old)
            after.append(new)
        return x, LanguageModelState(tuple(after))

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(x))
        return logits

    def _check(
        self, tokens: Tensor, axes: tuple[str, ...], state: LanguageModelState | None
    ) -> None:
        check_tokens(tokens, axes)
        if state is None:
            return
        if not isinstance(state, LanguageModelState):
            raise TypeError(
                f"state must be a LanguageModelState, got {type(state).__name__}; use "
                "initial_state() or what an earlier call returned"
            )
        if len(state.layers) != self.config.layers:
            raise ValueError(
                f"the state has {len(state.layers)} layers and the model {self.config.layers}; "
                "pass a state of this model"
            )


def _new_block(config: LMNLanguageModelConfig, implementation: ModelImplementation) -> nn.Module:
    if implementation == "published":
        return PublishedLayer(config.block)
    return LMNBlock(config.block, implementation=implementation)
