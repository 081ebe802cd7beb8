"""The page: what it holds, that it needs nothing else, and that data never become markup."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
import statistics
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from bench_helpers import case, environment, failed, ok, run_info, series
from test_report import CAPPED, COMPLETE, RUNS, flat, linear

from lmn_bench.analysis.results import result_set
from lmn_bench.cli.outputs import Saved
from lmn_bench.cli.reports import read_runs, save_page
from lmn_bench.errors import ReportError
from lmn_bench.escapes import printable
from lmn_bench.report.build import RunResults, run_labels
from lmn_bench.report.html import PAGE_COLOURS
from lmn_bench.report.page import csv_of, document_of, json_of, page_of
from lmn_bench.safe import script_json
from lmn_bench.schema import NoiseWarning, Outcome

ROOT = Path(__file__).resolve().parents[2]
NASTY = "<script>alert(1)</script>:x\"'&\u2028"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """The elements of a page: tags with their attributes, and the text of each script."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.scripts, self.open, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def charts(self):
        """The specifications of every chart, one per panel."""
        found = json.loads(self.scripts[0])["charts"]
        return {
            key: [{**chart["spec"], "datasets": data} for data in chart["data"]]
            for key, chart in found.items()
        }


def run_of(records, **info):
    return RunResults(run_info(**info), result_set(records), records, len(records))


def page(records, **info):
    return Page(page_of([run_of(records, **info)]))


@pytest.fixture(scope="module")
def complete():
    return page(COMPLETE)


def downloaded(found, name):
    (link,) = [a for a in found.of("a") if a.get("data-plain", "").endswith(name)]
    packed = link["href"].removeprefix("data:application/gzip;base64,")
    return gzip.decompress(base64.b64decode(packed)).decode()


# ------------------------------------------------------------------------------- structure


@pytest.mark.parametrize("name", list(RUNS))
def test_every_kind_of_run_has_a_page(name):
    found = page(RUNS[name])
    assert found.open == []
    assert json.loads(downloaded(found, ".json"))
    for answer in document_of([run_of(RUNS[name])]).answers:
        assert " ".join(answer.split()) in found.text


def test_a_page_has_a_language_a_title_one_main_heading_and_distinct_ids(complete):
    assert complete.of("html")[0]["lang"] == "en"
    assert len(complete.of("title")) == len(complete.of("h1")) == len(complete.of("main")) == 1
    ids = [attrs["id"] for _, attrs in complete.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in complete.of("a") if a["href"].startswith("#")} <= set(ids)


def test_every_chart_has_a_sentence_and_a_place_for_each_panel(complete):
    figures = complete.of("figure")
    assert len(complete.of("figcaption")) == len(figures) == len(complete.charts)
    plots = [a for a in complete.of("div") if a.get("class") == "plot"]
    assert len(plots) == sum(map(len, complete.charts.values()))
    assert all(len(plot["aria-label"]) > 40 for plot in plots)


def test_charts_of_decode_are_those_that_were_asked_for():
    records = [
        ok(case("lmn", "decode", n), r, 1e-3, latency_worst_s=2e-3, slots=n.bit_length(), flops=100,
           bytes_moved=200, floor_bytes=1000, peak_memory_bytes=9000, working_memory_bytes=2000)
        for n in (64, 128, 256) for r in range(3)
    ]  # fmt: skip
    assert list(page(records).charts) == [
        "decode-latency", "decode-memory", "decode-state_bytes", "decode-slots",
        "decode-tokens_per_s", "decode-flops_per_s", "decode-bytes_per_s",
    ]  # fmt: skip
    assert len(page(records).charts["decode-latency"]) == 2


def test_a_page_tells_the_machine_its_noise_the_method_and_how_to_repeat_it():
    warning = NoiseWarning("busy", "load average 3", "close other programs")
    found = page(COMPLETE, environment=environment(warnings=(warning,)))
    for words in ("testbed", "Imaginary CPU", "load average 3", "Repeat it: lmn-bench run"):
        assert words in found.text


def test_cells_can_be_put_in_order_by_their_numbers(complete):
    values = {a["data-v"] for a in complete.of("td") if "data-v" in a}
    assert "0.001" in values  # 1.00 ms


