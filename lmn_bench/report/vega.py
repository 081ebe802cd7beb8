"""Vega without a network: its JavaScript for pages, and pictures of charts."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from lmn.atomic import replacing
from lmn_bench import safe
from lmn_bench.errors import ReportError
from lmn_bench.report.chart import Chart

PICTURES = ("svg", "png")
_PNG_SCALE = 1.5
# What a page calls; the rest of the bundle is there because this needs it.
_ENTRY = "window.vegaEmbed = vegaEmbed;"


def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script that needs nothing else.

    vl-convert takes two seconds to put it together, so that it is kept in the user's cache, under
    its version. A cache that cannot be read or written changes nothing but the time.

    Raises:
        ReportError: vl-convert is missing or broken.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise missing_package(error) from error
    kept = _cache_folder() / f"vega-bundle-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeError):
        text = kept.read_text(encoding="utf-8")
        if text.endswith(_end_mark(text)):
            return text
    try:
        script = str(vl_convert.javascript_bundle(_ENTRY))
    except (ValueError, RuntimeError) as error:
        raise ReportError(f"vl-convert cannot make its JavaScript: {error}") from error
    # It must not end the element that it stands in.
    script = script.replace("</script", "<\\/script")
    script += _end_mark(script)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as file:
            file.write(script.encode())
    return script


def picture(chart: Chart, form: str) -> bytes:
    """A chart as a file of `form`, "svg" or "png".

    Raises:
        ReportError: altair or vl-convert is missing or broken.
    """
    try:
        import vl_convert

        from lmn_bench.report.charts.draw import picture_spec
    except ImportError as error:
        raise missing_package(error) from error
    spec = safe.chart(picture_spec(chart))
    try:
        if form == "png":
            return bytes(vl_convert.vegalite_to_png(spec, scale=_PNG_SCALE))
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    except (ValueError, RuntimeError) as error:
        raise ReportError(f"cannot draw {chart.key}: {error}") from error


def missing_package(error: ImportError) -> ReportError:
    """What to say where a package that draws charts cannot be imported."""
    return ReportError(
        f"charts need a package that cannot be imported here: {error}",
        "pip install altair vl-convert-python jinja2; other formats work without them",
    )


def _end_mark(text: str) -> str:
    """The last line of a kept script, which a file that was cut off lacks."""
    whole = text.partition("\n//# complete")[0]
    return f"\n//# complete: {len(whole)} characters\n"


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lmn-bench"
