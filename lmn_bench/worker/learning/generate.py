"""The job behind `lmn-bench generate`: a checkpoint goes on with a prompt."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from lmn import LanguageModelDecoder, LMNLanguageModel, TokenStream, stream_tokens
from lmn.checkpoint import CheckpointError, load_model, read_notes
from lmn_bench.errors import UsageError
from lmn_bench.learning.text_stream import StopText, text_stream
from lmn_bench.learning.tokens import Vocabulary, vocabulary_from_dict
from lmn_bench.worker.learning.notes import Notes
from lmn_bench.worker.learning.resources import take_threads
from lmn_bench.worker.learning.telling import Tell


@dataclass(frozen=True)
class GenerateJob:
    """What the parent asks for; see `lmn.stream_tokens` for temperature, top-k, top-p and seed.

    Attributes:
        checkpoint: path of a file of `lmn-bench train`.
        prompt: text, not empty.
        tokens: to make at most.
        stops: texts that end it; they are not part of it.
        threads: CPU threads.
    """

    checkpoint: str
    prompt: str
    tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int | None
    stops: tuple[str, ...]
    threads: int


def generate(job: GenerateJob, tell: Tell) -> None:
    """Generate; tells "started", every piece of "text" as it comes, and "ended".

    Raises:
        UsageError: the checkpoint is damaged or of another kind, the prompt holds what its
            vocabulary lacks, or a setting is out of range.
    """
    take_threads(job.threads)
    model, notes, vocabulary = _loaded(job.checkpoint)
    prompt = vocabulary.encode(job.prompt)
    if not len(prompt):
        raise UsageError("the prompt holds no token", "give at least one character")
    decoder = LanguageModelDecoder(model)
    begin = time.perf_counter()
    stream = _stream(job, model, decoder, torch.from_numpy(prompt))
    prefill_s = time.perf_counter() - begin
    tell({"started": {"prompt_tokens": len(prompt), "prefill_s": prefill_s, "seed": stream.seed}})
    made, decode_s, stopped = _tell_text(job, stream, vocabulary, prompt.tolist(), tell)
    tell({"ended": {
        "tokens": made, "decode_s": decode_s, "stopped": stopped,
        "state_bytes": stream.state_bytes, "tokens_seen": stream.tokens_seen,
        "step": len(notes.curve.training), "corpus": notes.corpus,
    }})  # fmt: skip


def _stream(
    job: GenerateJob, model: LMNLanguageModel, decoder: LanguageModelDecoder, prompt: torch.Tensor
) -> TokenStream:
    try:
        return stream_tokens(
            model, prompt, max_tokens=job.tokens, temperature=job.temperature, top_k=job.top_k,
            top_p=job.top_p, seed=job.seed, decoder=decoder,
        )  # fmt: skip
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise UsageError(message, hint or None) from None


def _tell_text(
    job: GenerateJob, stream: TokenStream, vocabulary: Vocabulary, prompt: list[int], tell: Tell
) -> tuple[int, float, bool]:
    """Tokens made, seconds spent on making them, and whether a stop text ended it."""
    text, stop = text_stream(vocabulary, prompt), StopText(job.stops)
    made, seconds = 0, 0.0
    while True:
        begin = time.perf_counter()
        try:
            token = int(next(stream).tokens)
        except StopIteration:
            break
        seconds += time.perf_counter() - begin
        made += 1
        piece, stopped = stop.feed(text.feed(token))
        if piece:
            tell({"text": piece})
        if stopped:
            return made, seconds, True
    if rest := stop.rest():
        tell({"text": rest})
    return made, seconds, False


def _loaded(path: str) -> tuple[LMNLanguageModel, Notes, Vocabulary]:
    try:
        notes = Notes.from_dict(read_notes(path), path)
        model = load_model(path)
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    vocabulary = vocabulary_from_dict(notes.vocabulary)
    if vocabulary.size != model.config.vocabulary:
        raise UsageError(
            f"{path}: its vocabulary has {vocabulary.size:,} tokens, its model "
            f"{model.config.vocabulary:,}",
            "the file is damaged: take another checkpoint",
        )
    return model, notes, vocabulary
