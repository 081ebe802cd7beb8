"""Generating text: a prompt is read in bounded memory, then every token takes the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lmn.language_decoder import LanguageModelDecoder
from lmn.language_model import LMNLanguageModel
from lmn.sampling import Sampling, draw, seeded_generator
from lmn.state import LanguageModelState
from lmn.tokens import Tokens, token_rows


@dataclass(frozen=True, eq=False)
class GeneratedTokens:
    """One token for each sequence.

    Attributes:
        tokens: (batch,) int64; of a sequence that ended before, its stop token once more.
        logits: (batch, vocabulary) that they were drawn from, before temperature.
        finished: (batch,) bool, which sequences a stop token has ended, this one or one before.
    """

    tokens: Tensor
    logits: Tensor
    finished: Tensor


@dataclass(frozen=True, eq=False)
class Generation:
    """What `generate` made of a batch of prompts.

    Attributes:
        tokens: (batch, generated tokens) int64; what follows a sequence's stop token repeats it.
        lengths: (batch,) tokens of each sequence, its stop token included.
        logits: (batch, generated tokens, vocabulary) if they were to be kept, else `None`.
        state: after the prompt and all tokens but the last: go on with that one as the prompt.
        state_bytes: what had to be kept in order to decode on.
        seed: reproduces the draws.
    """

    tokens: Tensor
    lengths: Tensor
    logits: Tensor | None
    state: LanguageModelState
    state_bytes: int
    seed: int


def generate(
    model: LMNLanguageModel,
    prompt: Tokens,
    *,
    max_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
    forced: Tensor | None = None,
    state: LanguageModelState | None = None,
    decoder: LanguageModelDecoder | None = None,
    keep_logits: bool = False,
) -> Generation:
    """Let the model go on with each prompt until it stops or `max_tokens` are there.

    Arguments and errors are those of `stream_tokens`; `keep_logits` keeps the logits of all tokens.
    """
    stream = stream_tokens(
        model,
        prompt,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        stop_tokens=stop_tokens,
        forced=forced,
        state=state,
        decoder=decoder,
    )
    tokens: list[Tensor] = []
    logits: list[Tensor] = []
    lengths = torch.zeros(stream.batch, dtype=torch.int64, device=model.device)
    finished = torch.zeros_like(lengths, dtype=torch.bool)
    for step in stream:
        tokens.append(step.tokens)
        lengths += ~finished
        finished = step.finished
        if keep_logits:
            logits.append(step.logits)
    return Generation(
        tokens=torch.stack(tokens, dim=1),
        lengths=lengths,
        logits=torch.stack(logits, dim=1) if keep_logits else None,
        state=stream.state,
        state_bytes=stream.state_bytes,
        seed=stream.seed,
    )


def stream_tokens(
    model: LMNLanguageModel,
    prompt: Tokens,
    *,
    max_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_tokens: Collection[int] = (),
    forced: Tensor | None = None,
    state: LanguageModelState | None = None,
    decoder: LanguageModelDecoder | None = None,
) -> TokenStream:
    """Read the prompt now, and give an iterator that makes one token per sequence at a time.

    Args:
        model: the weights are read when this is called, and later changes to them not seen, but for
            a `published` model.
        prompt: (batch, tokens) or (tokens,) integers below `vocabulary`, at least one; prompts of
            a batch have the same length.
        max_tokens: tokens to make at most.
        temperature: logits are divided by it; 0 takes the most likely token.
        top_k: draw among the so many most likely tokens.
        top_p: draw among the most likely tokens that have this probability together.
        seed: from 0 to 2^64 - 1; the same seed, prompts and settings draw the same tokens again on
            the same device. `None` takes one from the system, which the stream tells.
        stop_tokens: a sequence ends with the first of them; the stream when all have ended.
        forced: (batch, tokens) or (tokens,): the first tokens to take instead of drawing them.
        state: what came before the prompt; `None` at the start of a sequence.
        decoder: of this model, made before, for instance with another `execution`; `None` makes
            one, but for a `published` model, which steps by itself.

    Raises:
        ValueError: a number is out of range, a prompt is empty or has tokens outside the
            vocabulary, shapes do not fit together, the state does not fit the model, or the logits
            are not finite.
        TypeError: tokens, `max_tokens` or `seed` are no integers, or the state is of another type.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int):
        raise TypeError(f"max_tokens must be an integer, got {max_tokens!r}")
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
    vocabulary = model.config.vocabulary
    tokens = token_rows(prompt, vocabulary, "prompt").to(model.device)
    generator = seeded_generator(model.device, seed)
    stops = first = None
    if not isinstance(stop_tokens, Collection):
        raise TypeError(
            f"stop_tokens must be a collection of integers, got {stop_tokens!r}; write "
            f"[{stop_tokens!r}]"
        )
    if len(stop_tokens):
        stops = token_rows([*stop_tokens], vocabulary, "stop_tokens").to(model.device)
    if forced is not None:
        first = token_rows(forced, vocabulary, "forced").to(model.device)
    if first is not None and len(first) != len(tokens):
        raise ValueError(
            f"forced tokens are (batch, tokens), got {tuple(first.shape)} for "
            f"{len(tokens)} prompts; give one row for each"
        )
    if model.implementation != "published" and decoder is None:
        decoder = LanguageModelDecoder(model)
    if decoder is not None and decoder.config != model.config:
        raise ValueError(
            f"the decoder was made of another model, {decoder.config}, and this one is "
            f"{model.config}; make one with LanguageModelDecoder(model)"
        )
    with torch.no_grad():
        logits, state = model.prefill(tokens, state)
    if not logits.isfinite().all():
        raise ValueError(
            "the logits after the prompt are not all finite: the model's weights are broken; load "
            "an earlier checkpoint"
        )
    reader = _Reader(model, decoder, state, max_tokens)
    return TokenStream(reader, logits, sampling, max_tokens, generator, stops, first)


