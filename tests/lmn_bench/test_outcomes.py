from __future__ import annotations

import pytest

from lmn_bench.outcomes import allocation_that_failed, says_out_of_memory

CPU = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 67108864 bytes. Error 12"
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139 GiB"
CPP = "terminate called after throwing an instance of\n  what():  std::bad_alloc"


@pytest.mark.parametrize(
    "text", [CPU, CUDA, CPP, "OSError: [Errno 12] Cannot allocate memory", "Out Of Memory"]
)
def test_a_failed_allocation_is_known_by_its_words(text):
    assert says_out_of_memory(text)


@pytest.mark.parametrize("text", ["", "ValueError: width", "memory"])
def test_other_errors_are_not_taken_for_it(text):
    assert not says_out_of_memory(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CPU, "could not allocate 64.0 MiB"),
        (CUDA, "could not allocate 2.00 GiB"),
        (CPP, "what():  std::bad_alloc"),
        ("", "no message"),
    ],
)
def test_it_is_said_how_much_could_not_be_allocated(text, said):
    assert allocation_that_failed(text).strip() == said
