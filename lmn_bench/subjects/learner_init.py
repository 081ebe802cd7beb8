"""How the weights of the baselines are drawn before they learn.

GPT-2 draws with standard deviation 0.02 at widths from 768 on. At the widths of these suites that
leaves queries and keys so small that attention stays uniform for long: a transformer's deviation
follows the width here, 0.02 * sqrt(768 / width), which is GPT-2's own at its own width.

Tried on tinyshakespeare's characters (width 32, 4 heads, 4 layers, 71,489 parameters, 16 windows of
512, AdamW at 1e-3, seed 0, CPU), the transformer with rotary positions; validation loss in nats a
character, over 256 windows:

    steps                                      250    500    750  1,000
    0.02 everywhere                           2.368  2.157  2.051  1.982
    following the width, embedding at 0.02    2.379  2.157  2.042  1.969
    following the width                       2.340  2.105  2.016  1.947

and on recall (4 pairs in 64 tokens, vocabulary 64, width 64, 1 head, 2 layers, tied weights, 64
examples a step, AdamW at 1e-3, seed 0): accuracy after 250 steps 26 % with 0.02, and no more than
25 % (a guess among the values shown) after 1,250; 100 % after 250 steps where it follows the width.

A table of positions gets half the deviation, as in OpenAI's code: 2.468 after 500 steps of that
text with 0.02, 2.472 with half, 2.484 with all of it. There a transformer with learned positions
begins slower than with 0.02 everywhere (2.38 after 750 steps against 2.45), on recall faster.

A tied embedding has variance 1 / width: at 0.02 logits are so small at these widths that 8,192
values cannot be told apart for long.
An LSTM whose forget gates begin with a bias of 1 learned no better (2.35 against 2.33 after 150
steps), so recurrent nets stay as torch draws them.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

from lmn_bench.subjects.sequence_model import SequenceModel

# GPT-2's deviation, and the smallest width that it was chosen for.
STANDARD_DEVIATION: Final = 0.02
STANDARD_WIDTH: Final = 768
# The maps of a `ResidualBlock` around attention whose outputs are added up over the layers.
ONTO_RESIDUAL: Final = ("mixer.output", "down")


@torch.no_grad()
def draw_transformer(model: SequenceModel) -> None:
    """Draw a transformer's weights anew, as GPT-2's are, but for its width.

    Normal numbers of standard deviation 0.02 * sqrt(768 / width) for embedding, linear layers and
    head; half of it for positions; over sqrt(2 * layers) for the two maps of a block that add to
    the residual stream; but 1/sqrt(width) for a tied embedding, as `WrappedModel` draws it. Biases
    are zero, norms one. Draws from torch's global random numbers.

    Source: Radford et al. 2019, section 2.3, and OpenAI's code for it.
    """
    tied = model.embedding.weight is model.head.weight
    usual = STANDARD_DEVIATION * math.sqrt(STANDARD_WIDTH / model.embedding.embedding_dim)
    onto_residual = usual / math.sqrt(2 * len(model.body.blocks))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if tied and module in (model.embedding, model.head):
            continue
        if isinstance(module, nn.Linear | nn.Embedding):
            adds = name.endswith(ONTO_RESIDUAL)
            nn.init.normal_(module.weight, std=onto_residual if adds else usual)
    if model.positions is not None:
        nn.init.normal_(model.positions.weight, std=usual / 2)
