"""The page in a real browser: every chart is drawn, nothing is loaded, the console stays silent."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from bench_helpers import case, failed, series
from test_html import run_of
from test_report import CAPPED, COMPLETE, flat

from lmn_bench.report.page import page_of
from lmn_bench.schema import Outcome

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def opened(path, folder, *options):
    """What a browser without a network makes of a page: its elements, and what it complains of."""
    done = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={folder}", *options, "--dump-dom", path.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("options", [[], ["--blink-settings=preferredColorScheme=0"]],
                         ids=["light", "dark"])  # fmt: skip
def test_every_chart_is_drawn_without_a_word_on_the_console(tmp_path, options):
    records = [*COMPLETE, *CAPPED, *series("rnn", flat, (64,)),
               failed(case("rnn", length=128), Outcome.TIMEOUT)]  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(page_of([run_of(records)]))
    dom, complaints = opened(path, tmp_path / "profile", *options)
    assert complaints == []
    plots = len(re.findall(r'class="plot[ "]', dom))
    assert f'data-drawn="{plots}"' in dom
    assert plots == len(re.findall(r"<svg[^>]*class=\"marks\"", dom)) > 5
