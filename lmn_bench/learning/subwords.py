"""A vocabulary in a file of the optional package `tokenizers`: BPE, WordPiece, Unigram and so on.

The whole file is kept as text, so that a checkpoint holds all that is needed to read its prompts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmn_bench.errors import UsageError

# How many unknown pieces an error names, and how much of a text a remark quotes.
_NAMED = 5
_QUOTED = 20


@dataclass(frozen=True)
class SubwordVocabulary:
    """The vocabulary of a `tokenizers` file.

    What would change a corpus unseen, or from one call to the next, is switched off: truncation,
    padding, special tokens added at the ends, and the dropout of byte pairs.

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
        # BPE's alone; how Unigram samples is in no file.
        if getattr(loaded.model, "dropout", None) is not None:
            loaded.model.dropout = None
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
            self._refuse_unknown(text, encoding.offsets, np.flatnonzero(ids == self._unknown_id))
        return ids

    def _refuse_unknown(
        self, text: str, offsets: Sequence[tuple[int, int]], places: NDArray[np.intp]
    ) -> None:
        """Tell pieces that are unknown from places where the unknown's own token is written out.

        GPT-2, CLIP and others call the token that parts documents the unknown one.
        """
        name = self._loaded.id_to_token(self._unknown_id)
        pieces = [(text[start:end], start) for start, end in (offsets[i] for i in places)]
        lost = [(piece, start) for piece, start in pieces if not self._is_written(piece, name)]
        if lost:
            raise _unknown(lost)

    def _is_written(self, piece: str, name: str) -> bool:
        bare = piece.strip()
        return bare == name or self._normalized(bare) == name

    def _normalized(self, text: str) -> str:
        normalizer = self._loaded.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _refuse_lost(self, text: str) -> None:
        """Without a token for the unknown, BPE drops it, and no id tells."""
        if self._unknown_id is not None:
            return
        for character in sorted(set(text)):
            if not character.isspace() and self._is_lost(character):
                raise _unknown([(character, text.index(character))])

    def _is_lost(self, character: str) -> bool:
        if not self._normalized(character).strip():
            # It is the normalizer that leaves it out, which `remarks` tells.
            return False
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

    def remarks(self, text: str, ids: NDArray[np.int32]) -> list[str]:
        """What a user should know of this tokenizer and a text, a sentence each.

        Args:
            text: that was encoded.
            ids: (tokens,) what `encode` made of it.
        """
        found = []
        if off := self._switched_off():
            found.append(f"switched off of the tokenizer file: {', '.join(off)}")
        if special := self._special_tokens(ids):
            written = ", ".join(f"{name!r} {count:,}×" for name, count in special)
            found.append(f"special tokens that the text writes out are a token each: {written}")
        if changed := _changed(text, self.decode(ids)):
            found.append(f"the tokenizer changes the text: {changed}")
        return found

    def _switched_off(self) -> list[str]:
        """Settings of the file that are not followed."""
        file = json.loads(self.tokenizer)
        model = file["model"]
        off = [f"dropout {model['dropout']:g}"] if model.get("dropout") else []
        if cut := file.get("truncation"):
            off.append(f"truncation at {cut['max_length']:,} tokens")
        if file.get("padding"):
            off.append("padding")
        if self._loaded.num_special_tokens_to_add(False):
            off.append("special tokens at the ends of a text")
        return off

    def _special_tokens(self, ids: NDArray[np.int32]) -> list[tuple[str, int]]:
        added = self._loaded.get_added_tokens_decoder()
        special = {token: one.content for token, one in added.items() if one.special}
        counts = Counter(ids[np.isin(ids, list(special))].tolist())
        return [(special[token], count) for token, count in sorted(counts.items())]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"kind": "subwords", "tokenizer": self.tokenizer}


def _changed(text: str, again: str) -> str | None:
    """Where a text that was made tokens and read back is another; the first space may differ."""
    if again.strip() == text.strip():
        return None
    # strip() may cut more of one than of the other, so the place is looked for in the whole texts.
    shift = 1 if again[:1] == " " != text[:1] else 0
    pairs = enumerate(zip(text, again[shift:], strict=False))
    place = next(
        (i for i, (one, other) in pairs if one != other), min(len(text), len(again) - shift)
    )
    before, after = text[place:][:_QUOTED], again[shift + place :][:_QUOTED]
    return (
        f"{before!r} at {place:,} reads {after!r} when its tokens are decoded, and "
        f"{len(text):,} characters come back as {len(again):,}"
    )


def _unknown(pieces: Sequence[tuple[str, int]]) -> UsageError:
    """An error that names the first few pieces, each with where it first stands."""
    first: dict[str, int] = {}
    for piece, start in pieces:
        first.setdefault(piece, start)
    named = [f"{piece!r} at {start}" for piece, start in list(first.items())[:_NAMED]]
    more = f" and {len(first) - _NAMED:,} more" if len(first) > _NAMED else ""
    times = f", {len(pieces):,} times in all" if len(pieces) > 1 else ""
    return UsageError(
        f"not in the tokenizer's vocabulary: {', '.join(named)}{more}{times}",
        "leave them out, or use a tokenizer that knows them, such as 'bytes'",
    )
