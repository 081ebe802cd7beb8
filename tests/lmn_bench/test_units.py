from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench import units
from lmn_bench.cli.options import SecondsRange
from lmn_bench.errors import UnitError

lengths = st.integers(1, units.MAX_LENGTH)
whole_caps = st.one_of(
    st.integers(1, 2**50),
    st.builds(
        lambda count, unit: count * unit, st.integers(1, 4096), st.sampled_from([2**10, 2**20])
    ),
)

# ------------------------------------------------------------------------------- reading


@given(lengths)
def test_a_length_reads_as_it_is_written(length):
    assert units.parse_length(str(length)) == units.parse_length(length) == length


@given(st.integers(0, 40))
def test_a_power_reads_as_its_value(exponent):
    assert units.parse_length(f"2^{exponent}") == 2**exponent


@given(st.lists(lengths, min_size=1, max_size=30, unique=True).map(sorted))
def test_a_rising_list_of_lengths_reads_as_it_is_written(wanted):
    assert units.parse_lengths(", ".join(map(str, wanted))) == tuple(wanted)
    assert units.parse_lengths(wanted) == tuple(wanted)


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_range_doubles_from_one_end_to_the_other(one, other):
    low, high = sorted((one, other))
    expected = tuple(2**exponent for exponent in range(low, high + 1))
    assert units.parse_lengths(f"2^{low}..2^{high}") == expected


def test_lists_and_ranges_mix():
    assert units.parse_lengths("1,2^3..2^5, 1K,1m") == (1, 8, 16, 32, 1024, 2**20)


@pytest.mark.parametrize(
    ("text", "count"),
    [("64MiB", 64 * 2**20), ("1.5 GB", 1_500_000_000), ("512B", 512), ("1kib", 1024),
     (2**20, 2**20), ("1048576", 2**20), ("1_048_576", 2**20), ("1,048,576", 2**20),
     ("1TB", 10**12), ("1 TB", 10**12), ("2PB", 2 * 10**15), ("1TiB", 2**40), ("1pib", 2**50),
     ("512M", 2**29), ("512m", 2**29), ("512Mi", 2**29), ("1G", 2**30), ("2T", 2**41),
     ("64k", 2**16), ("64K", 2**16), ("1.5GiB", 3 * 2**29), ("512\u00a0MiB", 2**29),
     ("1,024 MiB", 2**30), ("2^30", 2**30), ("2**30 B", 2**30), ("1e9", 10**9), ("1e9B", 10**9),
     (".5 GiB", 2**29), ("512 megabytes", 512 * 10**6), ("1 gibibyte", 2**30),
     ("100 bytes", 100)],
)  # fmt: skip
def test_bytes_read_as_people_write_them(text, count):
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["512", 512, "64", "999999", "0.5", "64_000", "1e5"])
def test_few_bytes_without_a_unit_are_a_slip(text):
    for read in (units.parse_bytes, units.parse_memory_cap):
        with pytest.raises(UnitError, match="without a unit") as caught:
            read(text)
        assert f'"{text}MiB"' in caught.value.hint


@given(
    st.integers(1, 4096),
    st.sampled_from(["", " "]),
    st.sampled_from(
        [("KiB", 2**10), ("K", 2**10), ("MB", 10**6), ("M", 2**20), ("GiB", 2**30), ("TB", 10**12)]
    ),
    st.booleans(),
)
def test_whole_bytes_read_exactly_whatever_the_case(count, space, unit, lower):
    name, scale = unit
    text = f"{count:,}{space}{name}"
    assert units.parse_bytes(text.lower() if lower else text) == count * scale


@given(st.integers(2**10, 2**50))
def test_bytes_that_are_shown_are_read_again(count):
    assert units.parse_bytes(units.format_bytes(count)) == pytest.approx(count, rel=6e-3)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5ms", 5e-3), ("5 MS", 5e-3), ("0.5 s", 0.5), (".5s", 0.5), ("2min", 120), ("2 minutes", 120),
     ("100us", 1e-4), ("100µs", 1e-4), ("100μs", 1e-4), ("250ns", 2.5e-7), ("1h", 3600),
     ("1.5 sec", 1.5), ("1e-3s", 1e-3), ("3 min 20 s", 200), ("1 h 5 min", 3900), ("1h5min", 3900),
     ("2 days 3 h", 183_600), ("1,500 ms", 1.5), ("1_500ms", 1.5)],
)  # fmt: skip
def test_times_read_as_people_write_them(text, seconds):
    assert units.parse_seconds(text) == pytest.approx(seconds)


@given(st.floats(1e-9, 1e6))
def test_a_time_that_is_shown_is_read_again(seconds):
    assert units.parse_seconds(units.format_seconds(seconds)) == pytest.approx(seconds, rel=6e-3)


@given(st.integers(1, 10**7))
def test_a_wait_that_is_shown_is_read_again(seconds):
    shown = units.format_duration(seconds)
    assert units.parse_seconds(shown) == pytest.approx(seconds, abs=3600)
    assert units.format_duration(units.parse_seconds(shown)) == shown


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("64K", 2**16), ("64k", 2**16), ("64 K", 2**16), ("1M", 2**20), ("1G", 2**30), ("1e6", 10**6),
     ("2^20", 2**20), ("2**20", 2**20), ("1_000", 1000), ("32,768", 32_768), ("1.5K", 1536),
     ("64Ki", 2**16), ("4096 tokens", 4096)],
)  # fmt: skip
def test_lengths_read_as_people_write_them(text, tokens):
    assert units.parse_length(text) == tokens


@given(lengths)
def test_a_length_that_is_shown_is_read_again(length):
    assert units.parse_length(units.format_length(length)) == length


@pytest.mark.parametrize("text", ["1,024", "1,000", "64,1,024", "1,024..4,096"])
def test_thousands_among_lengths_are_not_taken_for_two_lengths(text):
    with pytest.raises(UnitError, match="begins with a zero") as caught:
        units.parse_lengths(text)
    assert "write 1024, not 1,024" in caught.value.hint


@pytest.mark.parametrize(
    ("read", "text", "right"),
    [(units.parse_bytes, "1,5GB", "1.5GB"), (units.parse_bytes, "0,5 GiB", "0.5 GiB"),
     (units.parse_memory_cap, "1,5GB", "1.5GB"), (units.parse_seconds, "0,5ms", "0.5ms"),
     (units.parse_seconds, "0,125 ms", "0.125 ms"), (units.parse_bandwidth, "17,1GB/s", "17.1GB/s"),
     (units.parse_length, "1,5K", "1.5K")],
)  # fmt: skip
def test_a_decimal_comma_is_named_with_what_to_write(read, text, right):
    with pytest.raises(UnitError, match="a comma is no decimal point") as caught:
        read(text)
    assert f'write "{right}"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "rate"), [("17.1GB/s", 17.1e9), ("160 MB/s", 160e6), (" 4.8 TB/s ", 4.8e12)]
)
def test_a_bandwidth_reads_in_decimal_units(text, rate):
    assert units.parse_bandwidth(text) == rate


@given(st.integers(1, 10**7))
def test_a_bandwidth_reads_as_it_is_written(tenths):
    assert units.parse_bandwidth(f"{tenths / 10}GB/s") == tenths * 1e8


@given(whole_caps)
def test_a_cap_reads_back_as_it_is_shown(cap):
    assert units.parse_memory_cap(units.format_cap(cap)) == cap


@pytest.mark.parametrize("text", ["none", " NONE "])
def test_no_cap_is_written_none(text):
    assert units.parse_memory_cap(text) is None
    assert units.format_cap(None) == "none"


@pytest.mark.parametrize(
    ("read", "value", "message", "hint"),
    [
        (units.parse_bytes, "64 Q", "cannot read '64 Q' as a number of bytes", "64MiB"),
        (units.parse_bytes, "", "cannot read '' as a number of bytes", "64MiB"),
        (units.parse_bytes, "-1", "cannot read '-1'", "64MiB"),
        (units.parse_bytes, True, "cannot read True", "64MiB"),
        (units.parse_bytes, "9" * 400, "cannot read", "64MiB"),
        (units.parse_bytes, "1,00MiB", "a comma is no decimal point", '"1.00MiB"'),
        (units.parse_bytes, "2^99", "more memory than there is", None),
        (units.parse_bytes, "8Mbit", "cannot read '8Mbit'", "64MiB"),
        (units.parse_seconds, "5", "cannot read '5' as a time", '"5ms" or "5s"'),
        (units.parse_seconds, "5m", "cannot read '5m' as a time", '"5ms" or "5min"'),
        (units.parse_seconds, "", "cannot read '' as a time", '"5ms"'),
        (units.parse_seconds, "20 s 3 min", "cannot read", '"5ms"'),
        (units.parse_seconds, "0ms", "a time above 0, got '0ms'", None),
        (units.parse_length, "1.2", "no whole number of tokens", None),
        (units.parse_bytes, "0", "above 0, got '0'", None),
        (units.parse_bytes, -5, "above 0, got -5", None),
        (units.parse_memory_cap, "lots", "cannot read 'lots'", '"none" for no cap'),
        (units.parse_bandwidth, "17.1 Gb/s", "cannot read '17.1 Gb/s' as a bandwidth", "GB/s"),
        (units.parse_bandwidth, "17.1 GiB/s", "cannot read", "GB/s"),
        (units.parse_bandwidth, "17.1", "cannot read", "GB/s"),
        (units.parse_bandwidth, "0.0 GB/s", "above 0, got '0.0 GB/s'", None),
        (units.parse_length, "2^7.15", "cannot read '2^7.15' as a length", '"2^12"'),
        (units.parse_length, True, "cannot read True", '"2^12"'),
        (units.parse_length, "9" * 5000, "cannot read", '"2^12"'),
        (units.parse_length, "0", "'0' is out of range", None),
        (units.parse_length, 0, "0 is out of range", None),
        (units.parse_length, "2^41", "out of range", None),
        (units.parse_length, "2^99", "out of range", None),
        (units.parse_length, -3, "-3 is out of range", None),
        (units.parse_lengths, "", "no lengths given", "2^7..2^15"),
        (units.parse_lengths, [], "no lengths given", "2^7..2^15"),
        (units.parse_lengths, "8..4", "descends: 8 to 4", 'write "4..8"'),
        (units.parse_lengths, "8..20", "misses 20", "end it at 16 or 32"),
        (units.parse_lengths, "128,64", "64 comes after 128", "sort them"),
        (units.parse_lengths, "64,64", "64 comes after 64", "drop repeats"),
        (units.parse_lengths, list(range(1, 300)), "299 lengths are too many", None),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_write(read, value, message, hint):
    with pytest.raises(UnitError) as caught:
        read(value)
    assert message in caught.value.message
    assert caught.value.hint is None if hint is None else hint in caught.value.hint


# ------------------------------------------------------------------------------- showing


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (78.1e-6, "78.1 µs"), (1.234e-3, "1.23 ms"), (4.56, "4.56 s"), (120.0, "120 s"),
        (999.6e-6, "1.00 ms"), (999.4e-6, "999 µs"), (0.9996, "1.00 s"),
        (0.0, "0 ns"), (-1.5e-3, "-1.50 ms"), (math.nan, "n/a"), (math.inf, "n/a"),
    ],
)  # fmt: skip
def test_a_time_shows_three_digits_and_a_fitting_unit(seconds, text):
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1023.7, "1.00 KiB"), (1024, "1.00 KiB"),
        (2**20 - 1, "1.00 MiB"), (1.5 * 2**30, "1.50 GiB"), (-2048, "-2.00 KiB"),
        (math.nan, "n/a"),
    ],
)  # fmt: skip
def test_bytes_show_a_binary_unit(count, text):
    assert units.format_bytes(count) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "–"), (950, "", "950"), (57_700, "", "57.7 k"), (1.5e6, "FLOP", "1.50 MFLOP"),
        (5, "token/s", "5 token/s"), (0.5, "FLOP", "0.500 FLOP"), (math.nan, "FLOP", "n/a FLOP"),
        (2048, "B", "2.00 KiB"), (2e-3, "s", "2.00 ms"), (999.6, "", "1.00 k"),
    ],
)  # fmt: skip
def test_a_metric_shows_in_its_own_unit(value, unit, text):
    assert units.format_value(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (0.2, "<1 s"), (8.2, "8 s"), (59.6, "1 min"), (200, "3 min 20 s"),
     (3600, "1 h 0 min"), (3900, "1 h 5 min"), (48 * 3600 - 60, "47 h 59 min"),
     (48 * 3600, "2 days"), (1441 * 3600, "60 days 1 h")],
)  # fmt: skip
def test_a_wait_shows_as_a_person_says_it(seconds, text):
    assert units.format_duration(seconds) == text


