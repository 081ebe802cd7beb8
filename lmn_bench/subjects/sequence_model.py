"""The baselines as language models: embedding, blocks, LayerNorm, linear head.

What `LMNLanguageModel` is around LMN blocks, so that learners differ in their blocks alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lmn.tokens import check_asked, check_tokens, embed, mean_cross_entropy
from lmn_bench.errors import SubjectError
from lmn_bench.learning.batches import NOT_ASKED
from lmn_bench.subjects.inside import output_of
from lmn_bench.subjects.protocol import State
from lmn_bench.subjects.stack import Stack


@dataclass(frozen=True, eq=False)
class SequenceState:
    """What a `SequenceModel` needs to go on.

    Attributes:
        layers: the state of each block.
        tokens_seen: tokens read.
    """

    layers: list[State]
    tokens_seen: int


class WrappedModel(nn.Module):
    """Tokens to logits around anything that maps vectors to vectors.

    Args:
        body: its forward maps (batch, tokens, width) to the same shape, each token from itself and
            those before it; a tuple's first entry counts. It is in training mode while gradients
            are on, and only then.
        width: features per token.
        vocabulary: different tokens, numbered from 0.
        positions: learned positions; 0 for none.
        tied: whether embedding and head are one table; it is then drawn with variance 1 / width,
            so that logits begin with variance 1.
        notes: what a record should tell of the body.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        width: int,
        vocabulary: int,
        positions: int = 0,
        tied: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.notes = tuple(notes)
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width) if positions else None
        self.body = body
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        if tied:
            nn.init.normal_(self.embedding.weight, std=width**-0.5)
            self.head.weight = self.embedding.weight

    @property
    def longest(self) -> int | None:
        """Tokens of the longest sequence that it can read; `None` without such a limit."""
        return None if self.positions is None else self.positions.num_embeddings

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (batch, tokens, vocabulary) of the token that follows each of `tokens`.

        Args:
            tokens: (batch, tokens) integers below the vocabulary, the start of each sequence.

        Raises:
            ValueError: `tokens` has the wrong shape, or a number outside the vocabulary (on a GPU,
                CUDA itself complains of that).
            TypeError: `tokens` are no integers.
            SubjectError: there are more than learned positions.
        """
        return self._logits(self._read(tokens))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of the targets, in nats per asked target; a scalar.

        Args:
            tokens: (batch, tokens), the start of each sequence.
            targets: (batch, tokens), what follows each of them, or `NOT_ASKED`.

        Raises:
            ValueError, TypeError, SubjectError: as `logits_where`.
        """
        asked = targets != NOT_ASKED
        return mean_cross_entropy(self.logits_where(tokens, asked), targets[asked])

    def logits_where(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Logits (asked positions, vocabulary), in the order of `logits[asked]`, and no others.

        Args:
            tokens: (batch, tokens), the start of each sequence.
            asked: (batch, tokens) bool, where logits are wanted.

        Raises:
            ValueError: as `forward`; or the shapes differ, or nothing is asked.
            TypeError: as `forward`; or `asked` are no bools.
            SubjectError: as `forward`.
        """
        check_asked(tokens, asked)
        return self._logits(self._read(tokens)[asked])

    def _read(self, tokens: Tensor) -> Tensor:
        """Output of the blocks, (batch, tokens, width)."""
        check_tokens(tokens, ("batch", "tokens"))
        # nobody else says whether it is trained, and dropout should not blur a validation
        self.body.train(torch.is_grad_enabled())
        x = self._place(tokens, 0)
        output: Tensor = output_of(self.body(x), x)
        return output

    def _place(self, tokens: Tensor, first: int) -> Tensor:
        """Embedded tokens (batch, tokens, width), the first of them at position `first`."""
        x = embed(tokens, self.embedding.weight)
        if self.positions is None:
            return x
        last, longest = first + tokens.shape[1], self.positions.num_embeddings
        if last > longest:
            raise SubjectError(
                f"a model with {longest:,} learned positions cannot read {last:,} tokens",
                f"keep sequences within {longest:,} tokens, or choose a model without a table",
            )
        return x + self.positions.weight[first:last]

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(x))
        return logits


class SequenceModel(WrappedModel):
    """As `WrappedModel`, around blocks that keep a state: it can also generate.

    Args:
        body: blocks on top of each other.
        width, vocabulary, positions, tied: as for `WrappedModel`.
    """

    body: Stack

    def __init__(
        self, body: Stack, *, width: int, vocabulary: int, positions: int = 0, tied: bool = False
    ) -> None:
        super().__init__(body, width=width, vocabulary=vocabulary, positions=positions, tied=tied)

    def prefill(
        self, tokens: Tensor, *, capacity: int | None = None
    ) -> tuple[Tensor, SequenceState]:
        """Read a prompt at once: logits of the token after it, and the state.

        Args:
            tokens: (batch, tokens) integers below the vocabulary.
            capacity: tokens that a cache has room for, these included; it grows where that is less
                than comes.

        Returns:
            The logits (batch, vocabulary), and the state after the last token.

        Raises:
            ValueError, TypeError, SubjectError: as `forward`.
        """
        check_tokens(tokens, ("batch", "tokens"))
        x, layers = self.body.prefill(self._place(tokens, 0), capacity=capacity)
        return self._logits(x[:, -1]), SequenceState(layers, tokens.shape[1])

    def decode_one_token(self, token: Tensor, state: SequenceState) -> tuple[Tensor, SequenceState]:
        """Read one token per sequence.

        Args:
            token: (batch,) integers below the vocabulary.
            state: from `prefill` or `decode_one_token`; a cache in it is written to, so that only
                one continuation can be read from it.

        Returns:
            The logits (batch, vocabulary), and the state after this token.

        Raises:
            ValueError, TypeError, SubjectError: as `forward`.
        """
        check_tokens(token, ("batch",))
        x = self._place(token[:, None], state.tokens_seen)[:, 0]
        x, layers = self.body.decode(x, state.layers)
        return self._logits(x), SequenceState(layers, state.tokens_seen + 1)

    def state_bytes(self, state: SequenceState) -> int:
        """Bytes that must be kept to go on, over all blocks."""
        return self.body.state_bytes(state.layers)
