"""The notebook runs to its end, shows what the library says, and is stored with its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from nbformat.v4 import new_code_cell

from lmn import tree
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects import sizes

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "tests" / "scripts"
TRAINING_SECONDS = 2
TOKENS = 16
# A file that GitHub shows at once, and that a clone does not notice.
MOST_BYTES = 400_000
# Cells whose text depends neither on the machine nor on this Python's own text.
EXACT = ("draw-seen", "draw-merges", "show-state", "draw-growth")
CHARTS = (
    "draw-tree", "draw-seen", "draw-sixteen", "draw-merges", "draw-loss", "draw-growth",
)  # fmt: skip
# Into a file: nbclient takes minutes over so long a printed line.
PROBE = """
import json
from pathlib import Path
import vl_convert
svgs = [vl_convert.vegalite_to_svg(draw_tree({tokens}, token=token).to_dict())
        for token in range(1, {tokens} + 1)]
caches = [[n, key_value_cache_bytes(config, n)] for n in lengths]
shape = dict(width=config.width, heads=config.block.heads, layers=config.layers)
told = dict(svgs=svgs, seen_colour=BLUE, caches=caches, shape=shape)
Path({path!r}).write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        import run_tour

        yield run_tour


@pytest.fixture(scope="module")
def stored(script):
    return script.read_tour()


@pytest.fixture(scope="module")
def probe_path(tmp_path_factory):
    return tmp_path_factory.mktemp("tour") / "probe.json"


@pytest.fixture(scope="module")
def executed(script, probe_path):
    """The notebook after a run of its own, and after one more cell that tells of its variables."""
    notebook = script.read_tour()
    probe = PROBE.format(tokens=TOKENS, path=str(probe_path))
    notebook.cells.append(new_code_cell(probe, id="probe"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMN_TOUR_SECONDS", str(TRAINING_SECONDS))
        patch.setenv("PYTHONPATH", str(ROOT), prepend=":")
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(probe_path.parent / name.lower()))
        script.run_notebook(notebook)
    return notebook


@pytest.fixture(scope="module")
def probed(executed, probe_path):
    return json.loads(probe_path.read_text())


def code_cells(notebook):
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def printed(notebook, cell_id):
    outputs = code_cells(notebook)[cell_id].outputs
    return "".join(output.text for output in outputs if output.output_type == "stream")


def ranges_drawn_in(svg, colour):
    """What the boxes of one colour say: "5" or "5–8"."""
    boxes = [
        element for element in ElementTree.fromstring(svg).iter() if "aria-label" in element.attrib
    ]
    return {
        box.get("aria-label")
        for box in boxes
        if box.get("fill") == colour and box.get("aria-roledescription") == "rect mark"
    }


def test_the_notebook_runs_to_its_end(executed):
    cells = code_cells(executed)
    assert [cell.execution_count for cell in cells.values()] == [*range(1, len(cells) + 1)]


@pytest.mark.parametrize("token", range(1, TOKENS + 1))
def test_the_drawing_marks_exactly_the_nodes_that_a_token_sees(probed, token):
    spans = [((j - 1) * 2**level + 1, j * 2**level) for level, j in tree.visible_nodes(token)]
    expected = {str(first) if first == last else f"{first}–{last}" for first, last in spans}
    assert ranges_drawn_in(probed["svgs"][token - 1], probed["seen_colour"]) == expected


def test_the_cache_in_the_notebook_is_that_of_the_benchmark(probed):
    spec = ModelSpec(**probed["shape"])
    for tokens, cache_bytes in probed["caches"]:
        assert cache_bytes == sizes.state_bytes("transformer", spec, tokens)


def test_the_stored_notebook_was_run_in_order_without_an_error(stored):
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells.values()] == [*range(1, len(cells) + 1)]
    kinds = {output.output_type for cell in cells.values() for output in cell.outputs}
    assert "error" not in kinds


def test_the_stored_notebook_prints_what_the_library_says_now(stored, executed):
    for cell_id in EXACT:
        assert printed(stored, cell_id) == printed(executed, cell_id), cell_id


def test_every_chart_is_stored_as_a_picture(stored, script):
    for cell_id in CHARTS:
        bundles = [output.get("data", {}) for output in code_cells(stored)[cell_id].outputs]
        assert any("image/png" in bundle for bundle in bundles), cell_id
    assert script.NOTEBOOK.stat().st_size < MOST_BYTES
