"""The text that a suite learns from: found, read and checked before anything is started."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from lmn_bench.cli.console import stderr_console
from lmn_bench.errors import StoreError
from lmn_bench.learning.names import CORPORA, TOKENIZERS
from lmn_bench.lessons import TEXT, Learning
from lmn_bench.schema import Suite


def with_material(suite: Suite, *, download: bool = True) -> Suite:
    """The suite with name, hash and vocabulary of its corpus; as it was if it learns from no text.

    Args:
        suite: any.
        download: whether a corpus that is not on this machine is brought here; else it stays
            unknown.

    Raises:
        UsageError: the corpus or the tokenizer cannot be had, or the text is too short.
    """
    learning = suite.learning
    if learning is None or not _lengths(suite):
        return suite
    if not download and not _is_here(learning.corpus):
        return suite
    return replace(suite, learning=_found(learning, max(_lengths(suite))))


def check_material(suite: Suite) -> None:
    """Make sure that a run goes on with the text that it began with.

    Raises:
        StoreError: the text or the tokenizer has changed.
        UsageError: as `with_material`.
    """
    before, now = suite.learning, with_material(suite).learning
    if before is None or now is None:
        return
    if before.corpus_sha256 != now.corpus_sha256:
        raise StoreError(
            f"corpus {before.corpus} has changed: sha256 {now.corpus_sha256[:16]}…, and "
            f"{before.corpus_sha256[:16]}… when the run began",
            "results of different texts are never mixed: start a new run, or bring the text back",
        )
    if before.tokens_name != now.tokens_name:
        raise StoreError(
            f"tokenizer {before.tokens} has changed since the run began",
            "start a new run, or bring the file back",
        )


def _found(learning: Learning, length: int) -> Learning:
    # They load numpy, which other suites do without.
    from lmn_bench.learning.corpora import announced_download, load_corpus
    from lmn_bench.learning.tokens import make_vocabulary, remarks_on
    from lmn_bench.learning.windows import cut_windows

    if told := announced_download(learning.corpus):
        stderr_console().print(told, markup=False, soft_wrap=True)
    corpus = load_corpus(learning.corpus)
    vocabulary = make_vocabulary(learning.tokens, corpus.text)
    ids = vocabulary.encode(corpus.text)
    cut_windows(ids, length, corpus.name)
    for remark in remarks_on(vocabulary, corpus, ids):
        stderr_console().print(f"note: {remark}", markup=False, soft_wrap=True)
    # A path has to hold when the run is resumed elsewhere.
    source = learning.corpus
    source = source if source in CORPORA else str(Path(source).absolute())
    tokens, name = learning.tokens, learning.tokens
    if tokens not in TOKENIZERS:
        path = Path(tokens).absolute()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        tokens, name = str(path), f"{path.name}@{digest[:12]}"
    return replace(
        learning, corpus=source, corpus_name=corpus.name, corpus_sha256=corpus.sha256,
        tokens=tokens, tokens_name=name, vocabulary=vocabulary.size,
    )  # fmt: skip


def _is_here(source: str) -> bool:
    from lmn_bench.learning.corpora import needs_download

    return not needs_download(source)


def _lengths(suite: Suite) -> list[int]:
    """Lengths at which text is read."""
    return [length for sweep in suite.sweeps if TEXT in sweep.task for length in sweep.lengths]
