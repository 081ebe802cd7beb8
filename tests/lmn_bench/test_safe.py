"""Text of any kind comes out of every target as text: parsed back where there is a parser."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table
from rich.text import Text

from lmn_bench import safe
from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.escapes import encodable, loads_printable, printable

# All of Unicode, halves of characters included; and what is more than the sum of its characters.
PIECES = (
    "\x1b[31m", "\x1b]0;x\x07", "\x9b2J", "\r", "\r\n# ", "\n", "\t", "[bold]", ":on:", "@all",
    "#12", "GH-3", "https://x.example", "www.x.example", "a@b.example", "</script>", "<!--", "&lt;",
    "`", "``", "~~~", "```\n", "- ", "1. ", "---", "===", "> ", "| ", "\\", "*", "_", "![", "](x)",
    "$x$", "=1+1", "+1", "-1", "@SUM", "'", "::error::", "##[add-mask]", "%0A", ",", ":", "\u202e",
    "\u200b", "\udcff", "\ufe0f", "\U000e0041", "    code", "\\x1b",
)  # fmt: skip
anything = st.text(st.characters(exclude_categories=()), max_size=30)
hostile = st.lists(st.one_of(st.sampled_from(PIECES), anything), max_size=8).map("".join)
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)
# Each of these examples is parsed several times over.
few = settings(max_examples=50)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def is_shown(text):
    return OBEYED.search(text) is None and text.encode().decode() == text


def test_no_character_of_unicode_is_obeyed():
    assert is_shown(safe.terminal("".join(map(chr, range(0x110000)))))


@given(hostile)
def test_a_terminal_gets_nothing_that_it_would_obey(text):
    shown = safe.terminal(text)
    assert is_shown(shown)
    assert safe.terminal(shown) == shown
    assert is_shown(line := safe.terminal_line(text))
    assert not {"\n", "\t"} & {*line}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200bb", r"a\u200bb"), ("\xad", r"\xad"), ("a\U000e0041", r"a\U000e0041"),
        ("\udcff", r"\xff"), ("⚠\ufe0f", "⚠\ufe0f"), ("a\ufe0f", r"a\ufe0f"),
        ("naïve 数", "naïve 数"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_told(text, shown):
    assert safe.terminal(text) == shown


# ------------------------------------------------------------------------------- the console

ROUGH = "[red]:on: \x1b[31mx\x9b2J \u202e\u200b\udcff"
SMOOTH = r"[red]:on: \x1b[31mx\x9b2J \u202e\u200b\xff"


def boxed(text):
    table = Table(box=None)
    table.add_column(Text("t"), no_wrap=True, overflow="ignore")
    table.add_row(text)
    return table


@pytest.mark.parametrize("make", [str, Text, boxed])
@pytest.mark.parametrize("console", [stdout_console, stderr_console])
def test_whatever_is_printed_is_shown_as_it_is(capsys, make, console):
    console().print(make(ROUGH), soft_wrap=True)
    said = "".join(capsys.readouterr())
    assert SMOOTH in said
    assert is_shown(said)


def test_a_line_in_the_log_of_an_action_is_no_command(capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    stderr_console().print(Text("::add-mask::a\n  ::error::b ##[group]c\nmod::name 1::2"))
    said = capsys.readouterr().err
    assert not re.search(r"^\s*::|##\[", said, flags=re.MULTILINE)
    assert r"\x3a:add-mask::a" in said
    assert "mod::name 1::2" in said


# ------------------------------------------------------------------------------- data


@given(hostile)
def test_json_is_the_same_data_and_can_be_looked_at(text):
    for ascii_only in (True, False):
        written = safe.json_text({text: [text, 1.5, None]}, ascii_only=ascii_only)
        assert is_shown(written)
        assert json.loads(written) == {encodable(text): [encodable(text), 1.5, None]}


def test_json_on_stdout_has_no_control_characters(capsys):
    print_json({"a": "\x9b2J\x7f\u202e"})
    out = capsys.readouterr().out
    assert is_shown(out)
    assert json.loads(out) == {"a": "\x9b2J\x7f\u202e"}


def test_what_others_wrote_into_a_record_as_it_is_comes_back_shown():
    assert loads_printable('{"a": "\x9b2J\u202e"}') == {"a": r"\x9b2J\u202e"}


@given(st.lists(hostile, min_size=1, max_size=3))
def test_no_cell_of_a_csv_is_a_formula_and_the_text_comes_back(texts):
    file = io.StringIO()
    csv.writer(file).writerow([safe.csv_cell(text) for text in texts])
    (cells,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r\n＝＋－＠]", cell)]
    assert is_shown(file.getvalue().replace("\r\n", ""))
    assert [cell.removeprefix("'") for cell in cells] == [printable(text) for text in texts]


@pytest.mark.parametrize("number", [-1.5, 3, None, True])
def test_numbers_in_a_csv_stay_numbers(number):
    assert safe.csv_cell(number) is number


# ------------------------------------------------------------------------------- markup


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


PAGE = jinja2.Environment(autoescape=True, finalize=safe.html).from_string(
    '<p title="{{ text }}">{{ text }}</p>'
)


@given(hostile)
def test_a_page_holds_the_text_and_no_other_element(text):
    page = Tags(PAGE.render(text=text))
    assert page.tags == [("p", {"title": printable(text)})]
    assert page.text == printable(text)


@given(hostile)
def test_data_in_a_script_cannot_leave_it(text):
    written = safe.script_json([text])
    assert is_shown(written)
    assert not {"<", ">", "&"} & {*written}
    assert json.loads(written) == [printable(text)]


@given(hostile)
def test_text_in_xml_comes_back(text):
    element = ET.Element("a", {"b": safe.xml(text)})
    element.text = safe.xml(text)
    read = ET.fromstring(ET.tostring(element, "unicode").encode())
    assert (read.text or "") == read.get("b") == printable(text)


def nodes(tokens):
    for token in tokens:
        yield token
        yield from nodes(token.children or ())


def words(text):
    return re.sub("[ \t\n]+", " ", printable(text)).strip(" ")


# What GitHub makes links and pictures of in the text that is left of Markdown.
CALLED = re.compile(
    r"(?<!\w)@\w|@[\w-]+\.|\#[0-9]|\bgh-[0-9]|://|\bwww\.|:(?:[+-]1|[a-z0-9_]*[a-z][\w+-]*):",
    re.IGNORECASE | re.ASCII,
)


@few
@given(hostile)
def test_text_in_markdown_is_text_and_calls_nobody(text):
    written = safe.markdown(text)
    for around in ("{}", "# {}", "* {}", "a\n\n{}\n\nb"):
        source = around.format(written)
        parsed = list(nodes(MARKDOWN.parse(source)))
        plain = [*nodes(MARKDOWN.parse(around.format("x")))]
        kinds = [token.type for token in parsed if token.type != "text_special"]
        if written:
            assert [k for k in kinds if k != "text"] == [t.type for t in plain if t.type != "text"]
    said = "".join(t.content for t in nodes(MARKDOWN.parse(f"# {written}")) if t.type in
                   {"text", "text_special"})  # fmt: skip
    assert said.replace("\u200b", "") == words(text)
    assert CALLED.search(said) is None
    assert "\n" not in written
    assert is_shown(written)


@few
@given(hostile, hostile)
def test_a_row_of_markdown_has_as_many_cells_as_it_was_given(one, other):
    cells = [safe.markdown(one), safe.markdown(other)]
    table = f"| a | b |\n| :-- | --: |\n| {' | '.join(cells)} |\n\nend"
    parsed = [token.type for token in MARKDOWN.parse(table)]
    assert parsed.count("td_open") == parsed.count("th_open") == 2
    assert parsed[-3:] == ["paragraph_open", "inline", "paragraph_close"]


@few
@given(hostile, st.integers(1, 40))
def test_bounded_markdown_is_cut_between_its_escapes(text, most):
    whole, cut = safe.markdown(text), safe.markdown(text, most)
    assert len(cut) <= most
    assert cut == whole or (cut[-1] == "…" and whole.startswith(cut[:-1]))
    shown = "".join(t.content for t in nodes(MARKDOWN.parse(f"# {cut}")) if "text" in t.type)
    said = shown.replace("\u200b", "").removesuffix("…").rstrip(" ")
    assert words(text).startswith(said)


@few
@given(hostile)
def test_a_command_in_markdown_is_code(text):
    parsed = [*nodes(MARKDOWN.parse(f"x {safe.markdown_code(text + '.', 200)} y"))]
    assert [t.type for t in parsed if t.type not in {"text", "inline"}] == [
        "paragraph_open", "code_inline", "paragraph_close",
    ]  # fmt: skip


def test_neither_title_nor_path_of_a_picture_ends_it():
    title = r"x](y) \] [z]"
    path = safe.markdown_address("a (1)<>|]\n\udcff-charts/y.svg")
    parsed = nodes(MARKDOWN.parse(f"![{safe.markdown_label(title)}]({path})"))
    (picture,) = [token for token in parsed if token.type == "image"]
    assert "".join(token.content for token in picture.children) == title
    assert picture.attrs["src"] == "a%20%281%29%3C%3E%7C%5D%0A%FF-charts/y.svg"


# ------------------------------------------------------------------------------- annotations


def read_command(line):
    """As GitHub's runner reads a command (ActionCommand.TryParseV2)."""
    head, _, data = line.removeprefix("::").partition("::")
    level, _, properties = head.partition(" ")
    named = dict(one.split("=", 1) for one in properties.split(","))
    for code, sign in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        named = {name: value.replace(code, sign) for name, value in named.items()}
        data = data if code in {"%3A", "%2C"} else data.replace(code, sign)
    return level, named, data


@given(hostile, hostile)
def test_an_annotation_is_one_line_with_its_title_and_message(title, message):
    line = safe.annotation("error", title, message)
    assert is_shown(line)
    assert "\n" not in line
    assert read_command(line) == ("error", {"title": printable(title)}, printable(message))
