"""`lmn-bench size`: questions typed, runs found, answers printed, sizes tried out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from bench_helpers import FakeSpawner, death, environment, ok_reply
from sizing_helpers import MIB, asked, evidence, info, question, records

from lmn_bench.cli import run_command_line, size_evidence
from lmn_bench.cli.size_evidence import making_command
from lmn_bench.cli.size_verify import Trier
from lmn_bench.errors import ExitCode
from lmn_bench.schema import Suite
from lmn_bench.sizing.memory import modelled_bytes
from lmn_bench.sizing.predictor import predictor
from lmn_bench.store import RecordWriter, create_run

SIZES = ["--width", "64", "--layers", "2"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with one run for sizing, of this machine."""
    monkeypatch.setattr(size_evidence, "read_environment", environment)
    store(tmp_path, "sizing-1", *(asked(s) for s in ("lmn", "transformer", "lstm")))
    return tmp_path


def store(folder, name, *cases, malloc="default", **changes):
    sweeps = [
        replace(info().suite.sweeps[0], subjects=(case.subject,), modes=(case.mode,))
        for case in cases
    ]
    suite = Suite("sizing", "", replace(info().suite.measuring, needs=True, malloc=malloc),
                  tuple(sweeps))  # fmt: skip
    path = create_run(folder, info(run_id=name, suite=suite, **changes))
    with RecordWriter(path) as writer:
        for case in cases:
            for record in records(case):
                writer.append(record)


def size(results, *options, context="4096"):
    return run_command_line(
        ["size", "--context", context, *SIZES, *options, "--results", str(results)]
    )


def told(capsys, results, *options, **rest):
    code = size(results, *options, "--json", **rest)
    return code, json.loads(capsys.readouterr().out)


def error_of(capsys, results, *options, **rest):
    assert size(results, *options, **rest) == ExitCode.USAGE
    return capsys.readouterr().err


def test_the_answer_has_every_subject_side_by_side(results, capsys):
    code, data = told(capsys, results, "--memory", "1GiB")
    assert code == ExitCode.OK
    assert [one["name"] for one in data["subjects"]] == ["lmn", "transformer", "lstm"]
    for one in data["subjects"]:
        assert one["fits"] is True
        parts = one["memory_bytes"]
        summed = sum(parts[key] for key in ("floor", "parameters", "state", "working"))
        assert parts["total"] == pytest.approx(summed, abs=4)
        assert parts["low"] <= parts["total"] <= parts["high"]
        assert one["latency_s"]["low"] <= one["latency_s"]["estimate"] <= one["latency_s"]["high"]
        assert one["longest_context"] >= 4096
        assert one["largest_batch"] >= 1


@pytest.mark.parametrize(
    ("options", "code"),
    [(("--memory", "1GiB"), 0), (("--memory", "100MiB"), 1), (("--latency", "1us"), 1), ((), 0)],
)
def test_the_exit_code_says_whether_it_fits(results, capsys, options, code):
    assert size(results, *options) == code


def test_beyond_the_validated_range_the_exit_code_says_so(results, capsys):
    code, data = told(capsys, results, context="1M")
    assert code == ExitCode.INCONCLUSIVE
    assert data["subjects"][0]["memory_bytes"] is None
    assert data["subjects"][0]["longest_context"] == 65536


