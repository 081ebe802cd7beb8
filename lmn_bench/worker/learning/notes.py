"""What lies in a checkpoint beside weights and optimizer: vocabulary, corpus, settings, curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

from lmn_bench.errors import FileError, UsageError
from lmn_bench.learning.settings import TrainingSettings
from lmn_bench.learning.settings_file import check_settings


@dataclass
class Curve:
    """Losses so far, in nats per token, and what they took.

    Attributes:
        training: of every step's batch, the first step first.
        validation: pairs of steps done and validation loss.
        tokens: read in training.
        seconds: spent on it, validation and saving included.
    """

    training: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0


@dataclass
class Notes:
    """The notes of a checkpoint of ours; `curve` grows.

    Attributes:
        settings: of the training.
        vocabulary: as `Vocabulary.to_dict` gives it.
        corpus: its `name` and `sha256`.
        curve: losses so far.
    """

    settings: TrainingSettings
    vocabulary: dict[str, Any]
    corpus: dict[str, str]
    curve: Curve

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], path: str | PathLike[str]) -> Notes:
        """Read back what `to_dict` gave.

        Raises:
            UsageError: they aren't notes of `lmn-bench train`.
        """
        try:
            corpus = {name: str(plain["corpus"][name]) for name in ("name", "sha256")}
            settings = _settings(plain["settings"])
            return cls(settings, dict(plain["vocabulary"]), corpus, _curve(plain["curve"]))
        except (KeyError, TypeError, ValueError, OverflowError, FileError):
            raise UsageError(
                f"{path} is a checkpoint without the notes of `lmn-bench train`: expected "
                "settings, vocabulary, corpus and curve",
                "a program of yours or another release wrote it; train with this one",
            ) from None


def _settings(plain: Mapping[str, Any]) -> TrainingSettings:
    """All settings, each of the kind and in the range that a config file may have."""
    TrainingSettings(**plain)
    return check_settings(plain, TrainingSettings(), "notes", {})


def _curve(plain: Mapping[str, Any]) -> Curve:
    curve = Curve(**plain)
    return Curve(
        [float(loss) for loss in curve.training],
        [(int(step), float(loss)) for step, loss in curve.validation],
        int(curve.tokens),
        float(curve.seconds),
    )
