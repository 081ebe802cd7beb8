"""Public weights: the layouts of the published repository and of its notebook.

The repository has blocks, read into an `LMNBlock`:

| repository's entry | here |
|---|---|
| `norm1.weight`, `norm2.weight` | the same |
| `sva.k` (projects the current token) | `memory.query_key_value`, first third |
| `sva.q` (projects the slots) | `memory.query_key_value`, second third |
| `sva.v` | `memory.query_key_value`, last third |
| `sva.out_proj` | `memory.output` |
| `summarizer.weight`, `.bias` | `memory.summarizer`, or `memory.summarizer.merge` of an expander |
| `summarizer.conv.weight`, `.bias` | `memory.summarizer`, as matrices |
| `expander.conv_transpose` | `memory.summarizer.widen` |
| `feedforward.fc1`, `.fc2` | `feedforward.up`, `.down` |

The notebook has a whole language model, read into an `LMNLanguageModel`:

| notebook's entry | here, or in the repository's layout of a block |
|---|---|
| `token_embedding_table`, `ln_f`, `lm_head` | `embedding`, `norm`, `head` |
| `blocks.N.qkv` | `sva.q`, `sva.k` and `sva.v` on top of each other |
| `blocks.N.out_proj`, `.feedforward.0`, `.feedforward.2` | `sva.out_proj`, `feedforward.fc1`, \
`feedforward.fc2` |
| `blocks.N.summarizer.bias`, (1, banks, 1, width) | `summarizer.bias`, (banks, 1, width) |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lmn.block import LMNBlock
from lmn.config import ConvGroups, LMNConfig, LMNLanguageModelConfig, SummarizerName
from lmn.language_model import LMNLanguageModel

# entries of a notebook's block whose names alone differ from the repository's
_NOTEBOOK_NAMES = {
    "norm1": "norm1",
    "norm2": "norm2",
    "summarizer": "summarizer",
    "out_proj": "sva.out_proj",
    "feedforward.0": "feedforward.fc1",
    "feedforward.2": "feedforward.fc2",
}
_NOTEBOOK_ENDS = {"token_embedding_table": "embedding", "ln_f": "norm", "lm_head": "head"}


def load_public_block(mapping: Mapping[str, Any], heads: int = 1) -> LMNBlock:
    """Make a block from the published repository's weights.

    Width, banks, summarizer, expansion and groups follow from the entries; the number of heads
    leaves no trace in the weights and has to be told.

    Args:
        mapping: public names to tensors or numpy arrays.
        heads: attention heads that the weights were trained with.

    Returns:
        A block with weights of the mapping's type, on its device.

    Raises:
        ValueError: an entry is missing, unexpected or of the wrong shape, or `heads` does not
            divide the width.
    """
    weights = {name: torch.as_tensor(value) for name, value in mapping.items()}
    config = _config_of(weights, heads)
    _check_entries(weights, config)
    reference = weights["norm1.weight"]
    block = LMNBlock(config).to(reference.device, reference.dtype)
    block.load_state_dict(translate_block(weights, config))
    return block


def load_public_language_model(mapping: Mapping[str, Any], heads: int) -> LMNLanguageModel:
    """Make a language model from weights of the published notebook.

    All sizes but the number of heads follow from the entries.

    Args:
        mapping: names of the notebook to tensors or numpy arrays.
        heads: attention heads that the weights were trained with; 4 in the notebook.

    Returns:
        A model with weights of the mapping's type, on its device.

    Raises:
        ValueError: an entry is missing, unexpected or of the wrong shape, or `heads` does not
            divide the width.
    """
    weights = {name: torch.as_tensor(value) for name, value in mapping.items()}
    vocabulary, width = _sizes(weights, "token_embedding_table.weight", 2)
    public_blocks, ends = _split_notebook(weights)
    _check_ends(ends, vocabulary, width)
    configs = [_config_of(block, heads) for block in public_blocks]
    for block in public_blocks:
        _check_entries(block, configs[0])
    config = LMNLanguageModelConfig(
        vocabulary=vocabulary, layers=len(configs), block=configs[0], init="published"
    )
    entries = {
        f"{_NOTEBOOK_ENDS[name]}.{kind}": weight
        for (name, kind), weight in ((key.rsplit(".", 1), ends[key]) for key in ends)
    }
    for number, block in enumerate(public_blocks):
        translated = translate_block(block, config.block)
        entries |= {f"blocks.{number}.{name}": weight for name, weight in translated.items()}
    reference = weights["token_embedding_table.weight"]
    model = LMNLanguageModel(config).to(reference.device, reference.dtype)
    model.load_state_dict(entries)
    return model


def _split_notebook(
    weights: Mapping[str, Tensor],
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Blocks in the repository's layout, and what is around them under the notebook's names."""
    blocks: dict[int, dict[str, Tensor]] = {}
    ends: dict[str, Tensor] = {}
    for name, weight in weights.items():
        place, _, rest = name.removeprefix("blocks.").partition(".")
        if name.startswith("blocks.") and place.isdecimal():
            blocks.setdefault(int(place), {})[rest] = weight
        else:
            ends[name] = weight
    if not blocks or sorted(blocks) != list(range(len(blocks))):
        raise ValueError(
            "a language model in the notebook's layout has blocks.0, blocks.1, ..., got blocks "
            f"{sorted(blocks)}; pass its whole state_dict"
        )
    return [_repository_block(blocks[number]) for number in range(len(blocks))], ends


