from __future__ import annotations

import os
import textwrap

import pytest

from lmn_bench.cli.overrides import overrides_of
from lmn_bench.errors import SuiteError, UnitError, UnknownNameError, UsageError
from lmn_bench.plan import all_cases
from lmn_bench.schema import MODES, Claim, Measuring
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.suite import Override, builtin_suites, find_suite, load_suite, parse_suite

GOOD_SWEEP = {"subjects": ["lmn", "gru"], "modes": ["prefill", "decode"], "lengths": [64, 128]}
# Keys that every mistake below stands beside.
GOOD = {"name": "mine", "sweep": [GOOD_SWEEP]}


def problems_of(data, overrides=()):
    """Every problem of a suite as (place, message, hint)."""
    with pytest.raises(SuiteError) as caught:
        parse_suite(data, "mine.toml", overrides)
    return {problem.place: problem for problem in caught.value.problems}


def with_sweep(**keys):
    return {"name": "mine", "sweep": [{**GOOD_SWEEP, **keys}]}


def with_options(*options, processes=None, settings=()):
    """The suite after command-line options, given as (option, text)."""
    return parse_suite(GOOD, "mine.toml", overrides_of(dict(options), processes, settings))


# ------------------------------------------------------------------------------- what is shipped


def test_all_suites_are_shipped():
    assert set(builtin_suites()) == {"smoke", "scaling", "memory", "paper", "speed", "ci", "sizing",
                                     "sizing-training", "language", "language-quick", "recall",
                                     "recall-quick"}  # fmt: skip


@pytest.mark.parametrize("name", ["smoke", "scaling", "memory", "paper", "speed", "ci", "sizing"])
def test_every_shipped_suite_loads_under_its_own_name(name):
    suite = load_suite(find_suite(name))
    assert suite.name == name
    assert suite.description


def test_smoke_has_every_model_and_mode():
    cases = all_cases(load_suite(find_suite("smoke")))
    assert {case.subject for case in cases} == set(BUILTIN)
    assert {case.mode for case in cases} == set(MODES)


def test_scaling_reaches_the_lengths_and_processes_it_promises():
    suite = load_suite(find_suite("scaling"))
    of_mode = {mode: sweep.lengths for sweep in suite.sweeps for mode in sweep.modes}
    assert of_mode["prefill"] == of_mode["train"] == tuple(2**e for e in range(7, 16))
    assert of_mode["decode"] == tuple(2**e for e in range(7, 18))
    assert suite.measuring.processes >= 5


def test_memory_has_caps_of_16_64_and_256_mib():
    suite = load_suite(find_suite("memory"))
    caps = {cap for sweep in suite.sweeps for cap in sweep.memory_cap}
    assert caps == {16 * 2**20, 64 * 2**20, 256 * 2**20}


def test_ci_covers_what_a_change_can_slow_down_in_a_dozen_cases():
    cases = all_cases(load_suite(find_suite("ci")))
    assert len(cases) <= 12
    assert {c.mode for c in cases if c.subject == "lmn"} == {"prefill", "train", "read", "decode"}
    assert {c.subject for c in cases} == set(BUILTIN) - {"lmn-published", "rnn"}
    assert [c.length for c in cases if (c.subject, c.mode) == ("lmn", "decode")] == [16384]


# ------------------------------------------------------------------------------- claims

CLAIM = {"subject": "lmn", "mode": "decode", "metric": "slots", "law": "log n"}


def with_claims(*claims):
    return {**GOOD, "claim": list(claims)}


def test_claims_are_parsed_one_per_subject():
    bound = {"subject": ["lmn", "gru"], "mode": "prefill", "metric": "latency_s",
             "at_most": "n log n"}  # fmt: skip
    assert parse_suite(with_claims(CLAIM, bound, CLAIM), "x").claims == (
        Claim("lmn", "decode", "slots", "log n"),
        Claim("lmn", "prefill", "latency_s", "n log n", at_most=True),
        Claim("gru", "prefill", "latency_s", "n log n", at_most=True),
    )


