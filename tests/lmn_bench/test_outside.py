"""A run that is full of hostile text, in every form that a command writes."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from bench_helpers import case, environment, failed, ok, run_info, series
from markdown_it import MarkdownIt
from test_safe import PIECES, is_shown

from lmn_bench.analysis.results import result_set
from lmn_bench.cli import run_command_line
from lmn_bench.cli.console import stdout_console
from lmn_bench.errors import UsageError
from lmn_bench.report.build import RunResults
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.page import csv_of, document_of, json_of, page_of
from lmn_bench.report.text import render_document
from lmn_bench.report.vega import picture
from lmn_bench.schema import NoiseWarning, Outcome
from lmn_bench.store import RecordWriter, create_run

HOSTILE = "=1 " + " ".join(PIECES)


def told(name):
    """A run all of whose words are somebody else's, and its records."""
    warning = NoiseWarning(HOSTILE, HOSTILE, HOSTILE)
    host = environment(
        hostname=HOSTILE, cpu_model=HOSTILE, os=HOSTILE, kernel=HOSTILE, python=HOSTILE,
        torch=HOSTILE, git_commit=HOSTILE, governor=HOSTILE, warnings=(warning,),
    )  # fmt: skip
    info = run_info(run_id=name, environment=host, command=("lmn-bench", HOSTILE))
    records = [
        *series("lmn", lambda n: 1e-5 * n), *series(HOSTILE, lambda n: 1e-6 * n * n),
        failed(case(HOSTILE, length=4096), Outcome.ERROR, HOSTILE),
    ]  # fmt: skip
    return info, records


@pytest.fixture(scope="module")
def raw():
    """The run as nothing has cleaned it: it was never in a file."""
    info, records = told(HOSTILE)
    return RunResults(info, result_set(records), records, len(records))


@pytest.fixture(scope="module")
def document(raw):
    return document_of([raw])


def test_in_a_terminal(document, capsys):
    console = stdout_console()
    console.print(render_document(document, console))
    out = capsys.readouterr().out
    assert is_shown(out)
    assert r"\x1b" in out


def test_in_markdown(document):
    text = render_markdown(document, {chart.key: f"{HOSTILE}.svg" for chart in document.charts})
    assert is_shown(text)
    parsed = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inside = [one for token in parsed for one in token.children or ()]
    kinds = {token.type for token in [*parsed, *inside]}
    assert not kinds & {"html_block", "html_inline", "link_open", "code_inline", "fence", "hr",
                        "code_block", "blockquote_open", "ordered_list_open", "s_open"}  # fmt: skip
    titles = 1 + sum(1 for line in text.splitlines() if line.startswith("## "))
    assert sum(token.type == "heading_open" for token in parsed) == titles
    said = " ".join(one.content for one in inside if one.type != "image")
    assert not re.search(r"(?<!\w)@\w|#[0-9]|://|:on:", said)


class Page(HTMLParser):
    """The tags of a page, and what its elements say."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.said = [("html", {})], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said += data if self.tags[-1][0] not in {"script", "style"} else ""


def test_on_a_page(raw, document):
    text = page_of([raw], document)
    page = Page(text)
    assert is_shown(page.said)
    assert [tag for tag, _ in page.tags].count("script") == 3
    written = [value for _, attrs in page.tags for value in attrs.values() if value]
    assert all(map(is_shown, written))
    assert is_shown(text.partition('id="charts">')[2].partition("</script>")[0])


def test_as_csv(raw):
    text = csv_of([raw])
    assert is_shown(text)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert any(row["subject"].startswith("'=1") for row in rows)
    for row in rows:
        for name in ("case_id", "subject", "mode", "dtype", "outcome", "reason"):
            assert not re.match(r"[=+\-@\t\r\n]", row[name])
        assert row["median"] == "" or float(row["median"]) >= 0


def test_as_json(raw):
    text = json_of([raw])
    assert is_shown(text)
    assert json.loads(text)["run"]["environment"]["cpu_model"].startswith("=1 \x1b[31m")


def test_as_a_picture(document):
    # Drawn by a library that ends the process over a control character: a PNG is an SVG first.
    drawn = ET.fromstring(picture(document.charts[0], "svg"))
    assert r"\x1b[31m" in "".join(drawn.itertext())


# ------------------------------------------------------------------------------- commands


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run folders with the same text in their files, and one with a hostile name."""
    folder = tmp_path_factory.mktemp("outside") / "results"
    for name in ("hostile", "same", "a:on:b [red]\x1b[31m \u202e$(touch x)"):
        info, records = told(name)
        with RecordWriter(create_run(folder, info)) as writer:
            for record in [*records, ok(case("gru"))]:
                writer.append(record)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("report", "hostile"), ("report", "hostile", "--format", "md"), ("show", "hostile"),
        ("report", "hostile", "--format", "csv"), ("report", "hostile", "--json"),
        ("report", "a:on"), ("show", "hostile", "--json"), ("list", "runs"),
        ("list", "runs", "--json"), ("compare", "hostile", "same", "--json"), (HOSTILE,),
        ("report", HOSTILE),
        ("report", "hostile", "--format", HOSTILE), ("report", "--reference", HOSTILE),
        ("baseline", "save", HOSTILE), ("report", "hostile", "-o", "/nowhere/" + HOSTILE),
    ],
    ids=lambda words: ascii(" ".join(words))[:40],
)  # fmt: skip
def test_commands_write_nothing_that_is_obeyed(results, capsys, monkeypatch, words):
    monkeypatch.setenv("LMN_BENCH_RESULTS", str(results))
    assert run_command_line(words) in {0, 1, 2, 5}
    out, err = capsys.readouterr()
    assert is_shown(out)
    assert is_shown(err)
    assert "Traceback" not in err


def test_a_name_in_colons_is_no_picture_and_no_markup(results, capsys, monkeypatch):
    monkeypatch.setenv("LMN_BENCH_RESULTS", str(results))
    run_command_line(["list", "runs"])
    out = capsys.readouterr().out
    assert "a:on:b" in out
    assert r"[red]\x1b[31m" in out


def test_a_name_that_a_shell_would_run_is_not_completed(results, monkeypatch):
    from click.shell_completion import ShellComplete

    from lmn_bench.cli import COMPLETE_VARIABLE, lmn_bench

    monkeypatch.setenv("LMN_BENCH_RESULTS", str(results))
    shell = ShellComplete(lmn_bench, {}, "lmn-bench", COMPLETE_VARIABLE)
    assert [item.value for item in shell.get_completions(["report"], "")] == ["same", "hostile"]


def test_an_error_of_several_lines_cannot_pass_for_a_hint(capsys, monkeypatch):
    def fail(*_args, **_how):
        raise UsageError("no such thing: a\nhint: run me")

    monkeypatch.setattr("lmn_bench.cli.lmn_bench.main", fail)
    run_command_line(["list", "runs"])
    assert not re.search("^hint: run me", capsys.readouterr().err, flags=re.MULTILINE)
