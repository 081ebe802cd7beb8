"""Every sentence about hardware: where it is true, and where it must not be said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sizing_helpers import FLOOR, MIB, SPEC, asked, evidence, question

from lmn_bench.devices import DeviceProfile
from lmn_bench.report.sized.data import sizing_json, sizing_page
from lmn_bench.report.sized.document import Extras, sizing_document
from lmn_bench.report.sized.figures import memory_chart
from lmn_bench.report.sized.words import (
    device_words,
    most_words,
    saving_sentence,
    smallest_sentence,
    sought_sentence,
    verdict_sentence,
    verdict_words,
)
from lmn_bench.schema import Ceiling
from lmn_bench.sizing.answer import answer
from lmn_bench.sizing.find import deepest, on_devices, widest
from lmn_bench.sizing.question import Basis, Doubt, Most

BARE = DeviceProfile(
    "bare", "Bare board", "microcontroller", MIB, 1e9, {"float32": 1e9}, False,
    "data sheet, https://example.org", "",
)  # fmt: skip
BOARD = replace(
    BARE, id="board", title="Linux board", kind="board", memory_bytes=512 * MIB, runs_python=True,
    system_bytes=256 * MIB,
)  # fmt: skip


def told(of, found):
    return answer(of, found).subjects[0]


def with_ceiling(found):
    return [replace(one, ceiling=Ceiling("cpu", 1, "float32", 1e11, 1e10)) for one in found]


# ------------------------------------------------------------------------------------- verdicts


def test_a_measured_size_within_the_limit_fits():
    one = told(question(memory_bytes=1000 * MIB), evidence(asked()))
    assert one.sure
    assert verdict_sentence(one).startswith("lmn fits: ")


def test_a_size_scaled_from_another_only_likely_fits():
    case = asked(model=replace(SPEC, width=128))
    one = told(question(case, memory_bytes=1000 * MIB), evidence(asked()))
    assert verdict_sentence(one).startswith("lmn likely fits: ~")


def test_weights_alone_above_the_limit_surely_do_not_fit_in_whatever_size():
    case = asked(model=replace(SPEC, width=512))
    one = told(question(case, floor=0, memory_bytes=MIB), evidence(asked()))
    assert verdict_words(one) == "does not fit"


def test_a_scaled_size_above_the_limit_by_its_working_memory_likely_does_not_fit():
    case = asked(model=replace(SPEC, width=128))
    one = told(question(case, memory_bytes=FLOOR), evidence(asked()))
    assert verdict_words(one) == "likely does not fit"


def test_without_a_limit_nothing_is_said_to_fit():
    said = verdict_sentence(told(question(), evidence(asked())))
    assert said.startswith("lmn takes ")
    assert "fits" not in said


def test_a_verdict_of_another_machine_is_not_one_of_this():
    there = told(question(memory_bytes=1000 * MIB), evidence(asked(), here=False))
    here = told(question(memory_bytes=1000 * MIB), evidence(asked()))
    assert ", where it was measured, not here: " in verdict_sentence(there)
    assert "not here" not in verdict_sentence(here)


def test_near_the_limit_is_too_near_and_far_from_it_known_too_roughly():
    found = evidence(asked())
    need = told(question(), found).memory
    near = told(question(memory_bytes=round(need.total)), found)
    assert near.doubts == (Doubt.NEAR,)
    assert "too near to tell" in near.reasons[0]
    rough = [replace(found[0], latency={n: (v[0] * (1 + (at % 2)),) for at, (n, v) in
                                        enumerate(found[0].latency.items())})]  # fmt: skip
    seconds = told(question(), rough).latency.seconds
    wide = told(question(latency_s=(seconds.estimate + seconds.high) / 2), rough)
    assert wide.doubts == (Doubt.WIDE,)
    assert "known too roughly to tell" in wide.reasons[0]
    assert "too near" not in wide.reasons[0]


def test_a_value_without_an_interval_neither_fits_nor_just_fails():
    found = evidence(asked(), lengths=(4096, 8192))
    seconds = told(question(), found).latency.seconds.estimate
    for limit in (2 * seconds, 0.9 * seconds):
        one = told(question(latency_s=limit), found)
        assert (one.fits, one.doubts) == (None, (Doubt.NO_INTERVAL,))
    slow = told(question(latency_s=seconds / 3), found)
    assert (slow.fits, slow.sure) == (False, False)


def test_out_of_reach_is_not_too_near():
    one = told(question(asked(length=2**20), memory_bytes=1000 * MIB), evidence(asked()))
    assert one.doubts == (Doubt.BEYOND,)
    assert "nothing is promised above" in one.reasons[0]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (asked("gru"), "no run measured it in decode"),
        (asked(mode="prefill"), "no run measured it in prefill"),
        (asked(dtype="bfloat16"), "another dtype is not foretold"),
        (asked(threads=7), "others are not foretold"),
    ],
)
def test_what_no_run_tells_of_says_why(case, words):
    one = told(question(case), evidence(asked()))
    assert (one.fits, one.doubts) == (None, (Doubt.NOT_MEASURED,))
    assert words in verdict_sentence(one)


def test_a_missing_latency_says_its_own_reason_not_that_of_memory():
    found = [replace(evidence(asked())[0], latency={})]
    one = told(question(memory_bytes=FLOOR), found)
    assert one.no_latency == "its latency was not measured"
    profile = replace(BOARD, peak_flops_per_s={"float32": 1e9})
    of = replace(question(asked(dtype="float64")), profile=profile)
    one = told(of, evidence(asked(dtype="float64")))
    assert one.no_latency == "the peak of Linux board in float64 isn't known"


# -------------------------------------------------------------------------------------- devices


def test_a_board_without_python_is_not_charged_with_pytorch():
    of = replace(question(memory_bytes=MIB), profile=BARE)
    need = told(of, evidence(asked())).memory
    here = told(question(), evidence(asked())).memory
    assert need.basis is Basis.COUNTED
    assert (need.floor, need.parameters, need.state) == (0.0, here.parameters, here.state)
    # Six vectors and the feed-forward part of one token, and its scores: no pages, no copies.
    assert 0 < need.working < 16 * 2**10 < here.working
    assert "no Python, not measured" in need.basis


def test_what_is_counted_fits_by_count():
    of = replace(question(memory_bytes=MIB), profile=BARE)
    assert verdict_sentence(told(of, evidence(asked()))).startswith("lmn fits by count: ~")


def test_native_training_and_models_of_ones_own_have_no_count():
    for case in (asked("mine:make"), asked(mode="train")):
        one = told(replace(question(case, memory_bytes=2**30), profile=BARE), evidence(case))
        assert one.memory.basis is Basis.AS_IN_TORCH
        assert verdict_words(one) == "likely fits"


def test_the_system_of_a_board_keeps_its_part():
    (one,) = on_devices(question(), evidence(asked()), [BOARD])
    assert one.answer.limits.memory_bytes == 256 * MIB
    # 200 MiB of Python are within 512 MiB, but a quarter more of them isn't surely within 256.
    (tight,) = on_devices(question(), evidence(asked()), [replace(BOARD, system_bytes=300 * MIB)])
    assert [one.answer.fits, tight.answer.fits] == [True, None]
    assert device_words(one) == "likely fits"


def test_a_device_likely_fits_only_within_the_limits_by_its_own_estimate():
    found = with_ceiling(evidence(asked()))
    (quick,) = on_devices(question(latency_s=1.0), found, [BOARD])
    assert (quick.answer.fits, quick.enough, device_words(quick)) == (None, True, "likely fits")
    (slow,) = on_devices(question(latency_s=2e-3), found, [BOARD])
    assert (slow.enough, device_words(slow)) == (None, "cannot tell")


def test_the_smallest_device_that_is_enough_is_named():
    small, large = replace(BARE, id="small", memory_bytes=2**16), replace(BOARD, id="large")
    devices = on_devices(question(), evidence(asked()), [large, BARE, small])
    assert [one.profile.id for one in devices] == ["small", "bare", "large"]
    said = smallest_sentence(devices)
    assert said.startswith("The smallest device that is enough: Bare board (fits by count: ~")
    assert "; 1 smaller of 3 devices is not." in said
    found = answer(question(), evidence(asked()))
    assert sizing_document(found, Extras(devices=devices)).answers[0] == said
    assert sizing_json(found, Extras(devices=devices))["smallest_device"] == "bare"


def test_devices_of_one_memory_come_by_peak_then_bandwidth_then_name():
    quick = replace(BARE, id="quick", peak_flops_per_s={"float32": 2e9})
    wide = replace(BARE, id="wide", bandwidth_bytes_per_s=2e9)
    same = replace(BARE, id="another")
    for order in ([quick, wide, BARE, same], [same, BARE, wide, quick]):
        devices = on_devices(question(), evidence(asked()), order)
        assert [one.profile.id for one in devices] == ["another", "bare", "wide", "quick"]


def test_no_device_is_named_where_none_is_enough():
    none = on_devices(question(), evidence(asked()), [replace(BARE, memory_bytes=2**16)])
    assert smallest_sentence(none) == "No device of 1 is enough."
    unsure = on_devices(question(), evidence(asked()), [replace(BOARD, system_bytes=300 * MIB)])
    assert smallest_sentence(unsure) == (
        "No device of 1 is shown to be enough; it cannot be told of Linux board."
    )


# ------------------------------------------------------------------- the most, and what is saved


def test_a_size_that_was_found_says_whether_it_was_measured():
    two = evidence(asked(), asked(model=replace(SPEC, width=256)))
    between = widest("lmn", question(memory_bytes=FLOOR + 8 * MIB), two)
    assert 64 < between.value < 256
    assert (between.scaled, between.beyond) == (True, None)
    assert "between sizes that were measured" in sought_sentence("lmn", "width", between)
    beyond = widest("lmn", question(memory_bytes=FLOOR + 800 * MIB), two)
    assert beyond.beyond == "width 64, 256"
    assert most_words(beyond).startswith("~")
    assert most_words(beyond).endswith("(memory), not measured")
    assert "not measured: beyond width 64, 256" in sought_sentence("lmn", "width", beyond)
    deep = deepest("lmn", question(memory_bytes=FLOOR + 800 * MIB), two)
    assert deep.beyond == "layers 2"


def test_a_size_that_was_measured_needs_no_mark():
    most = Most(64, "memory")
    assert sought_sentence("lmn", "width", most) is None
    assert most_words(most) == "64 (memory)"


def test_no_other_size_of_ones_own_model_is_foretold():
    own = asked("mine:make")
    assert widest("mine:make", question(own, memory_bytes=2**30), evidence(own)) is None


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (None, "–"),
        (Most(0, "memory"), "0 (memory)"),
        (Most(0, "validated range"), "–"),
        (Most(4096, "validated range"), "≥ 4,096"),
        (Most(512, "search", scaled=True), "≥ ~512"),
    ],
)
def test_the_most_of_something_is_said_by_what_stops_it(most, words):
    assert most_words(most) == words


def held(name, state, working, reach=0.0):
    one = told(question(asked("lmn")), evidence(asked()))
    need = replace(one.memory, state=state, working=working)
    return replace(
        one, name=name, memory=replace(need, low=need.total - reach, high=need.total + reach)
    )


def test_what_is_far_less_is_said_as_a_part_and_far_more_as_a_multiple():
    small, large = held("small", 1.0 * MIB, 0.0), held("large", 93.0 * MIB, MIB)
    assert "takes 1.00 MiB, 1/94 of what large takes (94.0 MiB)" in saving_sentence(large, small)
    assert "takes 94.0 MiB, 94× what small takes (1.00 MiB)" in saving_sentence(small, large)


def test_a_factor_of_what_is_known_roughly_is_rough():
    small, large = held("small", 1.0 * MIB, 0.0, MIB / 4), held("large", 93.3 * MIB, MIB)
    said = saving_sentence(large, small)
    assert "takes 1.00 MiB ± 256 KiB, about 1/94 of what large takes" in said
    assert "about" not in saving_sentence(held("small", MIB, 0.0), large)


def test_nothing_is_divided_by_nothing():
    nothing, some = held("nothing", 0.0, 0.0), held("some", MIB, 0.0)
    assert saving_sentence(nothing, some) is None
    assert "takes 0 B, some 1.00 MiB" in saving_sentence(some, nothing)


@pytest.mark.parametrize("needed", [0.0, 4096.0])
def test_a_model_without_weights_and_state_has_a_whole_page(needed):
    own = asked("mine:make")
    bare = [
        replace(one, parameter_bytes=0.0, state={}, needed=dict.fromkeys(one.needed, needed))
        for one in evidence(own)
    ]
    for floor in (0, None):
        found = answer(question(own, floor=floor, memory_bytes=2**30), bare)
        assert verdict_words(found.subjects[0]) == "fits"
        assert "mine:make fits" in sizing_page(found, Extras(), "here")
        assert sizing_json(found)["subjects"][0]["memory_bytes"]["parameters"] == 0


def test_how_far_one_can_go_on_another_device_is_an_estimate():
    here = told(question(memory_bytes=1000 * MIB), evidence(asked()))
    there = told(replace(question(memory_bytes=1000 * MIB), profile=BOARD), evidence(asked()))
    assert most_words(here.longest_context) == "≥ 65,536"
    assert most_words(there.longest_context) == "≥ ~65,536"


def test_charts_of_another_device_have_no_marks_of_what_was_measured_here():
    for profile, marked in ((None, True), (BOARD, False)):
        of = replace(question(memory_bytes=1000 * MIB), profile=profile)
        chart = memory_chart(answer(of, evidence(asked())))
        assert bool(chart.panels[0].points) is marked
        assert ("Marks were measured" in chart.reading) is marked
