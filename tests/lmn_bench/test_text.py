"""Reports in terminals of any width: nothing is cut, and nothing broken into another thing."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from bench_helpers import run_info
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lmn_bench.cli import run_command_line
from lmn_bench.cli.reports import read_runs
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.layout import shared_out, words_of, wrapped
from lmn_bench.report.page import document_of
from lmn_bench.report.text import render_document
from lmn_bench.schema import LAWS
from lmn_bench.store import create_run

RESULTS = Path(__file__).parents[2] / "results"
RUNS = sorted(path.parent.name for path in RESULTS.glob("reference-*/run.json"))
WIDTHS = (20, 40, 60, 80, 140)
# A line that ends in the beginning of a law, and one that begins with its end.
BROKEN = re.compile(r"(?:\bn|\blog(?:\^2)?|\bsqrt) *\n *(?:log(?:\^2)? n|n\b(?! *=))")


@pytest.fixture(scope="module", params=RUNS)
def document(request):
    """The document of a run that is kept."""
    return document_of(read_runs([request.param], RESULTS))


@pytest.fixture(scope="module")
def screens(document):
    """What terminals of all widths show of it."""
    return {width: shown(document, width) for width in WIDTHS}


def shown(of, width):
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render_document(of, console), crop=False)
    return console.file.getvalue()


def squeezed(text):
    return re.sub(r"[\s─]", "", text)


def table_of(*rows, **how):
    return Document("t", "s", (), (Section("x", tables=(Table("", *rows[:1], rows[1:], **how),)),))


def test_every_cell_is_shown_whole_at_every_width(document, screens):
    for width, lines in screens.items():
        for section in document.sections:
            for table in section.tables:
                for cell in {cell for row in table.rows for cell in row}:
                    for piece in words_of(cell):
                        assert piece in lines, (width, cell)


def test_every_sentence_is_shown_whole_at_every_width(document, screens):
    for width, lines in screens.items():
        everything = squeezed(lines.replace("•", ""))
        for sentence in document.answers:
            assert squeezed(sentence) in everything, (width, sentence)


def test_no_law_of_a_sentence_is_broken_at_any_width(document):
    for width in WIDTHS:
        for sentence in document.answers:
            assert not BROKEN.search("\n".join(wrapped(sentence, width))), (width, sentence)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("how", [{"wraps": True}, {"whole": True}, {}])
def test_a_law_stands_on_one_line(law, how):
    of = table_of(("model", "law"), ("a-model-with-a-long-name", law), **how)
    for width in range(5, 60):
        assert any(law in line for line in shown(of, width).splitlines())


def test_a_name_is_shown_whole_where_the_terminal_is_narrower_than_it():
    name = "scaling-20261123-095113-and-more"
    of = table_of(("name", "records"), (name, "1,234"), wraps=True)
    assert name in shown(of, 20)
    assert "records: 1,234" in shown(of, 20)


def test_a_value_keeps_its_unit():
    assert words_of("1,070 µs against 57.4 → 60.3 ms, +0.5 %, in 64 MiB") == [
        "1,070 µs", "against", "57.4", "→", "60.3 ms,", "+0.5 %,", "in", "64 MiB",
    ]  # fmt: skip


def test_what_a_cell_holds_is_shown_not_obeyed():
    of = table_of(("model", "reason"), ("m", "red \x1b[31m line\nbreak \udcff"), wraps=True)
    assert r"red \x1b[31m line break \xff" in shown(of, 80)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=6),
    st.integers(0, 200),
)
def test_columns_share_the_room_there_is_and_none_gets_less_than_it_needs(columns, available):
    least = [need for need, _ in columns]
    natural = [need + more for need, more in columns]
    widths = shared_out(natural, least, available)
    if widths is None:
        assert sum(least) > available
        return
    assert sum(widths) == min(available, sum(natural))
    assert all(low <= one <= high for low, one, high in zip(least, widths, natural, strict=True))


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("what", ["suites", "models", "modes", "metrics", "devices", "runs"])
def test_lists_show_every_name_whole(tmp_path, monkeypatch, capsys, what, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for name in ("smoke-1", "reference-scaling-of-a-long-name-20261123-095113"):
        create_run(tmp_path, run_info(run_id=name))
    assert run_command_line(["list", what, "--results", str(tmp_path), "--json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert run_command_line(["list", what, "--results", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert len(names) > 1
    assert all(name in told for name in names)
