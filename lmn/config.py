"""The sizes of a block and of a language model made of blocks, checked once and never changed.

This module imports nothing heavy, so that tools can plan with a configuration without loading
torch.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

SummarizerName = Literal["linear", "conv", "expander"]
ConvGroups = Literal["bank", "mix"]

# Numbers of heads that are tried for one that divides the width: more than models have.
_SEARCHED: Final = 4096

SUMMARIZERS: Final[tuple[str, ...]] = ("linear", "conv", "expander")
CONV_GROUPS: Final[tuple[str, ...]] = ("bank", "mix")
# What they mean is told in `lmn.init`, which has one function for each.
INITS: Final[tuple[str, ...]] = (
    "default",
    "published",
    "variance_preserving",
    "damped",
    "faint",
    "sharp",
    "quiet",
    "turning",
    "rotation",
    "averaging",
    "recency",
)


@dataclass(frozen=True, kw_only=True)
class LMNConfig:
    """Sizes of one block: `LMNConfig(width=32, heads=4, banks=2)`.

    Attributes:
        width: features per token, E.
        heads: attention heads, H; has to divide `width`.
        banks: independent summaries kept of every tree node, K.
        summarizer: how two nodes become one: `linear`, `conv` or `expander`. A `conv` that keeps
            its banks apart computes what `linear` does; the name says where weights come from.
        expansion: vectors that a node gains per level, v; only for the expander.
        conv_groups: `bank` keeps the banks of a conv summarizer apart, `mix` lets them mix;
            only for `conv`.
        feedforward_width: hidden features of the feed-forward part; `None` means 4 x width.
        norm_eps: added to the mean square inside both RMS norms; `None`, as published, means the
            machine epsilon of the tensor's own type.

    Raises:
        TypeError: a size is not an integer (a bool or a float is none), or a name is no string.
        ValueError: a size is out of range, a name is unknown, or two settings do not fit together.
    """

    width: int
    heads: int = 1
    banks: int = 1
    summarizer: SummarizerName = "linear"
    expansion: int = 0
    conv_groups: ConvGroups = "bank"
    feedforward_width: int | None = None
    norm_eps: float | None = None

    def __post_init__(self) -> None:
        for name in ("width", "heads", "banks"):
            _require_integer(name, getattr(self, name), minimum=1)
        _require_integer("expansion", self.expansion, minimum=0)
        if self.feedforward_width is not None:
            _require_integer("feedforward_width", self.feedforward_width, minimum=1)
        _require_choice("summarizer", self.summarizer, SUMMARIZERS)
        _require_choice("conv_groups", self.conv_groups, CONV_GROUPS)
        _require_epsilon(self.norm_eps)
        self._require_agreement()

    def _require_agreement(self) -> None:
        if self.width % self.heads:
            nearest = _nearest_divisor(self.width, self.heads)
            hint = (
                "1 always does"
                if nearest is None
                else f"the nearest number of heads that does is {nearest}"
            )
            raise ValueError(
                f"heads must divide width, but {self.heads} does not divide {self.width}; {hint}"
            )
        if self.expansion and self.summarizer != "expander":
            raise ValueError(
                f"expansion={self.expansion} needs summarizer='expander', but the summarizer is "
                f"{self.summarizer!r}; choose the expander or leave expansion at 0"
            )
        if self.conv_groups != "bank" and self.summarizer != "conv":
            raise ValueError(
                f"conv_groups={self.conv_groups!r} needs summarizer='conv', but the summarizer is "
                f"{self.summarizer!r}; choose conv or leave conv_groups at 'bank'"
            )

    @property
    def head_width(self) -> int:
        """Features per head, E / H."""
        return self.width // self.heads

    @property
    def hidden_width(self) -> int:
        """Features inside the feed-forward part, 4E unless set."""
        return 4 * self.width if self.feedforward_width is None else self.feedforward_width


@dataclass(frozen=True, kw_only=True)
class LMNLanguageModelConfig:
    """Sizes of a language model: embedding, blocks, final norm, linear head; no position table.

    `LMNLanguageModelConfig(vocabulary=65, layers=4, block=LMNConfig(width=32, heads=4, banks=2))`
    is the published one, of 71,489 parameters.

    Attributes:
        vocabulary: different tokens; they are numbered from 0.
        layers: blocks on top of each other.
        block: sizes of each block.
        tie_weights: whether the head multiplies by the embedding's weights instead of its own.
        init: how weights are drawn, one of `INITS`; see `lmn.init`.

    Raises:
        TypeError: a size is not an integer, `block` is no `LMNConfig`, or `tie_weights` no bool.
        ValueError: a size is below 1, or `init` is unknown.
    """

    vocabulary: int
    layers: int
    block: LMNConfig
    tie_weights: bool = False
    init: str = "default"

    def __post_init__(self) -> None:
        for name in ("vocabulary", "layers"):
            _require_integer(name, getattr(self, name), minimum=1)
        if not isinstance(self.block, LMNConfig):
            raise TypeError(
                f"block must be an LMNConfig, got {self.block!r} of type "
                f"{type(self.block).__name__}; write block=LMNConfig(width=...)"
            )
        if not isinstance(self.tie_weights, bool):
            raise TypeError(f"tie_weights must be True or False, got {self.tie_weights!r}")
        _require_choice("init", self.init, INITS)

    @property
    def width(self) -> int:
        """Features per token, E."""
        return self.block.width

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and one nested dictionary, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> LMNLanguageModelConfig:
        """Read back what `to_dict` gave.

        Raises:
            TypeError, ValueError: as the constructor; or an entry is missing or unknown.
        """
        _require_entries(cls, plain)
        _require_entries(LMNConfig, plain["block"])
        return cls(**{**plain, "block": LMNConfig(**plain["block"])})


def _nearest_divisor(width: int, heads: int) -> int | None:
    """The divisor of `width` that is nearest to `heads`, if one is near; the smaller of two."""
    for distance in range(_SEARCHED):
        for nearby in (heads - distance, heads + distance):
            if nearby > 0 and width % nearby == 0:
                return nearby
    return None


def _require_entries(kind: type, plain: object) -> None:
    known = {field.name for field in fields(kind)}
    if not isinstance(plain, Mapping) or set(plain) != known:
        came = sorted(plain) if isinstance(plain, Mapping) else repr(plain)
        raise ValueError(
            f"expected the entries {sorted(known)} of {kind.__name__}, got {came}; pass what "
            "to_dict() returned"
        )


def _require_integer(name: str, value: object, *, minimum: int) -> None:
    # bool is a subclass of int, and heads=True is a mistake rather than one head
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be an integer of at least {minimum}, "
            f"got {value!r} of type {type(value).__name__}; write it as a plain whole number"
        )
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}; give it a larger value")


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    expected = " or ".join(repr(choice) for choice in choices)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {expected}, got {value!r} of type {type(value).__name__}")
    if value not in choices:
        near = difflib.get_close_matches(value.lower(), choices, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "; choose one of these"
        raise ValueError(f"{name} must be {expected}, got {value!r}{hint}")


def _require_epsilon(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"norm_eps must be a positive number or None, got {value!r} of type "
            f"{type(value).__name__}"
        )
    if not 0 < value <= sys.float_info.max:
        raise ValueError(
            f"norm_eps must be positive and finite, got {value}; a usual value is 1e-6, "
            "and None takes the machine epsilon"
        )
