"""Where a script's text stands in the README: between two marks that no reader sees."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


class Marks(NamedTuple):
    """A beginning that says where the text comes from, and an end."""

    begin: str
    end: str

    def replace(self, readme: str, text: str) -> str:
        """The README with this text between the marks; ValueError where they are not there once."""
        head, rest = readme.split(self.begin)
        _, tail = rest.split(self.end)
        return f"{head}{self.begin}\n{text}\n{self.end}{tail}"
