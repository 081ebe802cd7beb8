from __future__ import annotations

import pytest

from lmn_bench.errors import UnknownNameError
from lmn_bench.metrics import METRICS, metric


def test_the_metrics_that_the_format_promises_are_described():
    promised = (
        "latency_s tokens_per_s peak_memory_bytes working_memory_bytes floor_bytes parameter_bytes "
        "state_bytes allocator_peak_bytes flops operations slots"
    )
    assert set(promised.split()) <= set(METRICS)


@pytest.mark.parametrize("one", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is_and_how_it_is_measured(one):
    assert one.meaning
    assert one.measured
    assert one.title


@pytest.mark.parametrize(
    ("ending", "unit"), [("_s", "s"), ("_bytes", "B")], ids=["seconds", "bytes"]
)
def test_a_metrics_name_ends_in_its_unit(ending, unit):
    named = {key for key in METRICS if key.endswith(ending) and not key.endswith("_per_s")}
    # What is moved is moved in bytes, and nothing else could be meant.
    of_unit = {key for key, one in METRICS.items() if one.unit == unit} - {"bytes_moved"}
    assert named == of_unit


def test_a_misspelt_metric_gets_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        metric("latency")
    assert "did you mean 'latency_s'?" in caught.value.hint
