"""Logarithmic Memory Networks: sequence layers whose memory grows with the logarithm of the length.

Source: arXiv 2501.07905 (M. A. Taha). Names are loaded when first used, so that `lmn.config`,
`lmn.tree` and `lmn.cost` can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmn.block import LMNBlock
    from lmn.config import LMNConfig, LMNLanguageModelConfig
    from lmn.decode import Decoder
    from lmn.decode_state import DecodeState
    from lmn.generation import Generation, TokenStream, generate, stream_tokens
    from lmn.language_decoder import LanguageModelDecoder, LanguageModelDecodeState
    from lmn.language_model import LMNLanguageModel
    from lmn.memory import LogarithmicMemory
    from lmn.public_weights import load_public_block, load_public_language_model
    from lmn.published import PublishedBlock
    from lmn.state import LanguageModelState, MemoryState

_HOMES = {
    "DecodeState": "lmn.decode_state",
    "Decoder": "lmn.decode",
    "Generation": "lmn.generation",
    "LMNBlock": "lmn.block",
    "LMNConfig": "lmn.config",
    "LMNLanguageModel": "lmn.language_model",
    "LMNLanguageModelConfig": "lmn.config",
    "LanguageModelDecodeState": "lmn.language_decoder",
    "LanguageModelDecoder": "lmn.language_decoder",
    "LanguageModelState": "lmn.state",
    "LogarithmicMemory": "lmn.memory",
    "MemoryState": "lmn.state",
    "PublishedBlock": "lmn.published",
    "TokenStream": "lmn.generation",
    "generate": "lmn.generation",
    "load_public_block": "lmn.public_weights",
    "load_public_language_model": "lmn.public_weights",
    "stream_tokens": "lmn.generation",
}

__all__ = [
    "DecodeState",
    "Decoder",
    "Generation",
    "LMNBlock",
    "LMNConfig",
    "LMNLanguageModel",
    "LMNLanguageModelConfig",
    "LanguageModelDecodeState",
    "LanguageModelDecoder",
    "LanguageModelState",
    "LogarithmicMemory",
    "MemoryState",
    "PublishedBlock",
    "TokenStream",
    "generate",
    "load_public_block",
    "load_public_language_model",
    "stream_tokens",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
