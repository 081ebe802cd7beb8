"""How much memory a case takes: exact where it can be counted, the rest by what was measured.

needed = a + r · modelled + left(n), where `modelled` is what the sizes alone say (state, input and
result exactly, what lies in between to first order: `lmn_bench.costs`). a and r are fitted to the
longest lengths measured, as it is their growth that goes on: r by weighted least squares drawn
towards 1 where the data don't say (a state that hardly grows), a freely. `left` is what the
measured lengths have beside that, interpolated along log n; longer ones have as much as the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lmn.cost import DECODE_STATE_PARTS
from lmn_bench.costs import ITEMSIZE, state_bytes, working_memory_bytes
from lmn_bench.schema import Case
from lmn_bench.sizing.evidence import Evidence, is_exact
from lmn_bench.sizing.question import Basis, MemoryNeed
from lmn_bench.subjects.names import BUILTIN, LMN_FAMILY
from lmn_bench.subjects.sizes import parameters

# Pages that a first call touches in heap and libraries: measurements are no surer than this.
_PAGE_NOISE = 2**18
_RELATIVE_NOISE = 0.01
# The longest lengths are those within this factor of the last.
_GROWTH_REACH = 4
# How far the true ratio of needed to modelled memory is expected to be from 1.
_PRIOR_SPREAD = 0.5
_QUANTILE = 2.0
# Of a scaled answer: sizes that were never measured may choose other kernels.
_SCALED_SPREAD = 0.10
# Those that decode with their weights as they are.
UNPREPARED = frozenset({"transformer", "lmn-published", "gru"})
# Bytes of a complex factor per token that each attention layer keeps of its rotary positions: two
# for every pair of features of a head.
_ROTARY_BYTES_PER_FEATURE = 8


def modelled_bytes(case: Case) -> float:
    """What the sizes alone say that a case needs on top of the loaded model.

    Models of your own have no formula: bytes of their tokens, whose factor is fitted.
    """
    spec, item = case.model, ITEMSIZE[case.dtype]
    tokens = case.length * case.batch * spec.width * item
    if case.subject not in BUILTIN:
        return float(tokens)
    if case.mode == "decode":
        step = working_memory_bytes(case.subject, spec, "decode", case.length, case.batch, item)
        return _held_bytes(case) + step
    working = working_memory_bytes(case.subject, spec, case.mode, case.length, case.batch, item)
    return float(tokens + working)


def kept_state_bytes(case: Case) -> float:
    """Bytes of a builtin's state: decoding, an LMN keeps keys and values beside its nodes."""
    item = ITEMSIZE[case.dtype]
    state = state_bytes(case.subject, case.model, case.length, case.batch, item)
    if case.mode == "decode" and case.subject in LMN_FAMILY and case.subject != "lmn-published":
        return float(DECODE_STATE_PARTS * state)
    return float(state)


def _held_bytes(case: Case) -> float:
    """State while decoding, and the rotary positions that a Transformer keeps of its context."""
    table = 0
    if case.subject == "transformer":
        table = _ROTARY_BYTES_PER_FEATURE * case.model.width // case.model.heads
    return kept_state_bytes(case) + case.model.layers * case.length * table


@dataclass(frozen=True)
class NeedModel:
    """needed = a + r · modelled + left.

    Attributes:
        a, r: see above.
        lengths, left: measured lengths and measured less fitted there.
        spread: error of a length that was left out of the fit (relative, root mean square): of one
            between others, and of the last, foretold from those before it.
    """

    a: float
    r: float
    lengths: tuple[int, ...]
    left: tuple[float, ...]
    spread: tuple[float, float]

    def needed(self, case: Case) -> float:
        """Bytes that a case needs on top of the loaded model."""
        left = np.interp(np.log(case.length), np.log(self.lengths), self.left)
        return max(0.0, self.a + self.r * modelled_bytes(case) + float(left))


@lru_cache(maxsize=512)
def need_model(evidence: Evidence) -> NeedModel:
    """The fit to one series."""
    model = _need_model(evidence.series, evidence.needed)
    lengths = list(model.lengths)
    inner = [_left_out(evidence, n) for n in lengths[1:-1]]
    last = _left_out(evidence, lengths[-1]) if len(lengths) > 1 else 0.0
    between = float(np.sqrt(np.mean(np.square(inner)))) if inner else 0.0
    return replace(model, spread=(max(between, _RELATIVE_NOISE), max(abs(last), _RELATIVE_NOISE)))


