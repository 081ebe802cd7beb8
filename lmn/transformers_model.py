"""The language model under the names of the library transformers: its `generate()`, its files.

    import lmn.transformers_model                  # registers the classes below
    model = AutoModelForCausalLM.from_pretrained(folder)

`LMNForCausalLM` has an `LMNLanguageModel` inside and adds no weights. What that library calls a
cache is here a `LanguageModelState` of a size that grows with the logarithm of the length. Needs
the package transformers, version 5: `pip install 'transformers>=5'`; nothing else in `lmn` imports
it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn.language_model import LMNLanguageModel
from lmn.state import LanguageModelState

try:
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        GenerationMixin,
        PreTrainedModel,
    )
    from transformers.cache_utils import Cache
    from transformers.modeling_outputs import CausalLMOutputWithPast
    from transformers.utils.generic import can_return_tuple

    from lmn.transformers_config import LMNTransformersConfig
except ImportError as error:
    raise ImportError(
        f"lmn.transformers_model needs the package transformers, version 5 ({error}); install it "
        "with: pip install 'transformers>=5'",
        name="transformers",
    ) from error

# the label that the library's own losses leave out
IGNORED_LABEL = -100


class LMNCache(Cache):  # type: ignore[misc]
    """A `LanguageModelState` where the library wants a cache; it is replaced as tokens are read.

    Attributes:
        state: a value; another stream may go on from it with an `LMNCache` of its own.
    """

    def __init__(self, state: LanguageModelState) -> None:
        super().__init__(layers=[])
        self.state = state

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens read so far."""
        return self.state.tokens_seen

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """-1: no greatest length."""
        return -1

    @property
    def batch_size(self) -> int:
        """Sequences held side by side."""
        return self.state.batch

    @property
    def is_croppable(self) -> bool:
        """False: merged tokens cannot be taken apart again."""
        return False

    def crop(self, tokens_to_remove: int) -> None:
        """Raises a NotImplementedError: merged tokens cannot be taken apart again."""
        raise NotImplementedError(
            "a logarithmic memory cannot forget its newest tokens, so assisted generation does not "
            "work; keep cache.state of before, it stays as it is"
        )

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Pick sequences, as beam search does."""
        self.state = self.state[beam_idx]

    def batch_select_indices(self, indices: Tensor) -> None:
        """Pick sequences."""
        self.state = self.state[indices]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each sequence."""
        rows = torch.arange(self.state.batch, device=self.state.layers[0].nodes.device)
        self.state = self.state[rows.repeat_interleave(repeats)]


class LMNForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """`LMNLanguageModel` as a causal language model of the library.

    Prompts of a batch have the same length: the memory has no place for padding, and an attention
    mask with zeros is refused.
    """

    config_class = LMNTransformersConfig
    base_model_prefix = ""
    _is_stateful = True
    # the loss is a mean over its own batch: a trainer has to weigh batches itself
    accepts_loss_kwargs = False
    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "language_model.head.weight": "language_model.embedding.weight"
    }

    def __init__(self, config: LMNTransformersConfig) -> None:
        super().__init__(config)
        self.language_model = LMNLanguageModel(config.to_language_model_config())
        # drawn already, so the library should not; but while it loads a file there is no memory
        # yet, and what the file lacks is for `_init_weights`
        for parameter in self.language_model.parameters():
            if not parameter.is_meta:
                parameter._is_hf_initialized = True  # type: ignore[attr-defined]
        self.post_init()

    @classmethod
    def from_language_model(cls, model: LMNLanguageModel, **kwargs: Any) -> LMNForCausalLM:
        """Put a model inside; weights are shared with it. `kwargs` go to the config."""
        wrapped = cls(LMNTransformersConfig.from_language_model_config(model.config, **kwargs))
        wrapped.language_model = model
        return wrapped.to(model.dtype)  # type: ignore[no-any-return]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: LMNCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits after each of `input_ids` (batch, tokens), and what `generate()` goes on from.

        Args:
            input_ids: (batch, tokens).
            attention_mask: (batch, tokens) of ones, or `None`.
            past_key_values: what came before; it is changed.
            inputs_embeds: not supported.
            labels: (batch, tokens), usually `input_ids`: `loss` compares each with the logits one
                place before it; -100 is left out.
            use_cache: whether to return a cache; `None` means yes.
            logits_to_keep: 1 for the last place alone, read in bounded memory; 0 for all.
            **kwargs: what the library passes to every model: `return_dict=False` gives a tuple,
                others, such as positions, are without effect.

        Raises:
            ValueError: padding, no `input_ids`, attentions or hidden states are asked for, or as
                `LMNLanguageModel.forward`.
            TypeError: the cache is no `LMNCache`.
        """
        if input_ids is None or inputs_embeds is not None:
            raise ValueError("an LMN reads input_ids, not inputs_embeds; pass token numbers")
        for name in ("output_attentions", "output_hidden_states"):
            if kwargs.get(name) or getattr(self.config, name):
                raise ValueError(
                    f"{name} is asked for, and an LMN gives logits and a state alone; leave it out"
                )
        state = _state_of(past_key_values)
        if state is None and attention_mask is not None and not attention_mask.all():
            raise ValueError(
                "the attention mask has zeros, and a logarithmic memory has no place for padding; "
                "give prompts of the same length, or one by one"
            )
        model = self.language_model
        if input_ids.shape[1] == 1 and state is not None:
            logits, state = model.decode_one_token(input_ids[:, 0], state)
            logits = logits[:, None]
        elif logits_to_keep == 1 and labels is None:
            logits, state = model.prefill(input_ids, state)
            logits = logits[:, None]
        else:
            logits, state = model(input_ids, state)
            logits = logits[:, -logits_to_keep:] if logits_to_keep else logits
        return CausalLMOutputWithPast(
            loss=None if labels is None else _shifted_loss(logits, labels),
            logits=logits,
            past_key_values=None if use_cache is False else _cache_with(past_key_values, state),
        )

    def get_input_embeddings(self) -> nn.Module:
        """The embedding."""
        return self.language_model.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the embedding."""
        self.language_model.embedding = value

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.language_model.head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the head."""
        self.language_model.head = new_embeddings

    def _init_weights(self, module: nn.Module) -> None:
        """Draw what a loaded file lacks; the library warns of it."""
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        # without a cache of the library's own, `forward` gives it ours
        return False


def _state_of(cache: LMNCache | None) -> LanguageModelState | None:
    if cache is None:
        return None
    if not isinstance(cache, LMNCache):
        raise TypeError(
            f"past_key_values must be an LMNCache, got {type(cache).__name__}; pass what an "
            "earlier call returned, or LMNCache(state)"
        )
    return cache.state


def _cache_with(cache: LMNCache | None, state: LanguageModelState) -> LMNCache:
    if cache is None:
        return LMNCache(state)
    cache.state = state
    return cache


def _shifted_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each label under the logits one place before it."""
    predicted = logits[:, :-1].flatten(0, 1).float()
    return F.cross_entropy(predicted, labels[:, 1:].flatten(), ignore_index=IGNORED_LABEL)


AutoConfig.register("lmn", LMNTransformersConfig, exist_ok=True)
AutoModelForCausalLM.register(LMNTransformersConfig, LMNForCausalLM, exist_ok=True)
