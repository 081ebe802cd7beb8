"""Sizes foretold from measured runs: memory, time, verdicts, and the questions turned round."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from bench_helpers import ok
from sizing_helpers import (
    FLOOR,
    LENGTHS,
    MIB,
    SPEC,
    asked,
    evidence,
    info,
    question,
    records,
    true_need,
)

from lmn_bench.devices import DeviceProfile, load_devices
from lmn_bench.schema import Ceiling
from lmn_bench.sizing.answer import answer
from lmn_bench.sizing.evidence import evidence_of, is_exact, nearest
from lmn_bench.sizing.find import deepest, on_devices, pareto_front, widest
from lmn_bench.sizing.latency import LatencyModel, roofline_s
from lmn_bench.sizing.memory import memory_need, need_model
from lmn_bench.sizing.predictor import CUDA_CONTEXT_BYTES, predictor
from lmn_bench.sizing.question import REACH, Basis
from lmn_bench.sizing.trial import BISECTION, Trial, found_by_bisection
from lmn_bench.sizing.work import Work
from lmn_bench.subjects.sizes import parameters

SUBJECTS = ("lmn", "transformer", "lstm")


def one_answer(of, found):
    return answer(of, found).subjects[0]


def need_of(case, found):
    (only,) = found
    return memory_need(only, need_model(only), case, None)


# --------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("mode", ["decode", "prefill"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_memory_is_foretold_between_and_beyond_measured_lengths(subject, mode):
    found = evidence(asked(subject, mode))
    for length in (300, 3000, 4 * LENGTHS[-1]):
        need = need_of(asked(subject, mode, length), found)
        true = true_need(asked(subject, mode, length))
        assert need.state + need.working == pytest.approx(true, rel=0.02)
        assert need.low <= need.floor + need.parameters + true <= need.high


def test_the_parts_of_memory_add_up_and_parameters_are_exact():
    need = need_of(asked(), evidence(asked()))
    assert need.parameters == 4 * parameters("lmn", asked().model)
    assert need.floor == FLOOR
    assert need.total == need.floor + need.parameters + need.state + need.working


@pytest.mark.parametrize(("counted_by", "more"), [("rlimit", MIB), ("cgroup", 0)])
def test_what_is_reserved_counts_where_it_is_asked_for(counted_by, more):
    def allocated(record):
        metrics = {**record.metrics, "needed_reserved_bytes": record.metrics["needed_bytes"] + MIB}
        return replace(record, metrics=metrics)

    found = evidence_of(info(), [allocated(r) for r in records(asked())], (), counted_by)
    assert found[0].needed[256] == pytest.approx(true_need(asked(length=256)) + more)


def test_a_state_that_hardly_grows_is_not_taken_for_one_that_does():
    """Noise of pages between two lengths must not become a slope per token."""
    found = evidence(asked("lstm"))
    noisy = replace(
        found[0],
        needed={n: v + 2**17 * (at % 2) for at, (n, v) in enumerate(found[0].needed.items())},
    )
    need = memory_need(noisy, need_model(noisy), asked("lstm", length=4 * LENGTHS[-1]), None)
    assert need.state + need.working < found[0].needed[LENGTHS[-1]] + 2 * MIB


def test_another_batch_is_an_estimate_and_close():
    need = need_of(asked("transformer", batch=8), evidence(asked("transformer")))
    assert need.basis is Basis.SCALED
    true = true_need(asked("transformer", batch=8))
    assert need.state + need.working == pytest.approx(true, rel=0.1)


# ----------------------------------------------------------------------------------------- time


def test_a_length_between_two_lies_in_its_interval():
    (only,) = evidence(asked("transformer", "prefill"))
    model = LatencyModel(only)
    found = model.at(asked("transformer", "prefill", 3000))
    true = records(asked("transformer", "prefill"), lengths=(3000,))[1].metrics["latency_s"]
    assert found.basis is Basis.BETWEEN
    assert found.seconds.low <= true <= found.seconds.high


def test_beyond_the_longest_the_laws_speak_and_then_nobody():
    (only,) = evidence(asked("transformer"), overhead_s=1e-5)
    model = LatencyModel(only)
    found = model.at(asked("transformer", length=2 * LENGTHS[-1]))
    true = records(asked("transformer"), (2 * LENGTHS[-1],), overhead_s=1e-5)[1].metrics[
        "latency_s"
    ]
    assert found.basis is Basis.LAW
    assert found.seconds.low <= true <= found.seconds.high
    assert model.at(asked("transformer", length=REACH * LENGTHS[-1] + 1)) is None
    assert "nothing is promised" in model.why_not(asked("transformer"))


def test_two_lengths_give_a_number_without_an_interval():
    (only,) = evidence(asked(), lengths=(256, 512))
    found = LatencyModel(only).at(asked(length=300))
    assert found.seconds.high is None
    assert found.seconds.estimate > 0


def test_a_bigger_model_takes_between_its_layers_and_its_work():
    (only,) = evidence(asked())
    bigger = asked(model=replace(asked().model, layers=8, width=128))
    small, big = (LatencyModel(only).at(case) for case in (asked(), bigger))
    assert big.basis is Basis.SCALED
    assert 4 <= big.seconds.estimate / small.seconds.estimate <= 16
    assert big.seconds.low < big.seconds.estimate < big.seconds.high


# -------------------------------------------------------------------------------------- answers


def test_without_limits_everything_fits():
    assert one_answer(question(), evidence(asked())).fits is True


@pytest.mark.parametrize(("megabytes", "fits"), [(1000, True), (100, False)])
def test_memory_decides(megabytes, fits):
    found = one_answer(question(memory_bytes=megabytes * MIB), evidence(asked()))
    assert found.fits is fits
    assert bool(found.reasons) is not fits


def test_too_near_to_the_limit_cannot_be_told():
    need = need_of(asked(), evidence(asked()))
    found = one_answer(question(memory_bytes=round(need.total)), evidence(asked()))
    assert found.fits is None
    assert "too near to tell" in found.reasons[0]


def test_latency_and_throughput_decide():
    slow = one_answer(question(latency_s=1e-5), evidence(asked()))
    assert slow.fits is False
    assert "a call takes" in slow.reasons[0]
    assert one_answer(question(latency_s=1.0), evidence(asked())).fits is True
    assert one_answer(question(tokens_per_s=1e9), evidence(asked())).fits is False
    assert one_answer(question(tokens_per_s=1.0), evidence(asked())).fits is True


def test_the_longest_context_keeps_the_limit_and_the_next_does_not():
    case = asked("transformer")
    found, of = evidence(case), question(case, floor=0, memory_bytes=24 * MIB)
    most = one_answer(of, found).longest_context
    known = predictor("transformer", of, found)
    assert most.stopped_by == "memory"
    assert known.memory(replace(case, length=most.value)).high <= 24 * MIB
    assert known.memory(replace(case, length=most.value + 1)).high > 24 * MIB


def test_a_state_of_logarithmic_size_is_stopped_by_what_was_measured():
    most = one_answer(question(memory_bytes=1000 * MIB), evidence(asked())).longest_context
    assert (most.value, most.stopped_by) == (REACH * LENGTHS[-1], "validated range")


def test_a_floor_of_ones_own_takes_the_measured_ones_place():
    free = one_answer(question(floor=0), evidence(asked()))
    assert free.memory.floor == 0
    assert one_answer(question(), evidence(asked())).memory.total == free.memory.total + FLOOR


def test_beyond_the_validated_range_nothing_is_promised():
    found = one_answer(question(asked(length=2**20), memory_bytes=2**30), evidence(asked()))
    assert found.fits is None
    assert found.memory is None
    assert found.latency is None
    assert "nothing is promised" in found.reasons[0]


def test_a_subject_without_a_run_says_so_and_the_others_are_answered():
    found = answer(question(others=("gru",)), evidence(asked()))
    assert found.subjects[0].memory is not None
    assert found.subjects[1].reasons == ("no run measured it in decode",)


def test_a_model_that_cannot_be_built_says_so():
    spec = replace(asked().model, width=8, heads=2, expansion=50)
    of = question(asked(model=spec), others=("lmn-expander",))
    found = answer(of, evidence(asked(), asked("lmn-expander")))
    assert found.subjects[1].memory is None
    assert found.subjects[1].reasons


# ------------------------------------------------------------------------------------- evidence


def test_its_own_series_comes_before_a_similar_one():
    other = asked(model=replace(asked().model, width=128))
    found = evidence(other, asked())
    assert is_exact(nearest(found, asked()), asked())
    assert nearest(found, replace(other, batch=2)).series.model.width == 128
    assert nearest(found, asked("gru")) is None


def test_this_machine_comes_before_others():
    there = evidence(asked(), here=False)
    here = evidence(asked(model=replace(asked().model, width=128)))
    assert nearest([*there, *here], asked()).here
    assert not one_answer(question(), there).evidence.endswith("float32")


def test_runs_under_a_cap_are_no_evidence():
    assert evidence_of(info(), records(asked(memory_cap_bytes=2**30)), ()) == []


def test_failed_and_old_records_are_no_evidence():
    assert evidence_of(info(), [ok(asked(threads=1))], ()) == []


# ------------------------------------------------------------------------- the other way round


def test_the_widest_and_the_deepest_keep_the_limit():
    found, of = evidence(asked()), question(floor=0, memory_bytes=64 * MIB)
    width, layers = widest("lmn", of, found), deepest("lmn", of, found)
    known = predictor("lmn", of, found)
    for key, value in (("width", width.value), ("layers", layers.value)):
        there = asked(model=replace(asked().model, **{key: value}))
        assert known.memory(there).high <= 64 * MIB
    assert width.value % (2 * asked().model.heads) == 0
    assert width.stopped_by == layers.stopped_by == "memory"


def profile(**changes):
    made_up = DeviceProfile(
        "made-up", "Made-up board", "board", 256 * MIB, 1e9, {"float32": 1e9}, True,
        "data sheet, https://example.org", "",
    )  # fmt: skip
    return replace(made_up, **changes)


def with_ceiling(found):
    ceiling = Ceiling("cpu", 1, "float32", 1e11, 1e10)
    return [replace(one, ceiling=ceiling) for one in found]


def test_another_device_reaches_the_same_share_of_its_roofline():
    found = with_ceiling(evidence(asked()))
    here = one_answer(question(), found).latency.seconds.estimate
    there = one_answer(replace(question(), profile=profile()), found).latency
    assert there.basis is Basis.ROOFLINE
    # Ten times less bandwidth, a hundred times less arithmetic.
    assert 10 <= there.seconds.estimate / here <= 100
    assert there.seconds.high is None


def test_without_a_measured_ceiling_a_device_has_a_bound_only():
    latency = one_answer(replace(question(), profile=profile()), evidence(asked())).latency
    assert latency.basis is Basis.BOUND


def test_a_device_without_python_has_no_floor():
    bare = replace(question(), profile=profile(runs_python=False))
    assert one_answer(bare, evidence(asked())).memory.floor == 0


def test_devices_come_by_memory_and_say_what_fits():
    small, large = profile(memory_bytes=MIB), profile(id="large", memory_bytes=2**34)
    found = on_devices(question(), with_ceiling(evidence(asked())), [large, small])
    assert [one.answer.fits for one in found] == [False, True]


def test_a_narrow_type_without_units_computes_in_float32():
    work = Work(1e9, 1.0)
    assert roofline_s(work, {"float32": 1e9}, 1e12, "bfloat16") == pytest.approx(1.0)
    assert roofline_s(work, {"float32": 1e9}, 1e12, "float64") is None


def test_nothing_on_the_front_beats_another():
    of = question(others=("transformer",))
    front = pareto_front(of, evidence(asked(), asked("transformer")))
    assert front
    for one in front:
        for other in front:
            if one is other or one.parameters < 1.01 * other.parameters:
                continue
            assert (
                one.memory.total > other.memory.total
                or one.latency.seconds.estimate > other.latency.seconds.estimate
            )


def test_answers_are_finite_numbers():
    for subject in SUBJECTS:
        found = one_answer(question(asked(subject)), evidence(asked(subject)))
        assert all(map(math.isfinite, (found.memory.low, found.memory.high, found.memory.total)))


# ------------------------------------------------------------------ between and beyond measured


def wide(width, **rest):
    return replace(SPEC, width=width, **rest)


def test_a_size_between_two_measured_ones_lies_between_them():
    found = evidence(asked("lmn"), asked("lmn", model=wide(256)))
    needed, seconds = [], []
    for width in (64, 96, 128, 192, 256):
        case = asked("lmn", model=wide(width))
        known = predictor("lmn", question(case), found)
        need = known.memory(case)
        needed.append(need.state + need.working)
        seconds.append(known.latency(case).seconds.estimate)
    assert needed == sorted(needed)
    assert seconds == sorted(seconds)
    # At the ends it is what was measured.
    assert needed[-1] == pytest.approx(true_need(asked("lmn", model=wide(256))))


def test_the_largest_width_is_one_that_the_question_itself_would_promise():
    found = evidence(asked("lmn"), asked("lmn", model=wide(128)), asked("lmn", model=wide(256)))
    limit = 222 * MIB
    of = question(asked("lmn"), memory_bytes=limit)
    most = widest("lmn", of, found)
    for width, fits in ((most.value, True), (most.value + 2 * SPEC.heads, False)):
        case = asked("lmn", model=wide(width))
        known = predictor("lmn", question(case), found)
        assert (known.memory(case).high <= limit) is fits


def test_another_dtype_is_not_foretold_from_float32():
    assert predictor("lmn", question(asked(dtype="bfloat16")), evidence(asked())) is None


def test_a_model_of_the_users_is_foretold_in_its_own_size_alone():
    own = asked("mine:make")
    found = evidence(own)
    assert predictor("mine:make", question(own), found) is not None
    assert predictor("mine:make", question(replace(own, model=wide(128))), found) is None
    assert predictor("mine:make", question(replace(own, batch=4)), found) is None


def test_beyond_the_range_a_limit_that_is_exceeded_within_it_surely_is_exceeded():
    of = question(asked("transformer", length=10**8), memory_bytes=FLOOR + 8 * MIB)
    (one,) = answer(of, evidence(asked("transformer"))).subjects
    assert one.fits is False
    assert "65,536 tokens need" in one.reasons[0]


def test_the_state_of_a_transformer_is_its_cache_and_of_an_lstm_never_nothing():
    need = need_of(asked("transformer"), evidence(asked("transformer")))
    assert need.state == 2 * SPEC.layers * 4096 * SPEC.width * 4
    other = asked("lstm", model=wide(128))
    assert need_of(other, evidence(asked("lstm"))).state == 2 * SPEC.layers * 128 * 4


def test_no_context_is_promised_where_the_shortest_measured_is_too_slow():
    of = question(asked("lmn"), tokens_per_s=1e9)
    (one,) = answer(of, evidence(asked("lmn"))).subjects
    assert (one.longest_context.value, one.longest_context.stopped_by) == (0, "throughput")


def test_a_gpu_takes_no_less_than_starting_its_operations():
    found = evidence(asked("lmn"))
    ceiling = Ceiling("cpu", 1, "float32", 1e11, 1e10)
    counted = [
        replace(one, ceiling=ceiling, work={**one.work, "operations": {4096: 50.0}})
        for one in found
    ]
    of = replace(question(asked("lmn")), profile=load_devices()["nvidia-h200-141gb"])
    known = predictor("lmn", of, counted)
    assert known.latency(asked("lmn")).seconds.estimate == pytest.approx(50 * 4e-6)
    assert known.memory(asked("lmn")).floor == CUDA_CONTEXT_BYTES


def test_what_a_bisection_found_stands_beside_what_was_foretold():
    def tried(length, outcome, purpose=BISECTION):
        return Trial("lmn", length, 1, purpose, MIB, "rlimit", None, outcome)

    trials = [tried(50, "out_of_memory", "beyond"), tried(1020, "out_of_memory"),
              tried(960, "ok"), tried(1000, "ok")]  # fmt: skip
    (found,) = found_by_bisection(trials)
    assert (found.foretold, found.found, found.error) == (1020, 1000, pytest.approx(0.02))
