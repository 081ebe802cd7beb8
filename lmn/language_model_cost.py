"""What a whole language model costs, worked out from its configuration alone.

Blocks are counted by `lmn.cost`; here come the embedding, the final norm and the head. Nothing here
imports torch.
"""

from __future__ import annotations

from lmn import cost
from lmn.config import LMNLanguageModelConfig


def parameter_count(config: LMNLanguageModelConfig) -> int:
    """Learned numbers of the model; tied weights are counted once."""
    width, vocabulary = config.width, config.vocabulary
    norm, head_bias = 2 * width, vocabulary
    tables = (1 if config.tie_weights else 2) * vocabulary * width
    return tables + config.layers * cost.parameter_count(config.block) + norm + head_bias


def state_bytes(
    config: LMNLanguageModelConfig, tokens: int, batch: int = 1, itemsize: int = 4
) -> int:
    """Bytes of a `LanguageModelState` after `tokens` tokens; `itemsize` is that of the weights."""
    return config.layers * cost.state_bytes(config.block, tokens, batch, itemsize)


def decode_state_bytes(
    config: LMNLanguageModelConfig, tokens: int, batch: int = 1, itemsize: int = 4
) -> int:
    """Bytes of a `LanguageModelDecodeState` after `tokens` tokens."""
    return config.layers * cost.decode_state_bytes(config.block, tokens, batch, itemsize)
