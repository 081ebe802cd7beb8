"""Sentences that are listed in one place, with places for words."""

from __future__ import annotations

from enum import StrEnum


class Template(StrEnum):
    """A text with places for words; call it with them."""

    def __call__(self, **words: str) -> str:
        """The text with its words."""
        return self.value.format(**words)
