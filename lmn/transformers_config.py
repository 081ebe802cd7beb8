"""The config of `lmn.transformers_model`: our sizes under the names of the library transformers."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any, Final

from transformers import PreTrainedConfig

from lmn.config import ConvGroups, LMNConfig, LMNLanguageModelConfig, SummarizerName

# what these sizes are called elsewhere, here included: the library keeps any name, and uses none
_OTHER_NAMES: Final = {
    "vocabulary": "vocab_size",
    "layers": "num_hidden_layers",
    "num_layers": "num_hidden_layers",
    "n_layer": "num_hidden_layers",
    "width": "hidden_size",
    "d_model": "hidden_size",
    "n_embd": "hidden_size",
    "heads": "num_attention_heads",
    "num_heads": "num_attention_heads",
    "n_head": "num_attention_heads",
    "intermediate_size": "feedforward_width",
    "tie_weights": "tie_word_embeddings",
}
# how alike a name must be to one of ours to be taken for a slip; none of the library's own is
_ALIKE: Final = 0.8


class LMNTransformersConfig(PreTrainedConfig):  # type: ignore[misc]
    """`LMNLanguageModelConfig` with the library's names for sizes.

    Args:
        vocab_size: `vocabulary`.
        num_hidden_layers: `layers`.
        hidden_size: `width`.
        num_attention_heads: `heads`.
        tie_word_embeddings: `tie_weights`.
        init: see `lmn.init`.
        banks, summarizer, expansion, conv_groups, feedforward_width, norm_eps: as in `LMNConfig`.
        **kwargs: what every config of the library takes, such as `eos_token_id`.

    Raises:
        TypeError: a size under another name, such as `width`, which the library would keep and
            nothing would use; or as `LMNConfig` and `LMNLanguageModelConfig`.
        ValueError: as these.
    """

    model_type = "lmn"

    def __init__(
        self,
        vocab_size: int = 256,
        num_hidden_layers: int = 4,
        hidden_size: int = 32,
        num_attention_heads: int = 4,
        banks: int = 2,
        summarizer: SummarizerName = "linear",
        expansion: int = 0,
        conv_groups: ConvGroups = "bank",
        feedforward_width: int | None = None,
        norm_eps: float | None = None,
        init: str = "default",
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        _refuse_other_names(kwargs)
        self.vocab_size, self.num_hidden_layers = vocab_size, num_hidden_layers
        self.hidden_size, self.num_attention_heads = hidden_size, num_attention_heads
        self.banks, self.summarizer, self.expansion = banks, summarizer, expansion
        self.conv_groups, self.feedforward_width = conv_groups, feedforward_width
        self.norm_eps, self.init = norm_eps, init
        self.tie_word_embeddings = tie_word_embeddings
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.to_language_model_config()  # tells mistakes now

    def to_language_model_config(self) -> LMNLanguageModelConfig:
        """The same sizes under our names."""
        block = LMNConfig(
            width=self.hidden_size,
            heads=self.num_attention_heads,
            banks=self.banks,
            summarizer=self.summarizer,
            expansion=self.expansion,
            conv_groups=self.conv_groups,
            feedforward_width=self.feedforward_width,
            norm_eps=self.norm_eps,
        )
        return LMNLanguageModelConfig(
            vocabulary=self.vocab_size,
            layers=self.num_hidden_layers,
            block=block,
            tie_weights=self.tie_word_embeddings,
            init=self.init,
        )

    @classmethod
    def from_language_model_config(
        cls, config: LMNLanguageModelConfig, **kwargs: Any
    ) -> LMNTransformersConfig:
        """The same sizes under the library's names; `kwargs` as in the constructor."""
        block = config.block
        return cls(
            vocab_size=config.vocabulary,
            num_hidden_layers=config.layers,
            hidden_size=block.width,
            num_attention_heads=block.heads,
            banks=block.banks,
            summarizer=block.summarizer,
            expansion=block.expansion,
            conv_groups=block.conv_groups,
            feedforward_width=block.feedforward_width,
            norm_eps=block.norm_eps,
            init=config.init,
            tie_word_embeddings=config.tie_weights,
            **kwargs,
        )


def _refuse_other_names(given: Mapping[str, Any]) -> None:
    ours = [*inspect.signature(LMNTransformersConfig).parameters][:-1]
    for name in given:
        near = difflib.get_close_matches(name, ours, n=1, cutoff=_ALIKE)
        meant = _OTHER_NAMES.get(name) or (near[0] if near else None)
        if meant is not None:
            raise TypeError(f"{name}={given[name]!r} would be without effect; write {meant}")
