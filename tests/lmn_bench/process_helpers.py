"""Single cases through real children of a real fork server."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from bench_helpers import case

from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import Finished, order_tasks, run_tasks
from lmn_bench.schema import Measuring, Record

QUICK = Measuring(
    processes=1, timeout_s=60, time_goal_s=0.001, max_samples=3, warmup_limit_s=0.001,
    decode_window=4, counters=False,
)  # fmt: skip
MIB = 2**20
# Code of a child. A shell starts what runs in its background deaf to SIGINT, and so all that these
# start in turn.
COMMAND_LINE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from lmn_bench.__main__ import main; main()"
)


def environ(**more: str) -> dict[str, str]:
    """Ours, with the models that misbehave where a server finds them."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


def kill_learning_process_of(parent: subprocess.Popen[str]) -> None:
    """Wait for it, and kill it: while it loads, if nothing keeps us from that."""
    while True:
        assert parent.poll() is None, "it ended before it learned anything"
        with suppress(psutil.Error):
            for one in psutil.Process(parent.pid).children(recursive=True):
                words = one.cmdline()
                if "lmn_bench.worker.learning" in words and "--" not in words:
                    one.kill()
                    return
        time.sleep(0.01)


def rogue(name: str) -> str:
    """One of the models that misbehave."""
    return f"rogue_subjects:{name}"


def measured_by(
    server: ForkServer,
    subject: str,
    mode: str = "prefill",
    length: int = 64,
    *,
    cap: int | None = None,
    dtype: str = "float32",
    replicate: int = 0,
    compiled: bool = False,
    **measuring: Any,
) -> Record:
    """Run one case through a child of this server; its record."""
    of = case(subject, mode, length, memory_cap_bytes=cap, dtype=dtype, compile=compiled)
    tasks = [replace(order_tasks([of], 1, 0)[0], replicate=replicate)]
    *_, last = run_tasks(tasks, replace(QUICK, **measuring), 0, server)
    assert isinstance(last, Finished)
    return last.record