def test_a_suite_without_claims_has_none():
    assert parse_suite(GOOD, "x").claims == ()


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"law": "nlog n"}, "claim[0].law", "did you mean 'n log n'?"),
        ({"metric": "latency"}, "claim[0].metric", "did you mean 'latency_s'?"),
        ({"mode": "decoding"}, "claim[0].mode", "did you mean 'decode'?"),
        ({"mode": ["decode"]}, "claim[0].mode", "did you mean 'decode'?"),
        ({"subject": "lnm"}, "claim[0].subject[0]", "did you mean 'lmn'?"),
        ({"laws": "n"}, "claim[0].laws", "did you mean 'law'?"),
        ({"at_most": "n"}, "claim[0]", "that law and no other"),
        ({"mode": "train"}, "claim[0].subject", "judged on what its suite measures"),
        ({"subject": []}, "claim[0].subject", "at least one value"),
    ],
)
def test_a_mistake_in_a_claim_is_told_with_its_place(changes, place, words):
    found = problems_of(with_claims({**CLAIM, **changes}))
    assert words in found[place].hint


def test_a_claim_needs_a_law():
    claim = {key: value for key, value in CLAIM.items() if key != "law"}
    assert problems_of(with_claims(claim))["claim[0]"].message == "needs law or at_most"


def test_mistakes_in_claims_and_sweeps_are_told_together():
    data = {"name": "mine", "sweep": [{**GOOD_SWEEP, "subjects": ["lnm"]}],
            "claim": [{**CLAIM, "law": "n!"}, 3]}  # fmt: skip
    found = problems_of(data)
    assert {"claim[0].law", "claim[1]"} <= set(found)
    assert any(place.startswith("sweep[0]") for place in found)


def test_options_that_leave_a_subject_out_leave_its_claims_out():
    data = with_claims(CLAIM, {**CLAIM, "subject": "gru", "law": "constant"})
    suite = parse_suite(data, "x", [Override("--models", "subjects", ["gru"])])
    assert [claim.subject for claim in suite.claims] == ["gru"]
    narrowed = parse_suite(data, "x", [Override("--modes", "modes", ["prefill"])])
    assert narrowed.claims == ()


def test_scaling_claims_what_the_literature_does():
    claims = load_suite(find_suite("scaling")).claims
    law = {(c.subject, c.mode, c.metric): c.text for c in claims}
    assert law["lmn", "decode", "slots"] == law["lmn", "decode", "state_bytes"] == "~ log n"
    assert law["lmn-expander", "decode", "slots"] == "~ log^2 n"
    assert law["lmn", "prefill", "latency_s"] == "at most n log n"
    assert law["transformer", "prefill", "latency_s"] == "~ n^2"
    assert law["gru", "decode", "latency_s"] == "~ constant"


# ------------------------------------------------------------------------------- reading a file


def test_a_single_value_stands_for_a_list_of_one():
    suite = parse_suite(with_sweep(subjects="lmn", modes="train", width=32, lengths=8), "x")
    sweep = suite.sweeps[0]
    assert (sweep.subjects, sweep.modes, sweep.width, sweep.lengths) == (
        ("lmn",), ("train",), (32,), (8,),
    )  # fmt: skip


def test_a_sweep_inherits_defaults_and_may_change_them():
    data = {
        "name": "mine",
        "defaults": {"subjects": "lmn", "modes": "train", "lengths": [8], "width": 32},
        "sweep": [{}, {"width": 128}],
    }
    assert [sweep.width for sweep in parse_suite(data, "x").sweeps] == [(32,), (128,)]


def test_what_a_suite_does_not_say_about_measuring_keeps_its_default():
    suite = parse_suite({**GOOD, "measuring": {"processes": 2}}, "x")
    assert suite.measuring == Measuring(processes=2)


def test_caps_are_sizes_or_none():
    suite = parse_suite(with_sweep(memory_cap=["none", "64MiB", 2**20]), "x")
    assert suite.sweeps[0].memory_cap == (None, 64 * 2**20, 2**20)


def test_a_users_own_model_is_a_name_with_a_colon():
    suite = parse_suite(with_sweep(subjects=["my_package.models:make"]), "x")
    assert suite.sweeps[0].subjects == ("my_package.models:make",)