def test_a_failure_is_marked_with_its_name_where_it_happened():
    records = [*series("lmn", flat), *series("gru", linear, (64, 128)),
               failed(case("gru", length=256), Outcome.OUT_OF_MEMORY, "no more"),
               failed(case("gru", length=512), Outcome.SKIPPED, "longer")]  # fmt: skip
    (latency,) = page(records).charts["prefill-latency"]
    (stop,) = latency["datasets"]["stops"]
    assert (stop["s"], stop["n"], stop["t"], stop["i"]) == ("gru", 256, "out of memory", "no more")
    assert stop["w"] == "gru: out of memory"


def test_what_fits_under_a_cap_is_drawn():
    (capped,) = page(CAPPED).charts["caps1-fits"]
    kinds = {(row["s"], row["n"]): row["kind"] for row in capped["datasets"]["marks"]}
    assert kinds["lmn", 128] == "ok"
    assert kinds["lmn", 256] == "failed"
    words = {(row["s"], row["n"]): row["t"] for row in capped["datasets"]["marks"]}
    assert words["lmn", 128] == "fits"
    assert words["lmn", 256] == "out of memory"


# ------------------------------------------------------------------------------- data


def test_charts_show_the_medians_of_the_records(complete):
    (latency, *_) = complete.charts["decode-latency"]
    shown = {(row["s"], row["n"]): row["y"] for row in latency["datasets"]["points"]}
    for (subject, length), value in shown.items():
        times = [r.metrics["latency_s"] for r in COMPLETE
                 if (r.subject, r.mode, r.length) == (subject, "decode", length)]  # fmt: skip
        assert value == pytest.approx(statistics.median(times), rel=1e-4)
    assert len(shown) == 15


def test_the_data_in_the_page_are_those_of_the_run(complete):
    run = run_of(COMPLETE)
    assert downloaded(complete, ".csv") == csv_of([run])
    assert downloaded(complete, ".json") == json_of([run])
    rows = list(csv.DictReader(io.StringIO(downloaded(complete, ".csv"))))
    assert {row["case_id"] for row in rows} == {record.case_id for record in COMPLETE}


def test_a_fitted_law_comes_with_its_band(complete):
    (latency, *_) = complete.charts["decode-latency"]
    laws = [row for row in latency["datasets"]["laws"] if row["s"] == "transformer"]
    assert [row["n"] for row in laws] == [64, 128, 256, 512, 1024]
    assert all(row["lo"] <= row["y"] <= row["hi"] for row in laws)
    assert laws[0]["k"].startswith("n (left: n")


# ------------------------------------------------------------------------------- one file


