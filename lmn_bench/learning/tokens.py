"""Text to token ids and back: characters, bytes, or a file of the `tokenizers` package.

A vocabulary is a value: `to_dict` gives plain JSON for a checkpoint, and `vocabulary_from_dict`
makes the same one of it, wherever that is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmn_bench.errors import UnknownNameError, UsageError
from lmn_bench.learning.corpora import Corpus
from lmn_bench.learning.names import TOKENIZERS
from lmn_bench.learning.subwords import SubwordVocabulary
from lmn_bench.texts import read_text

TokenIds = NDArray[np.int32]

# The largest tokenizers in use have files of some 35 MB.
MOST_TOKENIZER_BYTES = 128 * 2**20
# How many unknown characters an error names.
_NAMED = 5


class Vocabulary(Protocol):
    """Turns text into token ids below `size`, and back."""

    @property
    def size(self) -> int:
        """How many ids there are: the rows of an embedding."""

    def encode(self, text: str) -> TokenIds:
        """The ids of a text, shape (tokens,) int32.

        Raises:
            UsageError: the text holds what the vocabulary lacks; it is named with its position.
        """

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """The text of ids.

        Raises:
            ValueError: an id that is not from 0 to `size` - 1.
        """

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which `vocabulary_from_dict` reads."""


@dataclass(frozen=True)
class CharacterVocabulary:
    """One token for every character; ids in the order of code points.

    Attributes:
        characters: all of them, sorted, each once.
    """

    characters: str

    def __post_init__(self) -> None:
        if not self.characters or list(self.characters) != sorted(set(self.characters)):
            raise UsageError(
                "a vocabulary of characters: expected at least one, sorted, each once, "
                f"got {self.characters[:40]!r}"
            )

    @classmethod
    def of(cls, text: str) -> CharacterVocabulary:
        """The characters of a text.

        Raises:
            UsageError: there are none.
        """
        return cls("".join(sorted(set(text))))

    @property
    def size(self) -> int:
        """How many characters there are."""
        return len(self.characters)

    @cached_property
    def _points(self) -> NDArray[np.uint32]:
        return _code_points(self.characters)

    def encode(self, text: str) -> TokenIds:
        """As `Vocabulary.encode`."""
        points = _code_points(text)
        ids = np.minimum(np.searchsorted(self._points, points), self.size - 1)
        if (unknown := np.flatnonzero(self._points[ids] != points)).size:
            raise _unknown_characters(text, unknown)
        return ids.astype(np.int32)

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """As `Vocabulary.decode`."""
        return "".join(self.characters[token] for token in _checked(ids, self.size))

    def to_dict(self) -> dict[str, Any]:
        """As `Vocabulary.to_dict`."""
        return {"kind": "characters", "characters": self.characters}


@dataclass(frozen=True)
class ByteVocabulary:
    """The 256 bytes of UTF-8: nothing is unknown to it."""

    size: int = field(default=256, init=False)

    def encode(self, text: str) -> TokenIds:
        """As `Vocabulary.encode`; half a surrogate pair is no text, and refused."""
        try:
            return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)
        except UnicodeEncodeError as error:
            raise UsageError(
                f"character {text[error.start]!r} at {error.start} has no UTF-8",
                "the text was not valid UTF-8 where it came from",
            ) from None

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """As `Vocabulary.decode`; bytes that are no UTF-8 give U+FFFD, as a cut character does."""
        return bytes(_checked(ids, self.size)).decode(errors="replace")

    def to_dict(self) -> dict[str, Any]:
        """As `Vocabulary.to_dict`."""
        return {"kind": "bytes"}


def make_vocabulary(tokenizer: str, text: str) -> Vocabulary:
    """The vocabulary of a tokenizer's name, or of a `tokenizers` file, for a corpus.

    Args:
        tokenizer: a name in `TOKENIZERS`, or the path of a tokenizer's JSON file.
        text: whose characters "characters" takes.

    Raises:
        UnknownNameError: neither a name nor a file.
        UsageError: a file that cannot be read, or without the package `tokenizers`.
    """
    if tokenizer == "characters":
        return CharacterVocabulary.of(text)
    if tokenizer == "bytes":
        return ByteVocabulary()
    path = Path(tokenizer)
    # not of Path: it raises where a path is too long
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # noqa: PTH110, PTH112, PTH113
        raise UsageError(
            f"{path} is a pipe or a device, and a tokenizer is read more than once",
            "save it in a file first",
        )
    try:
        text = read_text(path, MOST_TOKENIZER_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        extra = "; or give the path of a tokenizer.json"
        raise UnknownNameError("tokenizer", tokenizer, TOKENIZERS, extra) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UsageError as error:
        hint = "expected the JSON that `Tokenizer.save` writes"
        hint += f"; {error.hint}" if error.hint else ""
        raise UsageError(f"no tokenizer file: {error.message}", hint) from None
    return SubwordVocabulary(text)


def remarks_on(vocabulary: Vocabulary, corpus: Corpus, ids: TokenIds) -> list[str]:
    """What a user should know of how a corpus was read and made tokens, a sentence each.

    Characters and bytes are read as they are: of them there is nothing to say.
    """
    remarks = [corpus.remark] if corpus.remark else []
    if isinstance(vocabulary, SubwordVocabulary):
        remarks += vocabulary.remarks(corpus.text, ids)
    return remarks


def vocabulary_from_dict(data: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that `to_dict` described.

    Raises:
        UsageError: it describes none.
    """
    match data:
        case {"kind": "characters", "characters": str(characters), **rest} if not rest:
            return CharacterVocabulary(characters)
        case {"kind": "bytes", **rest} if not rest:
            return ByteVocabulary()
        case {"kind": "subwords", "tokenizer": str(tokenizer), **rest} if not rest:
            return SubwordVocabulary(tokenizer)
    raise UsageError(
        f"expected a stored vocabulary of characters, bytes or subwords, got {str(data)[:80]}",
        "the checkpoint is damaged, or a newer lmn-bench wrote it",
    )


def _code_points(text: str) -> NDArray[np.uint32]:
    # A command line hands on bytes that are no UTF-8 as half surrogate pairs.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _checked(ids: Sequence[int] | TokenIds, size: int) -> list[int]:
    """The ids as Python integers, none of them outside the vocabulary."""
    plain = [int(token) for token in ids]
    # A negative index would read from the end.
    if wrong := [token for token in plain if not 0 <= token < size]:
        raise ValueError(f"expected token ids from 0 to {size - 1}, got {wrong[0]}")
    return plain


def _unknown_characters(text: str, positions: NDArray[np.intp]) -> UsageError:
    """An error that names the first few characters, each with where it first stands."""
    first: dict[str, int] = {}
    for position in positions.tolist():
        first.setdefault(text[position], position)
    named = [f"{character!r} at {first[character]}" for character in list(first)[:_NAMED]]
    more = f" and {len(first) - _NAMED} more" if len(first) > _NAMED else ""
    return UsageError(
        f"not in the vocabulary: {', '.join(named)}{more}",
        "leave them out, or train with the tokenizer 'bytes', which knows them all",
    )