def test_a_file_that_is_not_toml_is_told_with_its_line(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text('name = "x"\n[[sweep]\n')
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert "not valid TOML" in caught.value.problems[0].message
    assert "line 2" in caught.value.problems[0].message


def test_a_file_that_is_not_text_is_told(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"name = \x80")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert "UTF-8" in caught.value.problems[0].message


def test_a_folder_in_place_of_a_file_is_told(tmp_path):
    with pytest.raises(SuiteError) as caught:
        load_suite(tmp_path)
    assert "cannot be read" in caught.value.problems[0].message


def test_a_misspelt_suite_name_gets_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        find_suite("scalign")
    assert "did you mean 'scaling'?" in caught.value.hint


def test_a_path_where_no_file_is_gets_told_as_such():
    with pytest.raises(SuiteError) as caught:
        find_suite("nowhere/mine.toml")
    assert caught.value.problems[0].message == "no such file"


# ------------------------------------------------------------------------------- mistakes


def test_all_mistakes_of_a_file_are_told_at_once_with_their_places(tmp_path):
    path = tmp_path / "mistakes.toml"
    path.write_text(
        textwrap.dedent("""
        nmae = "x"
        [measuring]
        proceses = 3
        timeout_s = -1
        [defaults]
        widht = 3
        [[sweep]]
        subjects = ["lmm"]
        modes = ["decoed"]
        lengths = [64, 0]
        [[sweep]]
        modes = ["train"]
        lengths = "8..4"
        width = 64
        heads = 5
    """)
    )
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    places = [problem.place for problem in caught.value.problems]
    assert sorted(places) == [
        "defaults.widht", "measuring.proceses", "measuring.timeout_s", "name", "nmae",
        "sweep[0].lengths", "sweep[0].modes[0]", "sweep[0].subjects[0]",
        "sweep[1].heads", "sweep[1].lengths", "sweep[1].subjects",
    ]  # fmt: skip
    assert "11 mistakes" in caught.value.message


@pytest.mark.parametrize(
    ("data", "place", "nearest"),
    [
        ({**GOOD, "nmae": "x"}, "nmae", "name"),
        ({**GOOD, "measuring": {"proceses": 3}}, "measuring.proceses", "processes"),
        ({**GOOD, "defaults": {"widht": 3}}, "defaults.widht", "width"),
        (with_sweep(memory_kap="1MiB"), "sweep[0].memory_kap", "memory_cap"),
    ],
)
def test_an_unknown_key_gets_the_nearest_one_at_every_level(data, place, nearest):
    problem = problems_of(data)[place]
    assert problem.message == "unknown key"
    assert problem.hint == f"did you mean '{nearest}'?"


@pytest.mark.parametrize(
    ("key", "value", "place", "nearest"),
    [
        ("subjects", ["trasformer"], "subjects[0]", "transformer"),
        ("modes", ["train", "prefil"], "modes[1]", "prefill"),
        ("device", "cudaa", "device[0]", "cuda"),
        ("dtype", "float23", "dtype[0]", "float32"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(key, value, place, nearest):
    problem = problems_of(with_sweep(**{key: value}))[f"sweep[0].{place}"]
    assert problem.message.startswith("unknown ")
    assert f"did you mean '{nearest}'?" in problem.hint


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"lengths": []}, "lengths", "no lengths"),
        ({"lengths": [0]}, "lengths", "length 0 is out of range"),
        ({"lengths": "2^9..2^7"}, "lengths", "descends"),
        ({"lengths": "2^7..1000"}, "lengths", "misses 1000"),
        ({"lengths": [64, 64]}, "lengths", "64 comes after 64"),
        ({"lengths": 2.5}, "lengths", "expected lengths, got 2.5"),
        ({"lengths": {"from": 1}}, "lengths", "expected lengths"),
        ({"lengths": [[64]]}, "lengths", "cannot read [64]"),
        ({"lengths": True}, "lengths", "expected lengths, got True"),
        ({"subjects": []}, "subjects", "an empty list"),
        ({"subjects": [3]}, "subjects[0]", "expected a name, got 3"),
        ({"modes": ["train", "train"]}, "modes", "'train' stands twice"),
        ({"width": [32, 32]}, "width", "32 stands twice"),
        ({"width": "wide"}, "width[0]", "valid integer, got 'wide'"),
        ({"width": 32.5}, "width[0]", "valid integer"),
        ({"width": "1K", "heads": 3}, "heads", "3 heads do not divide a width of 1024"),
        ({"heads": 0}, "heads[0]", "greater than or equal to 1, got 0"),
        ({"batch": -1}, "batch[0]", "got -1"),
        ({"threads": True}, "threads[0]", "got True"),
        ({"expansion": -1}, "expansion[0]", "greater than or equal to 0"),
        ({"memory_cap": "64 Megs"}, "memory_cap[0]", "cannot read '64 Megs'"),
        ({"memory_cap": True}, "memory_cap[0]", "expected a memory cap"),
        ({"memory_cap": 1.5}, "memory_cap[0]", "expected a memory cap"),
        ({"memory_cap": 0}, "memory_cap[0]", "above 0"),
        ({"memory_cap": ["64MiB", "12B"]}, "memory_cap[1]", "nothing can run under a cap of '12B'"),
        ({"width": 64, "heads": [4, 5]}, "heads", "5 heads do not divide a width of 64"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_told_at_its_place(keys, place, words):
    problems = problems_of(with_sweep(**keys))
    assert words in problems[f"sweep[0].{place}"].message
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("processes", 0), ("processes", 1.5), ("processes", "many"), ("timeout_s", 0),
        ("timeout_s", float("inf")), ("timeout_s", 1e12), ("time_goal_s", float("nan")),
        ("time_goal_s", float("inf")),
        ("precision_goal", 1), ("max_samples", 0), ("decode_window", 0),
        ("warmup_limit_s", -1), ("counters", 1), ("memory_timeline", "yes"),
    ],
)  # fmt: skip
def test_measuring_refuses_what_cannot_be_measured_with(key, value):
    assert set(problems_of({**GOOD, "measuring": {key: value}})) == {f"measuring.{key}"}


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        ({"sweep": [GOOD_SWEEP]}, "name", "missing"),
        ({**GOOD, "name": "a/../b"}, "name", "cannot be 'a/../b'"),
        ({**GOOD, "name": ""}, "name", "cannot be ''"),
        ({**GOOD, "name": 3}, "name", "valid string"),
        ({"name": "mine"}, "sweep", "missing"),
        ({"name": "mine", "sweep": []}, "sweep", "at least one [[sweep]]"),
        ({"name": "mine", "sweep": GOOD_SWEEP}, "sweep", "at least one [[sweep]]"),
        ({"name": "mine", "sweep": [3]}, "sweep[0]", "expected a table"),
        ({**GOOD, "measuring": 3}, "measuring", "expected a table"),
    ],
)
def test_a_file_of_the_wrong_shape_is_told(data, place, words):
    problems = problems_of(data)
    assert words in problems[place].message
    assert len(problems) == 1


@pytest.mark.parametrize("key", ["subjects", "modes", "lengths"])
def test_a_missing_axis_is_told_with_where_to_add_it(key):
    axes = {name: value for name, value in GOOD_SWEEP.items() if name != key}
    problem = problems_of({"name": "mine", "sweep": [axes]})[f"sweep[0].{key}"]
    assert problem.message == "is missing"
    assert "[defaults]" in problem.hint


# ------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("option", "text", "axis", "values"),
    [
        ("--models", "lstm, rnn", "subjects", ("lstm", "rnn")),
        ("--lengths", "2^3..2^5", "lengths", (8, 16, 32)),
        ("--lengths", "16,1K", "lengths", (16, 1024)),
        ("--device", "cpu,cuda", "device", ("cpu", "cuda")),
        ("--threads", "1,2", "threads", (1, 2)),
        ("--memory-cap", "64MiB,none", "memory_cap", (64 * 2**20, None)),
    ],
)
def test_an_option_takes_the_place_of_the_suites_values(option, text, axis, values):
    assert getattr(with_options((option, text)).sweeps[0], axis) == values


def test_the_mechanism_of_caps_from_the_command_line_wins():
    assert with_options(("--cap-mechanism", "cgroup")).measuring.cap_mechanism == "cgroup"


def test_processes_from_the_command_line_win():
    assert with_options(processes=3).measuring.processes == 3


@pytest.mark.parametrize(
    ("setting", "axis", "values"),
    [
        ("width=128", "width", (128,)),
        ("width=[64, 128]", "width", (64, 128)),
        ("width=64,128", "width", (64, 128)),
        ("lengths=2^3..2^4", "lengths", (8, 16)),
        ("lengths=[8, 24]", "lengths", (8, 24)),
        ("dtype=float64", "dtype", ("float64",)),
        ("memory-cap=64MiB,none", "memory_cap", (64 * 2**20, None)),
    ],
)
def test_set_reads_numbers_words_lists_and_ranges(setting, axis, values):
    assert getattr(with_options(settings=[setting]).sweeps[0], axis) == values


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("time_goal_s=0.5", "time_goal_s", 0.5),
        ("counters=false", "counters", False),
        ("max-samples=7", "max_samples", 7),
        ("cap_mechanism=cgroup", "cap_mechanism", "cgroup"),
    ],
)
def test_set_reaches_measuring_too(setting, key, value):
    assert getattr(with_options(settings=[setting]).measuring, key) == value


def test_cuda_graphs_are_asked_for_on_cuda_alone():
    suite = parse_suite(with_sweep(device="cuda", cuda_graph=[False, True]), "x")
    assert suite.sweeps[0].cuda_graph == (False, True)
    assert parse_suite(GOOD, "x").sweeps[0].cuda_graph == (False,)
    assert "sweep[0].cuda_graph" in problems_of(with_sweep(cuda_graph=True))
    assert "sweep[0].cuda_graph" in problems_of(with_sweep(device=["cpu", "cuda"], cuda_graph=True))


def test_compile_is_an_axis_of_true_and_false():
    suite = parse_suite(with_sweep(compile=[False, True]), "x")
    assert suite.sweeps[0].compile == (False, True)
    assert parse_suite(GOOD, "x").sweeps[0].compile == (False,)
    assert "sweep[0].compile[0]" in problems_of(with_sweep(compile=["yes"]))


def test_modes_narrow_every_sweep_and_drop_those_left_empty():
    data = {"name": "mine", "sweep": [GOOD_SWEEP, {**GOOD_SWEEP, "modes": ["train"]}]}
    suite = parse_suite(data, "x", [Override("--modes", "modes", ["decode"])])
    assert [sweep.modes for sweep in suite.sweeps] == [("decode",)]


@pytest.mark.parametrize(
    ("mode", "words", "hint"),
    [
        ("trian", "unknown mode 'trian'", "did you mean 'train'?"),
        ("train", "this suite has no train", "it has decode, prefill"),
    ],
)
def test_modes_that_cannot_be_kept_are_told_by_option(mode, words, hint):
    problem = problems_of(GOOD, [Override("--modes", "modes", [mode])])["--modes"]
    assert problem.message == words
    assert problem.hint == hint


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--models", "lmn,gruu", "unknown model 'gruu'"),
        ("--lengths", "8..4", "descends"),
        ("--device", "tpu", "unknown device 'tpu'"),
        ("--threads", "0", "greater than or equal to 1"),
        ("--memory-cap", "big", "cannot read 'big'"),
        ("--cap-mechanism", "cgruop", "unknown cap mechanism 'cgruop'"),
    ],
)
def test_a_mistake_in_an_option_is_told_once_by_the_options_name(option, text, words):
    data = {"name": "mine", "sweep": [GOOD_SWEEP, GOOD_SWEEP]}
    with pytest.raises(SuiteError) as caught:
        parse_suite(data, "x", overrides_of({option: text}, None, []))
    (problem,) = caught.value.problems
    assert problem.place == option
    assert words in problem.message


def test_heads_set_from_the_command_line_are_told_by_option():
    problems = problems_of(GOOD, overrides_of({}, None, ["heads=5"]))
    assert "5 heads do not divide" in problems["--set heads"].message


def test_a_mistake_in_the_defaults_is_not_blamed_on_an_option():
    data = {**GOOD, "defaults": {"width": "wide"}}
    assert set(problems_of(data, overrides_of({}, None, ["width=32"]))) == {"defaults.width[0]"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [("width", "expected KEY=VALUE"), ("width=", "expected KEY=VALUE"), ("=3", "unknown key ''")],
)
def test_a_setting_without_key_or_value_is_told(setting, words):
    with pytest.raises(UsageError) as caught:
        overrides_of({}, None, [setting])
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("setting", "values"),
    [("width=1K,64", (1024, 64)), ("width=2^7", (128,)), ("batch=1e1", (10,)),
     ("batch=1_000", (1000,)), ("heads=1,2", (1, 2)), ("memory_cap=1TB,none", (10**12, None))],
)  # fmt: skip
def test_settings_of_axes_read_numbers_as_people_write_them(setting, values):
    suite = parse_suite(GOOD, "mine.toml", overrides_of({}, None, [setting]))
    assert getattr(suite.sweeps[0], setting.partition("=")[0]) == values


