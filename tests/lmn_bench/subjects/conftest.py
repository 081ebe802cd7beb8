from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.build import build
from lmn_bench.subjects.protocol import Subject

# Two layers, so that a state mixed up between layers shows; two banks for the LMNs.
SMALL = ModelSpec(width=32, heads=2, layers=2, banks=2, expansion=1)

Make = Callable[..., Subject]


@pytest.fixture
def make() -> Make:
    def build_on_cpu(
        name: str, spec: ModelSpec = SMALL, dtype: torch.dtype = torch.float32, seed: int = 0
    ) -> Subject:
        return build(name, spec, dtype=dtype, device=torch.device("cpu"), seed=seed)

    return build_on_cpu


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield
