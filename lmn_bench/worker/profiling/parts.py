"""Which part of a model each piece of its code belongs to, which the models need not know.

A rule names a function and says of what is in it to which part it belongs: the function as a whole
(`body`), calls that it makes (`calls`), and everything from a statement on (`since`). Calls are
written as in the source, `self.norm1`, with the beginning of the first argument where that is
needed to tell two apart, `torch.addmm(self._entry_bias`; statements by how they begin, as
`ast.unparse` writes them. What no rule names belongs to whatever calls it, at last to `OTHER`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from lmn_bench.subjects.names import LMN_FAMILY

NORM: Final = "norm"
PROJECT: Final = "project"
SUMMARIZE: Final = "summarize"
GATHER: Final = "gather"
ATTEND: Final = "attend"
ROTATE: Final = "rotate"
CACHE: Final = "cache"
RECUR: Final = "recur"
FEED_FORWARD: Final = "feed-forward"
RESIDUAL: Final = "residual"
STATE: Final = "state"
ASSEMBLE: Final = "assemble"
LOSS: Final = "loss"
GRADIENTS: Final = "gradients"
OTHER: Final = "other"
# Of a user's model, what none of its modules does.
MODEL: Final = "the model itself"


class Site(NamedTuple):
    """A place in the code whose time is told apart: its part, and the function that it is in."""

    part: str
    function: str


# Where everything begins, and what no rule names.
ELSEWHERE: Final = Site(OTHER, "between the parts")


@dataclass(frozen=True)
class Rule:
    """To which parts the pieces of one function belong.

    Attributes:
        path: "module:Class.function".
        body: part of the whole function, but for what follows; None leaves it to its caller.
        calls: part of the calls that are written so.
        since: part of everything from the statement on that begins so; needs a `body`.
    """

    path: str
    body: str | None = None
    calls: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, str] = field(default_factory=dict)


_NORMS: Final = {"self.norm1": NORM, "self.norm2": NORM}

_STACK: Final = (
    Rule("lmn_bench.subjects.stack:Stack.train_step",
         calls={"self.zero_grad": GRADIENTS, "sequence_loss": LOSS}),
    Rule("lmn_bench.subjects.stack:Stack.read",
         calls={"x.split": ASSEMBLE, "part[:, -1].clone": ASSEMBLE}),
)  # fmt: skip

_LMN: Final = (
    Rule("lmn.block:LMNBlock.forward",
         calls={"x.split": ASSEMBLE, "torch.empty_like": ASSEMBLE, "place.copy_": ASSEMBLE,
                "torch.cat": ASSEMBLE}),
    Rule("lmn.block:LMNBlock._segment",
         calls={**_NORMS, "self.feedforward": FEED_FORWARD, "remembered.add_": RESIDUAL,
                "self.feedforward(self.norm2(x)).add_": RESIDUAL}),
    Rule("lmn.block:LMNBlock.step", body=RESIDUAL,
         calls={**_NORMS, "self.feedforward": FEED_FORWARD}),
    Rule("lmn.block:_FeedForward.backward", body=FEED_FORWARD),
    Rule("lmn.memory:LogarithmicMemory.forward", body=OTHER,
         calls={"self._grow": SUMMARIZE}, since={"newest = [": STATE}),
    Rule("lmn.memory:LogarithmicMemory.step", body=OTHER,
         calls={"self._grow": SUMMARIZE, "F.linear": PROJECT, "attend_nodes": ATTEND,
                "self.output": PROJECT, "_next_state": STATE}),
    Rule("lmn.memory:LogarithmicMemory._attend", body=PROJECT,
         calls={"tree.chunk_layout": GATHER, "chunk_plan": GATHER, "F.pad": GATHER,
                "_seen_nodes": GATHER, "attend_chunks": ATTEND, "self._attend_triton": ATTEND}),
    Rule("lmn.attention:_ChunkAttention.forward",
         calls={"plan.gather": GATHER, "_project": PROJECT}),
    Rule("lmn.attention:_ChunkAttention.backward", body=ATTEND,
         calls={"plan.gather": GATHER, "plan.scatter": GATHER, "_project": PROJECT,
                "to_key_values.t().mm": PROJECT, "to_key_values.mm": PROJECT}),
    Rule("lmn.decode_eager:EagerExecution.step", body=NORM,
         since={"torch.addmm(self._entry_bias": PROJECT,
                "normalized = torch._weight_norm": NORM,
                "torch.addmm(self._up_bias": FEED_FORWARD}),
    Rule("lmn.decode_eager:EagerExecution._rebuild", body=SUMMARIZE,
         since={"if merges:": PROJECT}),
    Rule("lmn.decode_eager:EagerExecution._attend", body=ATTEND,
         calls={"torch.addmm(residual": PROJECT}),
)  # fmt: skip

_PUBLISHED: Final = (
    Rule("lmn.published:PublishedBlock.forward", body=RESIDUAL,
         calls={**_NORMS, "self.feedforward": FEED_FORWARD}),
    Rule("lmn.published:PublishedBlock.step", body=RESIDUAL,
         calls={**_NORMS, "self.feedforward": FEED_FORWARD}),
    Rule("lmn.published:PublishedMemory.forward", body=GATHER,
         calls={"self.build_tree": SUMMARIZE}),
    Rule("lmn.published:PublishedMemory.step", body=STATE,
         calls={"self.merge": SUMMARIZE, "state.nodes.unsqueeze": GATHER}),
    Rule("lmn.published:PublishedMemory.attend", body=ATTEND,
         calls={"F.linear": PROJECT, "self.output": PROJECT}),
    Rule("lmn_bench.subjects.lmn:PublishedLogarithmicBlock.prefill",
         calls={"self.copy_state": STATE}),
)  # fmt: skip

_RESIDUAL_BLOCK: Final = (
    *(
        Rule(f"lmn_bench.subjects.stack:ResidualBlock.{name}", body=RESIDUAL,
             calls={"self.mixer_norm": NORM})
        for name in ("forward", "prefill", "resume", "decode")
    ),
    Rule("lmn_bench.subjects.stack:ResidualBlock._feedforward", body=FEED_FORWARD,
         calls={"self.feedforward_norm": NORM}),
)  # fmt: skip

_TRANSFORMER: Final = (
    Rule("lmn_bench.subjects.transformer:CausalAttention._project", body=PROJECT),
    Rule("lmn_bench.subjects.transformer:CausalAttention._place", body=ROTATE),
    Rule("lmn_bench.subjects.transformer:CausalAttention._attend", body=ATTEND,
         calls={"self.output": PROJECT}),
    Rule("lmn_bench.subjects.transformer:CausalAttention.prefill", body=CACHE),
    Rule("lmn_bench.subjects.transformer:CausalAttention.decode", body=PROJECT,
         calls={"_grown": CACHE, "self.output": PROJECT},
         since={"state.keys[": CACHE, "scores = ": ATTEND}),
)  # fmt: skip

_RECURRENT: Final = (
    Rule("lmn_bench.subjects.recurrent:Recurrence._run", body=RECUR),
    Rule("lmn_bench.subjects.recurrent:Recurrence.decode", body=RECUR),
)

_USER: Final = (
    Rule("lmn_bench.subjects.user:UserModel.train_step",
         calls={"self.model": MODEL, "self.model.train_step": MODEL,
                "self._drop_gradients": GRADIENTS, "sequence_loss": LOSS}),
    Rule("lmn_bench.subjects.user:UserModel.prefill",
         calls={"self.model": MODEL, "self.model.prefill": MODEL}),
    Rule("lmn_bench.subjects.user:UserModel.read", calls={"self.model.read": MODEL}),
    Rule("lmn_bench.subjects.user:UserModel.decode", calls={"self.model.decode": MODEL}),
    Rule("lmn_bench.subjects.user:UserModel.initial_state",
         calls={"self.model.initial_state": MODEL}),
)  # fmt: skip


def rules_of(subject: str) -> tuple[Rule, ...]:
    """The rules for the code that a subject runs."""
    if ":" in subject:
        return _USER
    if subject == "lmn-published":
        return _STACK + _PUBLISHED
    if subject in LMN_FAMILY:
        return _STACK + _LMN
    mixer = _TRANSFORMER if subject == "transformer" else _RECURRENT
    return _STACK + _RESIDUAL_BLOCK + mixer