@pytest.mark.parametrize(
    ("setting", "seconds"),
    [("timeout_s=2min", 120), ("timeout_s=30", 30), ("timeout_s=1.5h", 5400)],
)
def test_seconds_may_have_a_unit(setting, seconds):
    suite = parse_suite(GOOD, "mine.toml", overrides_of({}, None, [setting]))
    assert suite.measuring.timeout_s == seconds


@pytest.mark.parametrize(
    ("setting", "hint"),
    [("time_goal_s=0,5", "write 0.5"), ("timeout_s=1,5", "write 1.5 or 15"),
     ("learning_rate=0,001", "write 0.001"), ("width=1,024", "write 1.024 or 1024"),
     ("steps=1,000", "write 1.000 or 1000")],
)  # fmt: skip
def test_a_comma_inside_one_number_is_told_and_not_taken_for_a_list(setting, hint):
    with pytest.raises(UnitError, match="a comma parts values here") as caught:
        overrides_of({}, None, [setting])
    assert caught.value.hint == hint


def test_a_path_with_a_comma_is_one_path():
    (override,) = overrides_of({}, None, ["corpus=a,b.txt"])
    assert override.value == "a,b.txt"


def test_a_setting_of_an_unknown_key_gets_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        overrides_of({}, None, ["widht=3"])
    assert caught.value.hint == "did you mean 'width'?"


@pytest.mark.parametrize(("option", "text"), [("--models", " , "), ("--threads", "two")])
def test_an_option_that_says_nothing_usable_is_told_by_name(option, text):
    with pytest.raises(UsageError) as caught:
        overrides_of({option: text}, None, [])
    assert option in caught.value.message


# ------------------------------------------------------------------------------- the reference


def test_a_suite_may_say_whom_the_others_are_compared_with():
    assert parse_suite({**GOOD, "reference": "gru"}, "mine.toml").reference == "gru"
    assert parse_suite(GOOD, "mine.toml").reference is None


def test_the_reference_from_the_command_line_wins():
    overrides = overrides_of({"--reference": "gru"}, None, ())
    assert parse_suite({**GOOD, "reference": "lmn"}, "mine.toml", overrides).reference == "gru"


def test_models_from_the_command_line_may_leave_the_reference_of_a_suite_out():
    overrides = overrides_of({"--models": "rnn,lstm"}, None, ())
    assert parse_suite({**GOOD, "reference": "lmn"}, "mine.toml", overrides).reference is None


@pytest.mark.parametrize(
    ("suite_says", "options", "place"),
    [("rnn", {}, "reference"), ("lmn", {"--reference": "rnn"}, "--reference"),
     (None, {"--models": "gru", "--reference": "lmn"}, "--reference")],
)  # fmt: skip
def test_a_reference_that_is_not_measured_is_told_with_what_is(suite_says, options, place):
    data = {**GOOD, **({"reference": suite_says} if suite_says else {})}
    problem = problems_of(data, overrides_of(options, None, ()))[place]
    assert "no sweep measures" in problem.message
    assert problem.hint == ("it has gru" if "--models" in options else "it has lmn, gru")


def test_trainings_have_no_reference():
    data = {"name": "mine", "reference": "lmn", "learning": {"steps": 10},
            "sweep": [{"subjects": ["lmn"], "modes": ["learn"], "lengths": [64]}]}  # fmt: skip
    assert "this suite learns" in problems_of(data)["reference"].message


def test_a_suite_that_is_a_pipe_is_not_called_missing(tmp_path):
    os.mkfifo(tmp_path / "suite.toml")
    with pytest.raises(SuiteError) as caught:
        find_suite(str(tmp_path / "suite.toml"))
    (problem,) = caught.value.problems
    assert problem.message == "is no file, but a folder, a pipe or a device"
