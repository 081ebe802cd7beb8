"""A language model of LMN blocks: tokens in, logits and an explicit state out."""

from __future__ import annotations

from typing import Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lmn import tree
from lmn.block import LMNBlock
from lmn.config import LMNLanguageModelConfig
from lmn.init import initialize
from lmn.published import PublishedBlock, PublishedState
from lmn.state import LanguageModelState, MemoryState

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
        self._check(tokens, ("batch", "tokens"), None)
        x, _ = self._read(tokens, None)
        if ignored is not None:
            wanted = targets != ignored
            x, targets = x[wanted], targets[wanted]
            if not len(targets):
                raise ValueError(f"every target is {ignored}, which is ignored: nothing to predict")
        # half precision would round the sum over the vocabulary
        logits = self._logits(x).flatten(0, -2)
        logits = logits.float() if logits.dtype.itemsize < torch.float32.itemsize else logits
        return F.cross_entropy(logits, targets.flatten())

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
        x, after = self._embed(token), []
        for block, before in zip(self.layers, state.layers, strict=True):
            x, new = block.step(x, before)
            after.append(new)
        return self._logits(x), LanguageModelState(tuple(after))

    def _read(
        self, tokens: Tensor, state: LanguageModelState | None
    ) -> tuple[Tensor, LanguageModelState]:
        """Output of the last block (batch, tokens, width), and the state."""
        x, after = self._embed(tokens), []
        before = [None] * len(self.blocks) if state is None else state.layers
        for block, old in zip(self.layers, before, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                # nothing in a block is random
                x, new = checkpoint(block, x, old, use_reentrant=False, preserve_rng_state=False)
            else:
                x, new = block(x, old)
            after.append(new)
        return x, LanguageModelState(tuple(after))

    def _embed(self, tokens: Tensor) -> Tensor:
        try:
            return F.embedding(tokens, self.embedding.weight)
        except IndexError:
            raise ValueError(
                f"tokens must lie between 0 and {self.config.vocabulary - 1}, got numbers from "
                f"{tokens.min().item()} to {tokens.max().item()}; encode the text with the "
                "vocabulary that the model was made for"
            ) from None

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


def check_tokens(tokens: Tensor, axes: tuple[str, ...]) -> None:
    """Raise unless `tokens` are integers with the named axes, none of them empty.

    Raises:
        ValueError: the shape is another.
        TypeError: they are no int32 or int64.
    """
    if tokens.dim() != len(axes) or 0 in tokens.shape:
        raise ValueError(
            f"expected tokens ({', '.join(axes)}), at least one along each axis, got shape "
            f"{tuple(tokens.shape)}"
        )
    if tokens.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"tokens must be int64 or int32, got {tokens.dtype}; try tokens.long()")


class _PublishedLayer(PublishedBlock):
    """`PublishedBlock` with the state of an `LMNBlock`: the same nodes in the same order."""

    def initial_state(  # type: ignore[override]
        self,
        batch: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MemoryState:
        weight, config = self.norm1.weight, self.config
        return MemoryState.empty(
            batch,
            config.width,
            banks=config.banks,
            expansion=config.expansion,
            dtype=dtype or weight.dtype,
            device=device or weight.device,
        )

    def forward(  # type: ignore[override]
        self, x: Tensor, state: MemoryState | None = None
    ) -> tuple[Tensor, MemoryState]:
        y, after = super().forward(x, None if state is None else self._published(state))
        return y, self._memory(after)

    def step(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:  # type: ignore[override]
        y, after = super().step(x, self._published(state))
        return y, self._memory(after)

    def _published(self, state: MemoryState) -> PublishedState:
        levels = tree.level_count(state.tokens_seen) + 1 if state.tokens_seen else 0
        return PublishedState(tuple(map(state.level, range(levels))), state.tokens_seen)

    def _memory(self, state: PublishedState) -> MemoryState:
        config = self.config
        return MemoryState(state.nodes, state.tokens_seen, config.banks, config.expansion)


def _new_block(config: LMNLanguageModelConfig, implementation: ModelImplementation) -> nn.Module:
    if implementation == "published":
        return _PublishedLayer(config.block)
    return LMNBlock(config.block, implementation=implementation)
