"""Tokens that come one by one, as text that is only ever whole characters."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

from lmn_bench.learning.tokens import ByteVocabulary, Vocabulary

# Bytes of the longest character in UTF-8; a token holds one at least.
_LONGEST_CHARACTER = 4
# What a decoder gives for bytes that are no character, or not one yet.
_UNREADABLE = "\ufffd"


class TextStream(Protocol):
    """Turns tokens into text as they come."""

    def feed(self, token: int) -> str:
        """What this token adds: nothing while a character is unfinished.

        Raises:
            ValueError: the vocabulary has no such token.
        """


def text_stream(vocabulary: Vocabulary, before: Sequence[int] = ()) -> TextStream:
    """A stream of text behind the tokens `before`, such as a prompt's.

    Bytes that can't become a character any more give U+FFFD, as `Vocabulary.decode` does.
    """
    if isinstance(vocabulary, ByteVocabulary):
        return _ByteStream()
    return _TokenStream(vocabulary, before)


class _ByteStream:
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(bytes([token]))


class _TokenStream:
    """Decodes a few tokens again and again: a token's text may depend on those before it."""

    def __init__(self, vocabulary: Vocabulary, before: Sequence[int]) -> None:
        self._vocabulary = vocabulary
        self._context = [int(token) for token in before[-2 * _LONGEST_CHARACTER :]]
        self._pending: list[int] = []

    def feed(self, token: int) -> str:
        self._pending.append(token)
        known = self._vocabulary.decode(self._context)
        whole = self._vocabulary.decode([*self._context, *self._pending])
        unfinished = whole.endswith(_UNREADABLE) and len(self._pending) < _LONGEST_CHARACTER
        if unfinished or len(whole) <= len(known):
            return ""
        self._context, self._pending = [*self._context[-1:], *self._pending], []
        return whole[len(known) :]


class StopText:
    """Passes text on up to the first of some texts, which is not passed on.

    Args:
        stops: not empty ones.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """What may be passed on by now, and whether a stop was met."""
        held = self._held + text
        places = [place for stop in self._stops if (place := held.find(stop)) >= 0]
        if places:
            self._held = ""
            return held[: min(places)], True
        kept = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept], False

    def rest(self) -> str:
        """What was held back, because a stop might have begun there."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` might be the beginning of `stop`."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)
