"""`lmn-bench fit`: anyone's measurements, and every way in which they can be wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from law_helpers import OCTAVES, table, truth

from lmn_bench.cli import run_command_line
from lmn_bench.schema import LAWS


@pytest.fixture
def fit(capsys, tmp_path):
    """Fit a file of this content: (exit code, stdout, stderr)."""

    def run(content, *options, x="n", y="time"):
        path = tmp_path / "data.csv"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)
        code = run_command_line(["fit", str(path), "--x", x, "--y", y, *options])
        out, err = capsys.readouterr()
        return int(code), out, err

    return run


def csv_of(groups, *, separator=",", processes=5):
    """Rows of n, time, model and run; a group is a law and its noise."""
    lines = [separator.join(("n", "time", "model", "run"))]
    for name, (law, noise) in groups.items():
        values = table(truth(law, OCTAVES), noise, processes)
        for i, n in enumerate(OCTAVES):
            for run in range(processes):
                lines.append(separator.join((str(n), f"{values[run, i]:.9g}", name, f"r{run}")))
    return "\n".join(lines) + "\n"


GROUPS = {"tree": ("log n", 0.01), "plain": ("n", 0.01), "flat": ("constant", 0.01)}


def test_the_json_is_the_contract(fit):
    code, out, err = fit(csv_of(GROUPS), "--group", "model", "--process", "run", "--json")
    assert (code, err) == (0, "")
    found = {group["name"]: group for group in json.loads(out)["groups"]}
    assert list(found) == list(GROUPS)
    for name, (law, _) in GROUPS.items():
        group = found[name]
        assert group["plausible"] == [law]
        assert group["decided"] is True
        assert set(group["exponent"]) == {"estimate", "low", "high"}
        assert group["exponent"]["low"] <= group["exponent"]["estimate"]
        assert group["range"] == [OCTAVES[0], OCTAVES[-1]]
        assert group["warnings"] == []


WILD = [(k, 10.0 ** ((k * 7919) % 280 - 140)) for k in range(1, 9)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(n, 5) for n in (1, 2, 4, 8, 16)], "stays flat within the noise"),
        ([(n * 10**12, n) for n in (1, 2, 4, 8, 16)], "grows 16×"),
        ([(f"{n}e148", f"{n}e149") for n in (1, 2, 4, 8)], "From 1e+148 to 8e+148"),
        ([(f"{1.1**n:.4f}", 1.1**n) for n in range(12)], "From 1 to 2.85: n"),
        (WILD, "From 1 to 8"),
    ],
    ids=["all equal", "large x", "huge", "not whole", "wild"],
)
def test_numbers_of_any_size_are_judged_and_never_end_in_a_traceback(fit, rows, words):
    content = "n,time\n" + "".join(f"{x},{y}\n" for x, y in rows for _ in range(4))
    code, out, err = fit(content)
    assert (code, "Traceback" in err) == (0, False)
    assert words in " ".join(out.split())


def test_very_many_lengths_are_judged(fit):
    content = "n,time\n" + "".join(f"{n},{n + k}\n" for n in range(1, 400) for k in range(3))
    code, out, _ = fit(content, "--json")
    (group,) = json.loads(out)["groups"]
    assert code == 0
    assert "n" in group["plausible"]


def test_a_person_gets_a_table_and_a_sentence_per_group(fit):
    code, out, err = fit(csv_of(GROUPS), "--group", "model", "--process", "run")
    assert (code, err) == (0, "")
    assert "grows like" in out
    for name, (law, _) in GROUPS.items():
        flat = " ".join(out.split())
        assert f"{name}: " in flat
        assert f"From 128 to 131,072: {law}" in flat
    assert all(len(line) <= 80 for line in out.splitlines())


def test_without_groups_the_one_group_has_the_name_of_y(fit):
    code, out, _ = fit(csv_of({"one": ("n", 0.01)}), "--json")
    assert code == 0
    assert [group["name"] for group in json.loads(out)["groups"]] == ["time"]


def test_rows_without_a_process_are_taken_for_independent_and_that_is_said_once(fit):
    code, out, err = fit(csv_of(GROUPS), "--group", "model")
    assert code == 0
    assert err.count("independent processes") == 1
    assert "--process" in err
    assert "warning" not in out


def test_rows_of_one_process_count_as_one(fit):
    repeated = "n,time,run\n" + "".join(
        f"{n},{n * (1 + 0.001 * k)},only\n" for n in OCTAVES for k in range(5)
    )
    code, out, _ = fit(repeated, "--process", "run", "--json")
    (group,) = json.loads(out)["groups"]
    assert code == 0
    assert group["decided"] is False
    assert any("one process" in warning for warning in group["warnings"])


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_understood(fit, separator):
    code, out, _ = fit("\ufeff" + csv_of({"one": ("n", 0.01)}, separator=separator), "--json")
    assert code == 0
    assert json.loads(out)["groups"][0]["plausible"] == ["n"]


def test_none_of_these_is_an_empty_set(fit):
    rows = "n,time\n" + "".join(
        f"{n},{n * (1.5 if i % 2 else 1) * (1 + 0.01 * k)}\n"
        for i, n in enumerate(OCTAVES)
        for k in range(4)
    )
    _, out, _ = fit(rows, "--json")
    (group,) = json.loads(out)["groups"]
    assert (group["plausible"], group["decided"]) == ([], False)


def test_rows_that_lack_a_value_are_left_out_with_their_numbers(fit):
    rows = csv_of({"one": ("n", 0.01)}).splitlines()
    rows.insert(1, "4096,,one,r9")
    rows.insert(3, "4096,NaN,one,r9")
    code, _, err = fit("\n".join(rows), "--process", "run")
    assert code == 0
    assert "left out, as they lack a value: rows 2, 4" in err


def test_a_group_with_too_few_lengths_excludes_nothing(fit):
    content = csv_of({"one": ("n", 0.01)}) + "1,1,two,r0\n2,2,two,r0\n"
    code, out, _ = fit(content, "--group", "model", "--process", "run", "--json")
    one, two = json.loads(out)["groups"]
    assert code == 0
    assert one["decided"] is True
    assert (two["plausible"], two["decided"], two["exponent"]) == (list(LAWS), False, None)
    assert "2 distinct values of n" in two["warnings"][0]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", (), "is empty"),
        ("n,time\n", (), "no rows"),
        ("n,time\n1,2\n2,abc\n4,x\n", (), "time, row 3: 'abc' is not a finite number (and 1 more"),
        ("n,time\n1,2\n2,inf\n", (), "time, row 3: 'inf' is not a finite number"),
        ("n,time\n1,2\n0,3\n", (), "n, row 3: '0' is not above 0"),
        ("n,time\n1,2\n-4,3\n", (), "n, row 3: '-4' is not above 0"),
        ("n,time\n1,0\n", (), "time, row 2: '0' is not above 0"),
        ("n,time\n0.5,2\n", (), "give n in a smaller unit"),
        ("n,time\n1,2\n2,3\n", (), "no group has 3 distinct values of n"),
        ("n,time\n1,\n,3\n", (), "no row with both n and time"),
        ("n,time,time\n1,2,3\n", (), "'time' stands twice"),
        ("n,tine\n1,2\n", (), "did you mean 'tine'?"),
        ("n,time\n1,2\n", ("--group", "modle"), "unknown column for --group 'modle'"),
        ("n,time\n1,2\n", ("--process", "n"), "--x and --process are the same column"),
        ("n,time\n1,2\n2,3,4,5\n", (), "row 3: 4 cells ('2' | '3' | '4' | '5'), the header has 2"),
        (bytes(range(256)), (), "is not UTF-8: byte 0x80"),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_2_and_is_told(fit, content, options, words):
    code, out, err = fit(content, *options)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_file_that_cannot_be_read_is_told(capsys, tmp_path, name):
    code = run_command_line(["fit", str(tmp_path / name), "--x", "n", "--y", "time"])
    assert code == 2
    assert "cannot read" in capsys.readouterr().err


def test_noise_is_judged_by_the_spread_of_processes_not_by_their_levels(fit):
    levels = np.array([1.0, 1.6, 0.7, 1.2, 2.0])[:, None]
    values = levels * table(truth("n log n", OCTAVES), 0.01)
    rows = "n,time,run\n" + "".join(
        f"{n},{values[r, i]},r{r}\n" for i, n in enumerate(OCTAVES) for r in range(5)
    )
    _, out, _ = fit(rows, "--process", "run", "--json")
    (group,) = json.loads(out)["groups"]
    assert (group["plausible"], group["decided"]) == (["n log n"], True)
    _, out, _ = fit(rows, "--json")
    assert json.loads(out)["groups"][0]["decided"] is False
