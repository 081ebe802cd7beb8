"""Run the notebook `examples/lmn_tour.ipynb` and store its outputs in it.

    python tests/scripts/run_tour.py

It trains for a minute. Run it after every change of the notebook, or of what it shows;
`tests/test_tour.py` fails when what can be told exactly differs.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "lmn_tour.ipynb"
KERNEL_TIMEOUT_S = 600
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_tour() -> nbformat.NotebookNode:
    """The notebook as it is stored."""
    return nbformat.read(NOTEBOOK, as_version=4)


def run_notebook(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in a kernel of this Python, in the notebook's folder; outputs go into it.

    Raises:
        CellExecutionError: a cell failed.
    """
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=KERNEL_TIMEOUT_S,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        coalesce_streams=True,  # text that is printed in pieces is one output
        record_timing=False,  # no time of day in the repository
    ).execute()


def shrunk_png(picture: bytes) -> bytes:
    """The same pixels, compressed as far as zlib does; vl-convert's are four times as large."""
    chunks = list(_chunks(picture))
    pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    parts, written = [PNG_SIGNATURE], False
    for kind, body in chunks:
        if kind != b"IDAT":
            parts.append(_chunk(kind, body))
        elif not written:
            parts.append(_chunk(kind, zlib.compress(pixels, level=9)))
            written = True
    return b"".join(parts)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(PNG_SIGNATURE)
    while place < len(picture):
        (size,) = struct.unpack_from(">I", picture, place)
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + size]
        place += 12 + size


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def main() -> None:
    """Run, shrink, store."""
    notebook = read_tour()
    run_notebook(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                small = shrunk_png(base64.b64decode(picture))
                output["data"]["image/png"] = base64.b64encode(small).decode()
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