@pytest.mark.parametrize("columns", ["80", "140"])
def test_the_terminal_shows_everything_that_was_asked(results, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert size(results, "--memory", "1GiB", "--pareto", "--find", "device") == ExitCode.OK
    out = capsys.readouterr().out
    for words in ("Memory", "Time", "How far", "Devices", "Worth having", "Assumptions", "lstm"):
        assert words in out
    assert max(map(len, out.splitlines())) <= int(columns)


def test_pages_and_markdown_are_written(results, tmp_path, capsys):
    html, markdown = tmp_path / "a.html", tmp_path / "a.md"
    assert size(results, "--memory", "1GiB", "--html", str(html), "--markdown", str(markdown)) == 0
    assert "sizing.json" in html.read_text()
    assert "## Memory" in markdown.read_text()


def test_without_a_run_it_offers_the_command_that_makes_one(tmp_path, capsys):
    said = error_of(capsys, tmp_path, context="1M")
    assert "lmn-bench run --suite sizing --models lmn,transformer,lstm" in said
    assert '--lengths "2^8..2^18"' in said
    assert "--set layers=2" in said


def test_the_command_offered_names_all_that_is_not_usual():
    case = asked(batch=8, dtype="bfloat16", model=replace(asked().model, banks=2, heads=2))
    said = making_command(question(case))
    for words in ("--set batch=8", "--set dtype=bfloat16", "--set banks=2", "--set heads=2"):
        assert words in said


def test_a_run_of_another_machine_is_used_when_named_and_told(results, capsys):
    there = replace(environment(), hostname="elsewhere", cpu_model="Other CPU")
    store(results, "other-1", asked("gru"), environment=there)
    assert "no run" in error_of(capsys, results, "--model", "gru")
    assert size(results, "--model", "gru", "--from", "other-1", "--against", "gru") == ExitCode.OK
    assert "measured on elsewhere" in " ".join(capsys.readouterr().out.split())


def test_a_run_that_was_not_for_sizing_is_refused(results, capsys):
    path = create_run(results, info(run_id="plain", suite=replace(
        info().suite, measuring=replace(info().suite.measuring, needs=False)
    )))  # fmt: skip
    assert "did not measure" in error_of(capsys, results, "--from", str(path))


def test_runs_with_malloc_set_differently_do_not_go_together(results, capsys):
    store(results, "sizing-2", asked("lmn"), malloc="lean")
    said = error_of(capsys, results, "--from", "sizing-1", "--from", "sizing-2")
    assert "malloc set differently do not go together: sizing-1 default, sizing-2 lean" in said
    # Unnamed, the latest decides: the others' runs are of another setting.
    _, data = told(capsys, results, "--memory", "1GiB")
    assert [one["memory_bytes"] is None for one in data["subjects"]] == [False, True, True]
    assert any("MALLOC_ARENA_MAX=1" in one for one in data["assumptions"])


def test_sizes_that_were_not_measured_are_estimates_with_a_hint(results, capsys):
    code = run_command_line(
        ["size", "--context", "4096", "--width", "128", "--layers", "6", "--results", str(results)]
    )
    captured = capsys.readouterr()
    assert code == ExitCode.OK
    assert "estimate" in captured.out
    assert "--set width=128 --set layers=6" in captured.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--memory", "64 Mb!"), "number of bytes"),
        (("--latency", "5 parsec"), "as a time"),
        (("--latency", "0ms"), "above 0"),
        (("--throughput", "-1"), "above 0"),
        (("--timeout", "2m"), 'write "2ms" or "2min"'),
        (("--timeout", "5ms"), "not in the range"),
        (("--device", "raspbery-pi"), "unknown device"),
        (("--device", "cpu", "--device", "cuda"), "stands alone"),
        (("--model", "transfomer"), "transformer"),
        (("--mode", "decod"), "decode"),
        (("--mode", "stream"), "--mode decode"),
        (("--mode", "read", "--model", "transformer"), "no read"),
        (("--dtype", "float33"), "float32"),
        (("--memory", "10KiB"), "cannot hold the parameters of lmn alone"),
        (("--heads", "7"), "heads"),
        (("--verify",), "there is none"),
        (("--verify", "twice", "--memory", "1GiB"), "bisect"),
        (("--verify", "--device", "nvidia-t4"), "this machine"),
        (("--html", "/no/such/folder/x.html"), "no folder"),
        (("--from", "nothing"), "nothing"),
    ],
)
def test_mistakes_are_told(results, capsys, options, words):
    assert words in error_of(capsys, results, *options)


@pytest.mark.parametrize("nothing", ["0", "0B", "0 MiB"])
def test_a_floor_may_be_nothing_in_any_unit(results, capsys, nothing):
    bare = told(capsys, results, "--memory", "64MiB", "--floor", nothing)[1]
    assert {one["memory_bytes"]["floor"] for one in bare["subjects"]} == {0}