def _repository_block(block: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A notebook's block under the repository's names; unknown names stay, for the check."""
    public: dict[str, Tensor] = {}
    for name, weight in block.items():
        part, _, kind = name.rpartition(".")
        if part == "qkv":
            thirds = weight.tensor_split(3)
            public |= {f"sva.{of}.{kind}": third for of, third in zip("qkv", thirds, strict=True)}
        elif name == "summarizer.bias":
            public[name] = weight.squeeze(0)
        else:
            public[f"{_NOTEBOOK_NAMES.get(part, part)}.{kind}"] = weight
    return public


def _check_ends(ends: Mapping[str, Tensor], vocabulary: int, width: int) -> None:
    shapes = {
        "token_embedding_table.weight": (vocabulary, width),
        "ln_f.weight": (width,),
        "ln_f.bias": (width,),
        "lm_head.weight": (vocabulary, width),
        "lm_head.bias": (vocabulary,),
    }
    problems = _problems(ends, shapes)
    if problems:
        raise ValueError(
            f"these weights do not make a language model of width {width} and vocabulary "
            f"{vocabulary}: " + "; ".join(problems)
        )


def _config_of(weights: Mapping[str, Tensor], heads: int) -> LMNConfig:
    """Sizes that the shapes imply."""
    width = _sizes(weights, "norm1.weight", 1)[0]
    hidden = _sizes(weights, "feedforward.fc1.weight", 2)[0]
    summarizer: SummarizerName = "linear"
    groups: ConvGroups = "bank"
    expansion = 0
    if "summarizer.conv.weight" in weights:
        summarizer = "conv"
        outputs, inputs, _ = _sizes(weights, "summarizer.conv.weight", 3)
        banks = outputs // width
        # with one bank the two groupings are the same
        groups = "mix" if banks > 1 and inputs == outputs else "bank"
    else:
        banks = _sizes(weights, "summarizer.weight", 3)[0]
    if "expander.conv_transpose.weight" in weights:
        summarizer = "expander"
        expansion = _sizes(weights, "expander.conv_transpose.weight", 3)[2] - 1
    return LMNConfig(
        width=width,
        heads=heads,
        banks=banks,
        summarizer=summarizer,
        expansion=expansion,
        conv_groups=groups,
        feedforward_width=None if hidden == 4 * width else hidden,
    )


def _sizes(weights: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in weights:
        raise ValueError(
            f"the weights lack {name!r}; expected a block in the published repository's layout, "
            f"got the entries {sorted(weights)}"
        )
    shape = tuple(weights[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f"{name!r} must have {dimensions} non-empty axes, got shape {shape}")
    return shape


def public_shapes(config: LMNConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published repository's entries for a block of these sizes."""
    width, banks, hidden = config.width, config.banks, config.hidden_width
    shapes: dict[str, tuple[int, ...]] = {"norm1.weight": (width,), "norm2.weight": (width,)}
    for name in ("q", "k", "v", "out_proj"):
        shapes[f"sva.{name}.weight"] = (width, width)
        shapes[f"sva.{name}.bias"] = (width,)
    shapes["feedforward.fc1.weight"] = (hidden, width)
    shapes["feedforward.fc1.bias"] = (hidden,)
    shapes["feedforward.fc2.weight"] = (width, hidden)
    shapes["feedforward.fc2.bias"] = (width,)
    if config.summarizer == "conv":
        inputs = banks * width if config.conv_groups == "mix" else width
        shapes["summarizer.conv.weight"] = (banks * width, inputs, 2)
        shapes["summarizer.conv.bias"] = (banks * width,)
    else:
        shapes["summarizer.weight"] = (banks, 2 * width, width)
        shapes["summarizer.bias"] = (banks, 1, width)
    if config.summarizer == "expander":
        shapes["expander.conv_transpose.weight"] = (width, width, 1 + config.expansion)
        shapes["expander.conv_transpose.bias"] = (width,)
    return shapes


def _check_entries(weights: Mapping[str, Tensor], config: LMNConfig) -> None:
    """Tell all that is wrong with the entries at once."""
    problems = _problems(weights, public_shapes(config))
    if problems:
        raise ValueError(f"these weights do not make a block of {config}: " + "; ".join(problems))


def _problems(weights: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    problems = [f"missing {name!r} {expected[name]}" for name in expected if name not in weights]
    problems += [f"unexpected {name!r}" for name in weights if name not in expected]
    problems += [
        f"{name!r} has shape {tuple(weights[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in weights and tuple(weights[name].shape) != shape
    ]
    return problems


def translate_block(weights: Mapping[str, Tensor], config: LMNConfig) -> dict[str, Tensor]:
    """Entries under the names and in the shapes of `LMNBlock`."""
    block = {name: weights[name] for name in ("norm1.weight", "norm2.weight")}
    for kind in ("weight", "bias"):
        parts = [weights[f"sva.{name}.{kind}"] for name in ("k", "q", "v")]
        block[f"memory.query_key_value.{kind}"] = torch.cat(parts)
        block[f"memory.output.{kind}"] = weights[f"sva.out_proj.{kind}"]
        block[f"feedforward.up.{kind}"] = weights[f"feedforward.fc1.{kind}"]
        block[f"feedforward.down.{kind}"] = weights[f"feedforward.fc2.{kind}"]
        if config.summarizer == "linear":
            block[f"memory.summarizer.{kind}"] = weights[f"summarizer.{kind}"]
        elif config.summarizer == "expander":
            block[f"memory.summarizer.merge.{kind}"] = weights[f"summarizer.{kind}"]
            block[f"memory.summarizer.widen.{kind}"] = weights[f"expander.conv_transpose.{kind}"]
    if config.summarizer == "conv":
        weight, bias = weights["summarizer.conv.weight"], weights["summarizer.conv.bias"]
        if config.conv_groups == "mix":
            # (outputs, inputs, child) -> (child and input, output)
            block["memory.summarizer.weight"] = weight.permute(2, 1, 0).flatten(0, 1)
            block["memory.summarizer.bias"] = bias
        else:
            per_bank = torch.unflatten(weight, 0, (config.banks, config.width))
            block["memory.summarizer.weight"] = per_bank.permute(0, 3, 2, 1).flatten(1, 2)
            block["memory.summarizer.bias"] = torch.unflatten(
                bias, 0, (config.banks, 1, config.width)
            )
    return block
