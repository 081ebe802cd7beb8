from __future__ import annotations

import pytest

from lmn_bench.devices import KINDS, PEAK_DTYPES, SYSTEM_BYTES, device, load_devices
from lmn_bench.errors import DeviceFileError, UnknownNameError

SHIPPED = load_devices()
ONE = """
[my-board]
title = "My board"
kind = "board"
memory = "512MiB"
bandwidth = "3.2 GB/s"
peak = { float32 = 16e9, float16 = 32e9 }
runs_python = true
source = "Its maker, data sheet: https://example.org/board.pdf"
note = "Derived: peak 2 cores x 1 GHz x 8 FLOP a cycle."
"""


@pytest.fixture
def own(tmp_path):
    """A file of devices with this text."""

    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def mistakes(own):
    """What is wrong with a file of this text: message and hint by place."""

    def find(text):
        with pytest.raises(DeviceFileError) as caught:
            load_devices(own(text))
        return {problem.place: (problem.message, problem.hint) for problem in caught.value.problems}

    return find


# ------------------------------------------------------------------------------- what is shipped


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_device_of_every_kind(kind):
    assert kind in {one.kind for one in SHIPPED.values()}


each_device = pytest.mark.parametrize("one", SHIPPED.values(), ids=SHIPPED)


@each_device
def test_a_device_names_the_address_of_its_source(one):
    assert one.source.split(": ")[-1].startswith("https://")


@each_device
def test_a_device_computes_no_slower_in_a_smaller_dtype(one):
    peak = one.peak_flops_per_s
    assert set(peak) <= set(PEAK_DTYPES)
    for half in ("bfloat16", "float16"):
        assert peak.get(half, peak["float32"]) >= peak["float32"]
    assert peak.get("float64", 0) <= peak["float32"]


@each_device
def test_a_device_has_numbers_of_a_believable_size(one):
    # This finds a slip of a unit, not of a digit.
    assert 256 * 2**10 <= one.memory_bytes <= 2**40
    assert 1e8 <= one.bandwidth_bytes_per_s <= 1e13
    assert 1e6 <= one.peak_flops_per_s["float32"] <= 1e14


@each_device
def test_a_device_reads_its_whole_memory_within_seconds(one):
    assert 1e-4 < one.memory_bytes / one.bandwidth_bytes_per_s < 10


@each_device
def test_python_runs_on_all_but_microcontrollers_and_phones(one):
    assert one.runs_python == (one.kind not in {"microcontroller", "phone"})


@each_device
def test_a_system_leaves_most_of_a_device_and_a_bare_one_has_none(one):
    assert one.usable_bytes == one.memory_bytes - one.system_bytes
    assert one.usable_bytes >= one.memory_bytes / 2
    assert (one.system_bytes == 0) == (one.kind in {"microcontroller", "gpu"})


def test_a_system_of_its_own_takes_the_place_of_the_usual_one(own):
    assert device("raspberry-pi-5-8gb").system_bytes == SYSTEM_BYTES["board"] != 64 * 2**20
    mine = load_devices(own(ONE.replace("runs_python", 'system = "64MiB"\nruns_python')))
    assert mine["my-board"].system_bytes == 64 * 2**20


def test_a_system_that_takes_all_is_a_mistake(mistakes):
    found = mistakes(ONE.replace("512MiB", "256MiB"))
    assert "would take all" in found["my-board"][0]


def test_a_device_is_found_by_its_name():
    pi = device("raspberry-pi-5-8gb")
    assert pi.title == "Raspberry Pi 5, 8 GB"
    assert pi.memory_bytes == 8 * 2**30
    assert pi.bandwidth_bytes_per_s == 17.1e9
    assert pi.peak_flops_per_s["float32"] == 4 * 2.4e9 * 16


def test_a_misspelt_device_gets_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        device("raspberry-pi-5")
    assert caught.value.message == "unknown device 'raspberry-pi-5'"
    assert "did you mean 'raspberry-pi-5-8gb'? See `lmn-bench list devices`" in caught.value.hint


def test_what_a_caller_does_to_the_profiles_stays_with_that_caller():
    load_devices().clear()
    assert load_devices() == SHIPPED


# ------------------------------------------------------------------------------- files of one's own


def test_a_file_is_read_into_base_units(own):
    profiles = load_devices(own(ONE))
    assert list(profiles) == ["my-board"]
    one = profiles["my-board"]
    assert (one.id, one.kind, one.runs_python) == ("my-board", "board", True)
    assert one.memory_bytes == 512 * 2**20
    assert one.bandwidth_bytes_per_s == 3.2e9
    assert one.peak_flops_per_s == {"float32": 16e9, "float16": 32e9}


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "hint"),
    [
        ("kind =", "knid =", "knid", "unknown key", "did you mean 'kind'?"),
        ("kind =", "knid =", "kind", "is missing", None),
        ('"board"', '"bord"', "kind", "unknown kind 'bord'", "did you mean 'board'?"),
        ("512MiB", "512 Mb!", "memory", "cannot read '512 Mb!' as a number of bytes", "64MiB"),
        ('"512MiB"', "512", "memory", "expected text with a unit, got 512", None),
        ("GB/s", "GiB/s", "bandwidth", "cannot read '3.2 GiB/s' as a bandwidth", "17.1GB/s"),
        ("float16", "flaot16", "peak.flaot16", "unknown dtype 'flaot16'", "mean 'float16'?"),
        ("float32 = 16e9, ", "", "peak", "has no float32", "peak = {"),
        ("16e9", "-1", "peak.float32", "expected greater than 0, got -1", None),
        ("16e9", '"fast"', "peak.float32", "expected a valid number, got 'fast'", None),
        ("true", '"yes"', "runs_python", "expected a valid boolean, got 'yes'", None),
        (": https://example.org/board.pdf", "", "source", "has no address", "https://…"),
        ("source =", "# source =", "source", "is missing", None),
        ("My board", "", "title", "string should have at least 1 character, got ''", None),
    ],
)
def test_a_mistake_is_told_with_its_place(mistakes, old, new, place, message, hint):
    assert old in ONE
    found = mistakes(ONE.replace(old, new))
    told, what_to_do = found[f"my-board.{place}"]
    assert told == message
    assert what_to_do is None if hint is None else hint in what_to_do


@pytest.mark.parametrize("name", ["My-board", "my_board", "my--board", "-board"])
def test_a_device_is_named_in_small_letters_and_hyphens(mistakes, name):
    assert mistakes(ONE.replace("my-board", name))[name][0] == "is no id"


def test_what_is_no_table_is_told(mistakes):
    assert mistakes("my-board = 3")["my-board"][0] == "expected a table of keys, got 3"


def test_all_mistakes_are_told_at_once(own):
    broken = ONE.replace("true", "1").replace("GB/s", "").replace("512MiB", "0")
    path = own(broken)
    with pytest.raises(DeviceFileError) as caught:
        load_devices(path)
    assert caught.value.message == f"{path} has 3 mistakes"


@pytest.mark.parametrize(("text", "words"), [("[my-board", "is not valid TOML"), (None, "cannot")])
def test_a_file_that_cannot_be_read_says_so(own, tmp_path, text, words):
    path = tmp_path / "no.toml" if text is None else own(text)
    with pytest.raises(DeviceFileError) as caught:
        load_devices(path)
    assert words in caught.value.problems[0].message