class TokenStream(Iterator[GeneratedTokens]):
    """Tokens one after the other, made when they are asked for; see `stream_tokens`.

    Attributes:
        batch: sequences side by side.
        seed: reproduces the draws.
    """

    def __init__(
        self,
        reader: _Reader,
        logits: Tensor,
        sampling: Sampling,
        max_tokens: int,
        generator: torch.Generator,
        stop_tokens: Tensor | None,
        forced: Tensor | None,
    ) -> None:
        self.batch = len(logits)
        self._generator, self.seed = generator, generator.initial_seed()
        self._reader, self._sampling, self._left = reader, sampling, max_tokens
        self._stop_tokens = stop_tokens
        self._forced = () if forced is None else forced.unbind(1)
        self._made = 0
        self._logits = logits
        self._tokens: Tensor | None = None
        self._finished = torch.zeros(self.batch, dtype=torch.bool, device=logits.device)

    @property
    def state(self) -> LanguageModelState:
        """After the prompt and all tokens but the last one made: go on with that as the prompt."""
        return self._reader.state

    @property
    def state_bytes(self) -> int:
        """What has to be kept in order to decode on; grows with the logarithm of the length."""
        return self._reader.state_bytes

    @property
    def tokens_seen(self) -> int:
        """Tokens read: the prompt and all tokens but the last one made."""
        return self._reader.tokens_seen

    @torch.no_grad()
    def __next__(self) -> GeneratedTokens:
        # asking whether all have ended waits for the device, and without stop tokens none has
        ended = self._stop_tokens is not None and bool(self._finished.all())
        if self._made == self._left or ended:
            raise StopIteration
        if self._tokens is not None:
            self._logits = self._reader.read(self._tokens)
        tokens = self._choose()
        if self._stop_tokens is not None:
            if self._tokens is not None:
                tokens = torch.where(self._finished, self._tokens, tokens)
            self._finished = self._finished | torch.isin(tokens, self._stop_tokens)
        self._made += 1
        self._tokens = tokens
        return GeneratedTokens(tokens, self._logits, self._finished)

    def _choose(self) -> Tensor:
        if self._made < len(self._forced):
            return self._forced[self._made]
        return draw(self._logits, self._sampling, self._generator)


class _Reader:
    """Reads tokens one by one, through a decoder if there is one; keeps the state of one stream."""

    def __init__(
        self,
        model: LMNLanguageModel,
        decoder: LanguageModelDecoder | None,
        state: LanguageModelState,
        max_tokens: int,
    ) -> None:
        self._model, self._decoder, self._state = model, decoder, state
        if decoder is not None:
            room = state.tokens_seen + max_tokens
            self._decode_state = decoder.from_state(state, max_tokens=room)

    @property
    def state(self) -> LanguageModelState:
        if self._decoder is None:
            return self._state
        return self._decoder.to_state(self._decode_state)

    @property
    def state_bytes(self) -> int:
        return self._state.nbytes if self._decoder is None else self._decode_state.nbytes

    @property
    def tokens_seen(self) -> int:
        return (self._state if self._decoder is None else self._decode_state).tokens_seen

    def read(self, tokens: Tensor) -> Tensor:
        """Logits (batch, vocabulary) after one more token per sequence."""
        if self._decoder is not None:
            return self._decoder.step(tokens, self._decode_state)
        logits, self._state = self._model.decode_one_token(tokens, self._state)
        return logits
