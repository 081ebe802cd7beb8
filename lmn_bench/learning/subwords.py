"""A vocabulary in a file of the optional package `tokenizers`: BPE, WordPiece, Unigram and so on.

The whole file is kept as text, so that a checkpoint holds all that is needed to read its prompts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmn_bench.errors import UsageError


@dataclass(frozen=True)
class SubwordVocabulary:
    """The vocabulary of a `tokenizers` file.

    What would change a corpus unseen is switched off: truncation, padding, and special tokens
    added at the ends.

    Attributes:
        tokenizer: the file's text, JSON.

    Raises:
        UsageError: without the package `tokenizers`, or if it cannot read the text.
    """

    tokenizer: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.size:
            raise UsageError("the tokenizer file has no tokens", "train it on some text first")

    @cached_property
    def _loaded(self) -> Any:
        try:
            package = import_module("tokenizers")
        except ImportError:
            raise UsageError(
                "a tokenizer file needs the package tokenizers, which is not installed",
                "install it with `pip install tokenizers`, or choose 'characters' or 'bytes'",
            ) from None
        try:
            loaded = package.Tokenizer.from_str(self.tokenizer)
        except Exception as error:  # the package raises nothing narrower
            raise UsageError(
                f"the package tokenizers cannot read the tokenizer file: {error}",
                "expected the JSON that `Tokenizer.save` writes",
            ) from None
        loaded.no_truncation()
        loaded.no_padding()
        return loaded

    @cached_property
    def size(self) -> int:
        """One above the largest id, added tokens too: ids may have gaps."""
        return max(self._loaded.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @cached_property
    def _unknown_id(self) -> int | None:
        """The id that stands for all that is unknown, if there is one."""
        model = json.loads(self.tokenizer)["model"]
        if isinstance(number := model.get("unk_id"), int):
            return number
        unknown = model.get("unk_token")
        return None if unknown is None else self._loaded.token_to_id(unknown)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids of a text, shape (tokens,) int32.

        Raises:
            UsageError: the text holds what the vocabulary lacks; it is named with its position.
        """
        self._refuse_lost(text)
        try:
            encoding = self._loaded.encode(text, add_special_tokens=False)
        except Exception as error:  # the package raises nothing narrower
            raise UsageError(f"the tokenizer file cannot encode the text: {error}") from None
        ids = np.array(encoding.ids, dtype=np.int32)
        if self._unknown_id is not None and (ids == self._unknown_id).any():
            start, end = encoding.offsets[int((ids == self._unknown_id).argmax())]
            raise _unknown(text[start:end], start)
        return ids

    def _refuse_lost(self, text: str) -> None:
        """Without a token for the unknown, BPE drops it, and no id tells."""
        if self._unknown_id is not None:
            return
        for character in sorted(set(text)):
            if not character.isspace() and self._is_lost(character):
                raise _unknown(character, text.index(character))

    def _is_lost(self, character: str) -> bool:
        try:
            return not self._loaded.encode(character, add_special_tokens=False).ids
        except Exception:  # a model of words refuses what it doesn't know, characters of words too
            return False

    def decode(self, ids: Sequence[int] | NDArray[np.int32]) -> str:
        """The text of ids, special tokens included.

        Raises:
            ValueError: an id that is not from 0 to `size` - 1.
        """
        plain = [int(token) for token in ids]
        if wrong := [token for token in plain if not 0 <= token < self.size]:
            raise ValueError(f"expected token ids from 0 to {self.size - 1}, got {wrong[0]}")
        return str(self._loaded.decode(plain, skip_special_tokens=False))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"kind": "subwords", "tokenizer": self.tokenizer}


def _unknown(piece: str, position: int) -> UsageError:
    return UsageError(
        f"not in the tokenizer's vocabulary: {piece!r} at {position}",
        "leave it out, or use a tokenizer that knows it, such as 'bytes'",
    )
