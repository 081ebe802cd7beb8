"""Files that commands write: what their names promise, and a verdict that outlives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench_helpers import case, failed, ok, run_info
from gate_helpers import cases, measured

from lmn_bench.cli import run_command_line
from lmn_bench.schema import Outcome
from lmn_bench.store import RecordWriter, create_run

HOSTILE = (
    "nul \0 red \x1b[31m name \udcff turned \u202e | a bar </script><b> `code` \u2028 "
    + "x" * 1_000_000
    + "\nlast line"
)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder in an empty folder: base, the same again, slower, and hostile."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results"
    store(folder, "base", measured(cases(), seed=1))
    store(folder, "same", measured(cases(), seed=2))
    store(folder, "slow", measured(cases(), factor=1.3, seed=3))
    store(folder, "hostile", [ok(case()), failed(case("gru"), Outcome.ERROR, HOSTILE)])
    return folder


def store(folder, name, records):
    with RecordWriter(create_run(folder, run_info(run_id=name))) as writer:
        for record in records:
            writer.append(record)


def cli(capsys, *words):
    code = int(run_command_line([str(word) for word in words]))
    out, err = capsys.readouterr()
    return code, out, err


# --------------------------------------------------------------------------------- names of files


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["report", "base", "-o", "x.pdf"],
            "let it end in .txt, .html, .htm, .md, .markdown, .csv or .json",
        ),
        (["report", "base", "-o", "x.html.gz"], "nothing is written as .gz here"),
        (["report", "base", "-o", "x.md", "--format", "html"], "ask for two forms"),
        (["report", "base", "-o", "x.md", "--json"], "ask for two forms"),
        (["report", "base", "--format", "csv", "--json"], "are both given"),
        (["compare", "base", "slow", "--html", "x.md"], "let it end in .html or .htm"),
        (["compare", "base", "slow", "--markdown", "x.pdf"], "let it end in .md or .markdown"),
        (["compare", "base", "slow", "--junit", "x.json"], "let it end in .xml"),
        (["ab", "--base", "HEAD", "--junit", "x.json"], "let it end in .xml"),
        (["size", "--context", "1K", "--html", "x.pdf"], "let it end in .html or .htm"),
        (["size", "--context", "1K", "--markdown", "x.html"], "let it end in .md or .markdown"),
        (["profile", "lmn", "--mode", "decode", "--length", "8", "-o", "x.csv"], ".html, .htm"),
        (["train", "-o", "x.pt"], "let it end in .safetensors"),
        (["train", "-o", "-"], "a file is named here"),
        (["compare", "base", "slow", "--html", "-"], "write --html /dev/stdout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_ending_that_promises_another_form_is_refused(results, capsys, words, told):
    code, out, err = cli(capsys, *words)
    assert (code, out) == (2, "")
    assert told in err
    assert not [*Path().glob("x.*"), *Path().glob("-")]


def test_a_form_that_is_asked_for_by_name_may_end_in_anything_unknown(results, capsys):
    assert cli(capsys, "report", "base", "--format", "csv", "-o", "x.data")[0] == 0
    assert Path("x.data").read_text().startswith("case_id,")


def test_a_dash_is_standard_output_for_a_report(results, capsys):
    code, out, _ = cli(capsys, "report", "base", "--format", "csv", "-o", "-")
    assert (code, out[:8]) == (0, "case_id,")
    assert not Path("-").exists()


@pytest.mark.parametrize("read", [True, False])
def test_the_device_of_standard_output_may_be_a_pipe(results, read):
    end, writing = os.pipe()
    if not read:
        os.close(end)
    words = ["compare", "base", "slow", "--junit", "/dev/stdout"]
    with subprocess.Popen(
        [sys.executable, "-m", "lmn_bench", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(writing)
        if read:
            with os.fdopen(end, "rb") as reader:
                assert b"<testsuite" in reader.read()
        assert process.stderr is not None
        assert b"is not written" not in process.stderr.read()
    assert process.returncode == 1


# --------------------------------------------------------------------------------- verdicts


def test_a_verdict_outlives_a_file_that_cannot_be_written(results, capsys, monkeypatch):
    full = Path("/dev/full")
    code, out, err = cli(capsys, "compare", "base", "slow", "--markdown", full, "--html", "c.html")
    assert code == 1
    assert "/dev/full is not written" in err
    assert "regression" in out
    assert Path("c.html").is_file()


def test_a_pass_whose_file_cannot_be_written_ends_in_2(results, capsys):
    code, out, _ = cli(capsys, "compare", "base", "same", "--markdown", "/dev/full")
    assert code == 2
    assert out.startswith("same against base")


def test_files_are_written_where_nobody_reads_the_output(results, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    words = ["compare", "base", "slow", "--json", "--markdown", "c.md", "--html", "c.html",
             "--junit", "c.xml"]  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", os.fdopen(writing, "w", closefd=False))
        assert run_command_line(words) == 1
    os.close(writing)
    assert all(Path(f"c.{ending}").stat().st_size for ending in ("md", "html", "xml"))


# --------------------------------------------------------------------------------- hostile text


@pytest.mark.parametrize("form", ["text", "html", "md", "csv", "json"])
def test_a_report_survives_what_a_model_raised(results, capsys, form):
    code, out, _ = cli(capsys, "report", "hostile", "--format", form)
    assert code == 0
    out.encode()
    assert "\x1b" not in out
    assert "\0" not in out
    assert "</script><b>" not in out or form != "html"


def test_a_table_of_markdown_keeps_its_columns_whatever_a_model_raised(results, capsys):
    _, out, _ = cli(capsys, "report", "hostile", "--format", "md")
    (line,) = [line for line in out.splitlines() if "a bar" in line and line.startswith("|")][:1]
    assert r"turned \\u202e \| a bar" in line
    assert "last line" in line or "…" in line


def test_show_tells_a_hostile_record_as_json(results, capsys):
    code, out, _ = cli(capsys, "show", "hostile", "--case", "gru", "--json")
    (record,) = json.loads(out)["records"]
    assert code == 0
    assert record["reason"].startswith(r"nul \x00 red  name \xff turned \u202e | a bar")


def test_a_comparison_survives_what_a_model_raised(results, capsys):
    store(results, "fine", [ok(case()), ok(case("gru"))])
    words = ["--junit", "c.xml", "--markdown", "c.md", "--html", "c.html"]
    code, _, _ = cli(capsys, "compare", "fine", "hostile", *words)
    assert code in (1, 4, 5)
    assert all(Path(f"c.{ending}").stat().st_size for ending in ("md", "html", "xml"))


# --------------------------------------------------------------------------------- names, no UTF-8


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "\udcff.toml"],
        ["run", "--suite", "\udcff.toml"],
        ["run", "--models", "\udcff:make"],
        ["run", "--suite", "language-quick", "--corpus", "/\udcff"],
        ["train", "--corpus", "/\udcff"],
        ["train", "--config", "\udcff.toml"],
        ["train", "-o", "no/\udcff.safetensors"],
        ["generate", "\udcff.safetensors", "--prompt", "x"],
        ["fit", "\udcff.csv", "--x", "a", "--y", "b"],
        ["report", "\udcff"],
        ["report", "base", "-o", "no/\udcff.html"],
        ["report", "base", "-o", "\udcff.pdf"],
        ["show", "\udcff"],
        ["compare", "base", "\udcff"],
        ["ab", "--base", "\udcff"],
        ["baseline", "show", "\udcff"],
        ["size", "--context", "1K", "--from", "\udcff"],
        ["profile", "\udcff:make", "--mode", "decode", "--length", "8"],
        ["list", "\udcff"],
        ["\udcff"],
    ],
    ids=lambda words: ascii(" ".join(words)),
)
def test_a_name_that_is_no_utf8_is_escaped_in_the_error(results, capsys, words):
    subprocess.run(["git", "init", "-q"], check=True)
    code, _, err = cli(capsys, *words)
    assert code == 2
    assert "xff" in err or "udcff" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("ending", ["html", "md", "csv", "json", "txt"])
def test_files_and_folders_whose_names_are_no_utf8_work(results, capsys, ending):
    results.rename("res\udcff")
    code, _, err = cli(capsys, "report", "base", "--results", "res\udcff", "-o", f"\udcff.{ending}")
    assert code == 0
    assert rf"wrote \xff.{ending}" in err
    assert Path(f"\udcff.{ending}").read_bytes().decode()
    assert cli(capsys, "list", "runs", "--results", "res\udcff", "--json")[0] == 0
    assert cli(capsys, "show", "res\udcff/base", "--json")[0] == 0
