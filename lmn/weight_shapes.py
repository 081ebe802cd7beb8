"""Names and shapes of a language model's weights, told from its config without making any.

A file may say that it holds a model larger than any machine: what it should hold is worked out
first, and compared with what its header says. Nothing here imports torch.
"""

from __future__ import annotations

from lmn.config import LMNConfig, LMNLanguageModelConfig

Shapes = dict[str, tuple[int, ...]]


def weight_shapes(config: LMNLanguageModelConfig) -> Shapes:
    """The weights of a whole model as `save_model` keeps them: tied ones once."""
    width, vocabulary = config.width, config.vocabulary
    shapes: Shapes = {"embedding.weight": (vocabulary, width)}
    of_block = block_shapes(config.block)
    for number in range(config.layers):
        shapes |= {f"blocks.{number}.{name}": shape for name, shape in of_block.items()}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    if not config.tie_weights:
        shapes["head.weight"] = (vocabulary, width)
    return shapes | {"head.bias": (vocabulary,)}


def block_shapes(config: LMNConfig) -> Shapes:
    """The weights of one block."""
    width, hidden = config.width, config.hidden_width
    return {
        "norm1.weight": (width,),
        "memory.query_key_value.weight": (3 * width, width),
        "memory.query_key_value.bias": (3 * width,),
        **{f"memory.summarizer.{name}": shape for name, shape in _summarizer(config).items()},
        "memory.output.weight": (width, width),
        "memory.output.bias": (width,),
        "norm2.weight": (width,),
        "feedforward.up.weight": (hidden, width),
        "feedforward.up.bias": (hidden,),
        "feedforward.down.weight": (width, hidden),
        "feedforward.down.bias": (width,),
    }


def _summarizer(config: LMNConfig) -> Shapes:
    width, banks = config.width, config.banks
    if config.summarizer == "conv" and config.conv_groups == "mix":
        return {"weight": (2 * banks * width, banks * width), "bias": (banks * width,)}
    by_bank: Shapes = {"weight": (banks, 2 * width, width), "bias": (banks, 1, width)}
    if config.summarizer != "expander":
        return by_bank
    widened: Shapes = {
        "widen.weight": (width, width, 1 + config.expansion), "widen.bias": (width,),
    }  # fmt: skip
    return widened | {f"merge.{name}": shape for name, shape in by_bank.items()}
