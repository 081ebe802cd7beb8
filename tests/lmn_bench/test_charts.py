"""Axes, labels and pictures of charts."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from bench_helpers import case, failed, ok, series
from hypothesis import given
from hypothesis import strategies as st
from test_report import CAPPED, COMPLETE, document_of, flat, linear

from lmn_bench.report.charts.holes import fill, hole, list_hole
from lmn_bench.report.charts.scales import (
    decimal_ticks,
    length_domain,
    log_domain,
    powers_of_two,
    spread_labels,
)
from lmn_bench.report.charts.theme import SERIES_COLOURS, colour, shape
from lmn_bench.report.vega import picture
from lmn_bench.schema import Outcome

sizes = st.floats(1e-9, 1e12)


@given(st.lists(sizes, min_size=1, max_size=20))
def test_an_axis_holds_every_value_and_never_blows_up_noise(values):
    low, high = log_domain(values)
    assert low < min(values) <= max(values) < high
    assert high / low >= 4


def test_a_wild_interval_does_not_squash_the_rest():
    assert log_domain([1.0, 2.0], [1e-9, 1e9]) == log_domain([1.0, 2.0])


@given(sizes, st.floats(1.01, 1e9))
def test_ticks_are_few_round_and_inside(low, factor):
    for ticks in (decimal_ticks(low, low * factor), powers_of_two(low, low * factor, 9)):
        assert len(ticks) <= 10
        assert all(low <= tick <= low * factor for tick in ticks)
        assert ticks == sorted(ticks)


def test_lengths_are_marked_at_powers_of_two():
    assert powers_of_two(*length_domain([128, 1024])) == [128, 256, 512, 1024]
    assert powers_of_two(*length_domain([64])) == [32, 64, 128]


@given(st.dictionaries(st.text(max_size=3), st.floats(-100, 100), min_size=1, max_size=12))
def test_labels_are_moved_apart_in_their_order_and_no_further(places):
    moved = spread_labels(places, 1.0)
    ordered = sorted(places, key=lambda name: places[name])
    for below, above in itertools.pairwise(ordered):
        assert moved[above] - moved[below] >= 1 - 1e-6
    if all(b - a >= 1 for a, b in itertools.pairwise(sorted(places.values()))):
        assert moved == pytest.approx(places)


def test_holes_are_filled_everywhere_and_none_is_forgotten():
    definition = {"a": [{"b": hole("x")}, list_hole("y"), "text"], "c": [1, 2]}
    assert fill(definition, {"x": 1.5, "y": (3, 4)}) == {"a": [{"b": 1.5}, [3, 4], "text"],
                                                         "c": [1, 2]}  # fmt: skip
    with pytest.raises(KeyError):
        fill(definition, {"x": 1})


def test_subjects_past_the_last_colour_are_told_apart_by_shape():
    looks = [(colour(place), shape(place, 0)) for place in range(3 * len(SERIES_COLOURS))]
    assert len(set(looks)) == len(looks)


def texts(svg):
    return re.findall(r">([^<>]+)</text>", svg.decode())


def chart_of(records, key):
    (found,) = [chart for chart in document_of(records).charts if chart.key == key]
    return found


def test_a_picture_tells_units_names_and_failures():
    records = [*series("lmn", flat), *series("gru", linear, (64, 128)),
               failed(case("gru", length=256), Outcome.TIMEOUT)]  # fmt: skip
    words = texts(picture(chart_of(records, "prefill-latency"), "svg"))
    assert {"1 ms", "gru: timeout", "1,024", "length (tokens)"} <= set(words)
    assert words.count("lmn") >= 2  # beside its line and in the legend


def test_bytes_stand_at_powers_of_two():
    words = texts(picture(chart_of(COMPLETE, "prefill-working_memory_bytes"), "svg"))
    assert {"64 KiB", "1 MiB"} <= set(words)


def test_parts_of_a_peak_add_up_to_it():
    sizes = {"floor_bytes": 100, "parameter_bytes": 20, "state_bytes": 30, "peak_memory_bytes": 400,
             "working_memory_bytes": 200}  # fmt: skip
    records = [ok(case(mode=mode, length=n), 0, 1e-3, **sizes)
               for mode in ("prefill", "decode") for n in (64, 128)]  # fmt: skip
    for mode, working in (("prefill", 170), ("decode", 200)):
        (panel,) = chart_of(records, f"{mode}-memory").panels
        parts = {p.series: p.value for p in panel.points if p.length == 64}
        assert sum(parts.values()) == 400
        assert (parts["state"], parts["working set"]) == (30, working)


def test_slots_stand_against_the_bound_of_their_tree():
    records = [ok(case("lmn", "decode", n), 0, 1e-3, slots=1 + int(math.log2(n)))
               for n in (64, 128, 256)]  # fmt: skip
    (panel,) = chart_of(records, "decode-slots").panels
    assert [(bound.length, bound.value) for bound in panel.bounds] == [(64, 7), (128, 8), (256, 9)]


def test_a_model_of_the_users_has_no_bound_of_an_lmn_whatever_its_name():
    records = [ok(case("lmn_mine:expander", "decode", n), 0, 1e-3, slots=n) for n in (64, 128)]
    chart = chart_of(records, "decode-slots")
    assert (chart.title.partition(" · ")[0], chart.panels[0].bounds) == ("Slots", ())


@pytest.mark.parametrize("key", ["caps1-fits", "prefill-latency"])
def test_every_kind_of_chart_can_be_a_png(key):
    records = [*CAPPED, *series("lmn", flat)]
    assert picture(chart_of(records, key), "png").startswith(b"\x89PNG")