def test_a_page_loads_nothing(complete):
    for tag, attrs in complete.tags:
        for name in ("src", "srcset", "href", "action", "poster", "data"):
            value = attrs.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, (tag, name, value[:80])
    text = page_of([run_of(COMPLETE)])
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    (policy,) = [m["content"] for m in complete.of("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_the_page_of_the_reference_run_is_below_2_mb():
    runs = read_runs(["reference-scaling"], ROOT / "results")
    assert len(page_of(runs).encode()) < 2e6


def test_the_same_run_gives_the_same_page():
    assert page_of([run_of(CAPPED)]) == page_of([run_of(CAPPED)])


# ------------------------------------------------------------------------------- data are no markup


def test_data_never_become_markup(complete):
    warning = NoiseWarning(NASTY, NASTY, NASTY)
    records = [*series(NASTY, flat), *series("lmn", linear),
               failed(case(length=4096), Outcome.ERROR, NASTY)]  # fmt: skip
    found = page(
        records, run_id=NASTY, command=(NASTY,),
        environment=environment(hostname=NASTY, cpu_model=NASTY, warnings=(warning,)),
    )  # fmt: skip
    assert found.open == []
    assert len(found.scripts) == len(complete.scripts) == 3
    assert "<" not in found.scripts[0]
    assert found.scripts[1:] == complete.scripts[1:]
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    (latency,) = found.charts["prefill-latency"]
    assert printable(NASTY) in {row["s"] for row in latency["datasets"]["points"]}


def test_script_json_is_the_same_data_without_a_way_out():
    data = {"</script>": ["<!--", "&amp;", "\u2028\u2029", 'a"b\\']}
    text = script_json(data)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {**data, "</script>": ["<!--", "&amp;", r"\u2028\u2029", 'a"b\\']}


# ------------------------------------------------------------------------------- several runs


def two_machines():
    here = run_of([*series("lmn", flat), *series("gru", linear)])
    there = run_of(series("lmn", linear), run_id="other",
                   environment=environment(hostname="bigbox", cpu_model="Other CPU"))  # fmt: skip
    return [here, there]


def test_runs_are_laid_over_each_other_and_never_pooled():
    found = Page(page_of(two_machines()))
    (latency,) = found.charts["prefill-latency"]
    rows = {(row["s"], row["n"]): row for row in latency["datasets"]["points"]}
    assert {name for name, _ in rows} == {"lmn · testbed", "gru · testbed", "lmn · bigbox"}
    assert rows["lmn · testbed", 1024]["y"] == pytest.approx(1e-3)
    assert rows["lmn · bigbox", 1024]["y"] == pytest.approx(linear(1024), rel=1e-3)
    assert "Other CPU" in found.text
    data = json.loads(downloaded(found, ".json"))
    assert [one["run"]["run_id"] for one in data["runs"]] == [run_info().run_id, "other"]
    rows = list(csv.DictReader(io.StringIO(downloaded(found, ".csv"))))
    assert {row["machine"] for row in rows} == {"testbed", "bigbox"}


def test_runs_of_one_machine_are_told_apart_by_their_names():
    one = run_info()
    assert run_labels([one, run_info(run_id="other")]) == [one.run_id, "other"]
    assert len(set(run_labels([one, one]))) == 2
    moved = run_info(run_id="other", environment=environment(hostname="3f2a9c81d7e0"))
    assert run_labels([one, moved]) == [one.run_id, "other"]


# ------------------------------------------------------------------------------- what can break


class Panic(BaseException):
    """What a broken compiled package raises: nothing that `except Exception` would catch."""


def broken(*_):
    raise Panic("no\nfont")


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_missing_package_is_named_with_what_to_do(monkeypatch, no_cache):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ReportError) as caught:
        page_of([run_of(CAPPED)])
    assert "vl_convert" in caught.value.message
    assert "pip install altair" in caught.value.hint


@pytest.mark.parametrize("kind", ["missing", "broken"])
def test_a_run_ends_well_without_its_page(monkeypatch, no_cache, tmp_path, capsys, kind):
    fake = ModuleType("vl_convert")
    fake.javascript_bundle = broken
    monkeypatch.setitem(sys.modules, "vl_convert", fake if kind == "broken" else None)
    run = run_of(CAPPED)
    assert save_page(tmp_path, run, document_of([run])) is Saved.NOT_MADE
    assert not (tmp_path / "report.html").exists()
    told = capsys.readouterr().err
    assert "report.html is not written" in told
    assert f"lmn-bench report {tmp_path}" in told


def test_a_script_that_was_kept_is_used_again_and_a_cut_one_is_not(monkeypatch, no_cache, tmp_path):
    first = page_of([run_of(CAPPED)])
    (kept,) = (tmp_path / "cache" / "lmn-bench").iterdir()
    whole = kept.read_text()
    kept.write_text(whole[: len(whole) // 2])
    assert page_of([run_of(CAPPED)]) == first
    assert kept.read_text() == whole
    kept.parent.chmod(0o500)
    assert page_of([run_of(CAPPED)]) == first
    kept.parent.chmod(0o700)


# ------------------------------------------------------------------------------- looks


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["--ink", "--soft", "--link", "--good", "--bad"])
@pytest.mark.parametrize("at", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(name, at):
    assert contrast(PAGE_COLOURS[name][at], PAGE_COLOURS["--page"][at]) >= 4.5
    assert contrast(PAGE_COLOURS["--ink"][at], PAGE_COLOURS["--tint"][at]) >= 4.5


@pytest.mark.parametrize("at", [0, 1], ids=["light", "dark"])
def test_lines_can_be_seen(at):
    from lmn_bench.report.charts.theme import SERIES_COLOURS

    page_colour = PAGE_COLOURS["--page"][at]
    assert all(contrast(pair[at], page_colour) >= 3 for pair in SERIES_COLOURS)