def _left_out(evidence: Evidence, length: int) -> float:
    """The relative error at a length if it had not been measured."""
    others = {n: needed for n, needed in evidence.needed.items() if n != length}
    model = _need_model(evidence.series, others)
    measured = max(evidence.needed[length], 1.0)
    error = model.needed(replace(evidence.series, length=length)) - measured
    return max(0.0, abs(error) - _PAGE_NOISE) / measured


def _need_model(series: Case, needed: Mapping[int, float]) -> NeedModel:
    lengths = sorted(needed)
    x = np.array([modelled_bytes(replace(series, length=n)) for n in lengths])
    y = np.array([needed[n] for n in lengths])
    longest = np.array(lengths) * _GROWTH_REACH >= lengths[-1]
    a, r = _fitted(x[longest], y[longest])
    left = y - a - r * x
    return NeedModel(a, r, tuple(lengths), tuple(map(float, left)), (0.0, 0.0))


def _fitted(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    weight = 1 / np.maximum(_PAGE_NOISE, _RELATIVE_NOISE * y) ** 2
    mean_x, mean_y = (float(v @ weight / weight.sum()) for v in (x, y))
    information = float(((x - mean_x) ** 2) @ weight)
    product = float(((x - mean_x) * (y - mean_y)) @ weight)
    prior = 1 / _PRIOR_SPREAD**2
    r = max(0.0, (product + prior) / (information + prior))
    return mean_y - r * mean_x, r


def memory_need(
    evidence: Evidence, model: NeedModel, case: Case, floor_bytes: int | None
) -> MemoryNeed:
    """Memory of a process that runs a case.

    Args:
        evidence: the series that it is foretold from.
        model: the fit to it.
        case: at any length, batch and size.
        floor_bytes: in place of what the measured process held beside its weights.
    """
    exact = is_exact(evidence, case)
    weights = _weights(evidence, case)
    floor = evidence.loaded_bytes - evidence.parameter_bytes
    if not exact and case.mode == "decode" and case.subject not in UNPREPARED:
        # Made ready for single tokens, a model keeps its weights a second time, folded.
        floor += max(0.0, weights - evidence.parameter_bytes)
    state = kept_state_bytes(case) if case.subject in BUILTIN else _state(evidence, case)
    needed = max(model.needed(case), state)
    inside = min(evidence.needed) <= case.length <= evidence.longest
    between, beyond = model.spread
    # That of one octave; two are as far as anything is promised.
    spread = between if inside else beyond * max(1.0, np.log2(case.length / evidence.longest))
    if exact and case.length in evidence.needed:
        spread = _RELATIVE_NOISE
    spread = spread if exact else max(spread, _SCALED_SPREAD)
    reach = max(_PAGE_NOISE, _QUANTILE * spread * needed)
    basis = Basis.SCALED if not exact else (Basis.BETWEEN if inside else Basis.LAW)
    if exact and case.length in evidence.needed:
        basis = Basis.MEASURED
    need = MemoryNeed(
        floor=float(floor if floor_bytes is None else floor_bytes),
        parameters=weights,
        state=state,
        working=needed - state,
        low=0.0,
        high=0.0,
        basis=basis,
    )
    return replace(need, low=need.total - min(reach, needed), high=need.total + reach)


def parameter_bytes(case: Case) -> float:
    """Bytes of a builtin's weights."""
    return float(parameters(case.subject, case.model) * ITEMSIZE[case.dtype])


def _weights(evidence: Evidence, case: Case) -> float:
    return parameter_bytes(case) if case.subject in BUILTIN else evidence.parameter_bytes


def _state(evidence: Evidence, case: Case) -> float:
    """Of a model of the user's: as measured, by the nearest length in proportion."""
    if not evidence.state:
        return 0.0
    lengths = np.array(sorted(evidence.state), dtype=np.float64)
    values = np.array([evidence.state[int(n)] for n in lengths])
    return float(np.interp(case.length, lengths, values)) * case.batch / evidence.series.batch


def measured_total(evidence: Evidence, case: Case, floor_bytes: int | None) -> float | None:
    """The whole memory as measured at a length of the series itself."""
    if not is_exact(evidence, case) or case.length not in evidence.needed:
        return None
    floor = evidence.loaded_bytes - evidence.parameter_bytes if floor_bytes is None else floor_bytes
    return floor + evidence.parameter_bytes + evidence.needed[case.length]
