from __future__ import annotations

import subprocess
import sys


def test_names_load_neither_torch_nor_numpy():
    listing = "import sys, lmn_bench.learning.names; print({'torch', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
