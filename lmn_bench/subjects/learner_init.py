"""How the weights of the baselines are drawn before they learn.

Tried on tinyshakespeare's characters (width 32, 4 heads, 4 layers, 71,489 parameters, 16 windows of
512, AdamW at 1e-3, seed 0, CPU): the loss over 64 validation windows, in nats a character.

                             transformer         transformer-learned
    steps                  100   200   300        100   200   300
    as torch draws        2.70  2.49  2.35       2.92  2.66  2.58
    GPT-2's, std 0.02     2.76  2.44  2.29       2.79  2.59  2.52
    the same, 1/sqrt(E)   2.63  2.50  2.34       2.74  2.56  2.52

1/sqrt(E), 0.18, is what GPT-2's deviation would be if it followed the width. Tied weights need
it: at 0.02 logits are so small at these widths that 8,192 values cannot be told apart for long
(mqar-64, width 64, batch 64, after some 600 steps at 3e-3: loss 5.5 against 3.6 with 1/sqrt(E)).
An LSTM whose forget gates begin with a bias of 1 learned no better (2.35 against 2.33 after 150
steps), so recurrent nets stay as torch draws them.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

from lmn_bench.subjects.sequence_model import SequenceModel

STANDARD_DEVIATION: Final = 0.02
# The maps of a `ResidualBlock` around attention whose outputs are added up over the layers.
ONTO_RESIDUAL: Final = ("mixer.output", "down")


@torch.no_grad()
def draw_transformer(model: SequenceModel) -> None:
    """Draw a transformer's weights anew, as GPT-2's are.

    Normal numbers of standard deviation 0.02 for embedding, positions, linear layers and head; over
    sqrt(2 * layers) for the two maps of a block that add to the residual stream; but 1/sqrt(width)
    for a tied embedding, as `WrappedModel` draws it. Biases are zero, norms one. Draws from
    torch's global random numbers.

    Source: Radford et al. 2019, section 2.3, and OpenAI's code for it.
    """
    tied = model.embedding.weight is model.head.weight
    onto_residual = STANDARD_DEVIATION / math.sqrt(2 * len(model.body.blocks))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if tied and module in (model.embedding, model.head):
            continue
        if isinstance(module, nn.Linear | nn.Embedding):
            adds = name.endswith(ONTO_RESIDUAL)
            nn.init.normal_(module.weight, std=onto_residual if adds else STANDARD_DEVIATION)
