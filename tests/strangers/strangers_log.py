"""What the strangers write down about their own calls, into the file that STRANGER_LOG names."""

from __future__ import annotations

import os


def note(*words: object) -> None:
    path = os.environ.get("STRANGER_LOG")
    if path:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
        os.close(file)