def test_a_context_that_cannot_be_read_is_told(results, capsys):
    assert "as a length" in error_of(capsys, results, context="1X")


# ------------------------------------------------------------------------------------ tried out


def trier(limit, true_limit, subject="transformer"):
    """A trier whose machine really fits what needs at most `true_limit` bytes."""
    case = asked(subject, length=2048)
    of = question(case, floor=0, memory_bytes=limit)
    known = predictor(subject, of, evidence(asked(subject)))

    def answer(run):
        fits = 3 * MIB + 1.2 * modelled_bytes(run) <= true_limit
        return ok_reply() if fits else death(output="DefaultCPUAllocator: can't allocate memory")

    return Trier(FakeSpawner(answer), known, case, "rlimit", 10.0)


def test_the_answer_fits_and_what_is_beyond_does_not():
    limit = 24 * MIB
    tried = trier(limit, limit)
    trials = tried.once()
    assert [one.word for one in trials] == ["fits", "out of memory"]
    assert [one.verdict for one in trials] == ["yes", "yes"]


@pytest.mark.parametrize("share", [0.5, 0.97, 1.0, 1.04, 2.0])
def test_the_bisection_finds_the_longest_within_a_hundredth(share):
    tried = trier(24 * MIB, share * 24 * MIB)
    trials = tried.bisected()
    longest = max(one.length for one in trials if one.fits)
    shortest = min(one.length for one in trials if not one.fits)
    assert longest < shortest <= 1.011 * longest + 1
    assert len(trials) < 25


def test_the_budget_is_what_the_weights_leave():
    tried = trier(24 * MIB, 24 * MIB)
    need = tried._known.memory(asked("transformer", length=2048))
    assert tried.budget_bytes == round(24 * MIB - need.parameters)


# ------------------------------------------------------------------------- what is said, and hints


def test_a_device_too_small_for_the_weights_is_an_answer_not_a_slip(results, capsys):
    assert size(results, "--device", "raspberry-pi-pico") == ExitCode.CASES_FAILED
    assert "lmn does not fit: ~" in " ".join(capsys.readouterr().out.split())


def test_the_smallest_device_is_named_first(results, capsys):
    assert size(results, "--find", "device") == ExitCode.OK
    answers = capsys.readouterr().out.split("•")
    assert answers[1].strip().startswith("The smallest device that is enough: ")
    _, data = told(capsys, results, "--find", "device")
    memory = [one["device_memory_bytes"] for one in data["devices"]]
    assert memory == sorted(memory)
    enough = [one["device"] for one in data["devices"] if one["enough"]]
    assert data["smallest_device"] == enough[0]


def test_a_width_beyond_what_was_measured_comes_with_what_measures_it(results, capsys):
    assert size(results, "--find", "width", "--memory", "400MiB") == ExitCode.OK
    captured = capsys.readouterr()
    assert "not measured" in captured.out
    _, data = told(capsys, results, "--find", "width", "--memory", "400MiB")
    found = data["find"]["subjects"]["lmn"]
    assert found["measured"] == "beyond"
    assert f"--set width={found['value']}" in found["command"]
    assert f"hint: measure what was found for lmn: {found['command']}" in captured.err


def test_too_near_to_tell_offers_to_try_it_out(results, capsys):
    _, data = told(capsys, results)
    near = data["subjects"][0]["memory_bytes"]["total"]
    assert size(results, "--memory", str(near)) == ExitCode.INCONCLUSIVE
    captured = capsys.readouterr()
    assert "too near to tell" in " ".join(captured.out.split())
    assert captured.err.rstrip().endswith("--verify")


def test_a_model_of_ones_own_is_told_how_to_measure_it(results, capsys):
    said = error_of(capsys, results, "--model", "my_models:make")
    assert "lmn-bench run --suite sizing --models my_models:make,transformer,lstm" in said
    assert size(results, "--against", "my_models:make") == ExitCode.OK
    captured = capsys.readouterr()
    assert "my_models:make: cannot tell: no run measured it in decode" in captured.out
    assert "no run tells of my_models:make: lmn-bench run" in captured.err