@given(st.floats(1e-9, 1e12), st.integers(2, 5))
def test_a_number_shows_its_first_digits_truly(value, digits):
    shown = float(units.format_number(value, digits).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_can_be_shown(value):
    for show in (units.format_seconds, units.format_bytes, units.format_count, units.format_ratio):
        assert show(value)


@pytest.mark.parametrize(
    ("lengths", "text"),
    [((128, 256, 512), "128..512"), ((128, 256), "128, 256"), ((1, 3, 32768), "1, 3, 32,768")],
)
def test_lengths_show_as_a_range_where_they_double(lengths, text):
    assert units.format_lengths(lengths) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (2.314, "2.31×"),
        (15.2, "15×"),
        (0.95, "0.950×"),
        (0.0107, "1/93"),
        (0.1, "0.100×"),
        (0.0, "0×"),
    ],
)
def test_a_ratio_shows_what_it_can_hold(ratio, text):
    assert units.format_ratio(ratio) == text


@pytest.mark.parametrize(("ratio", "text"), [(0.0107, "1/93 of"), (0.95, "0.950×"), (15.2, "15×")])
def test_a_ratio_far_below_one_is_a_part_of_something(ratio, text):
    assert units.format_times(ratio) == text


# ------------------------------------------------------------------------------- reading cells


@pytest.mark.parametrize("unit", ["s", "B", "FLOP/s", "B/s", "token/s", ""])
@given(value=st.floats(1e-2, 1e15))
def test_a_written_value_is_read_back(unit, value):
    assert units.read_value(units.format_value(value, unit)) == pytest.approx(
        value, rel=6e-3, abs=0.5
    )


@pytest.mark.parametrize(
    ("cell", "value"),
    [("~98 µs", 98e-6), ("≥ 32,768", 32768), ("4.3× [4.0, 4.7]", 4.3), ("+0.22%", 0.22),
     ("1/94", 1 / 94), ("≥ ~512", 512),
     ("-0.03 [-0.07, 0.01]", -0.03), ("3.5e-07", 3.5e-7), ("16.0 MiB", 16 * 2**20),
     ("128 (timeout)", 128), ("–", None), ("OOM", None), ("n log n", None), ("", None)],
)  # fmt: skip
def test_cells_of_every_kind_are_read(cell, value):
    assert units.read_value(cell) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(("text", "share"), [("3%", 0.03), ("0.5 %", 0.005), ("0", 0.0)])
def test_a_share_is_read_as_a_percentage(text, share):
    assert units.parse_share(text, "--margin") == pytest.approx(share)


@pytest.mark.parametrize(("text", "hint"), [("5", 'write "5%"'), ("0.5", 'write "0.5%" or "50%"')])
def test_a_share_without_its_sign_is_refused(text, hint):
    with pytest.raises(UnitError) as caught:
        units.parse_share(text, f"--allow flops={text}")
    assert caught.value.message == f"--allow flops={text}: the share lacks its percent sign"
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["wide", "-1%", "nan%", "inf%", "", "%", "1,5%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UnitError, match="--margin: cannot read"):
        units.parse_share(text, "--margin")


@pytest.mark.parametrize(("given", "seconds"), [("90", 90.0), ("2min", 120.0), ("1h 30 min", 5400)])
def test_an_option_that_takes_seconds_takes_a_time_with_its_unit(given, seconds):
    assert SecondsRange(1).convert(given, None, None) == seconds
