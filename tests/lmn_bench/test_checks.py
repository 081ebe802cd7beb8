from __future__ import annotations

import pytest
import torch

from lmn_bench.worker.checks import IncorrectSubjectError, compare


def test_ways_that_differ_are_told_from_which_token_on():
    expected = torch.ones(2, 8, 4)
    found = expected.clone()
    found[1, 5:] += 1
    with pytest.raises(IncorrectSubjectError, match=r"first at token 6 of 8$"):
        compare("parallel and sequential", expected, found)


def test_ways_that_agree_within_the_tolerance_pass():
    expected = torch.ones(2, 8, 4)
    assert compare("parallel and sequential", expected, expected + 1e-6) == pytest.approx(
        1e-6, rel=0.1
    )
