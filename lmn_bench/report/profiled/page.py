"""A profile as one page that needs no network, with its data in it, and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from lmn_bench import safe
from lmn_bench.profiles import Profile, profile_json
from lmn_bench.report.html import Download, render_html
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.profiled.document import profile_document


def profile_page(profile: Profile, files: Mapping[str, str]) -> str:
    """The page.

    Args:
        profile: what it tells.
        files: where the files are that belong to it, by kind.

    Raises:
        ReportError: a package that draws charts is missing or broken.
    """
    downloads = [
        Download("operators.csv", "text/csv", "CSV of operators", operators_csv(profile)),
        Download("profile.json", "application/json", "JSON", profile_text(profile, files)),
    ]
    said = [f"{w.message}: {w.hint}" for w in profile.environment.warnings]
    return render_html(profile_document(profile), downloads, [*profile.warnings, *said])


def profile_markdown(profile: Profile) -> str:
    """The same without pictures."""
    return render_markdown(profile_document(profile))


def profile_text(profile: Profile, files: Mapping[str, str]) -> str:
    """The text of `profile.json`."""
    return safe.json_text(profile_json(profile, files), indent=1) + "\n"


def operators_csv(profile: Profile) -> str:
    """A row per operator of each function."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = ("name", "part", "function", "calls", "self_s", "share", "flops", "flops_per_s")
    writer.writerow(fields)
    for one in profile.operators:
        writer.writerow(safe.csv_cell(getattr(one, name)) for name in fields)
    return out.getvalue()
