"""What a measuring process might have seen of a call."""

from __future__ import annotations

from typing import Any

MIB = 2**20


def seen(**changes: Any) -> dict[str, Any]:
    """A call of 10 ms whose parts, other, norm and project (in two functions), add up to 9.8."""
    plain = {
        "latency_s": 10e-3, "spread": 0.01, "clocked_s": 9.9e-3, "cost_s": 0.1e-3, "rounds": 40,
        "per": "sequence",
        "sites": [["other", "between the parts"], ["norm", "norm1"], ["project", "_attend"],
                  ["project", "_project"]],
        "site_s": [1.8e-3, 3e-3, 4e-3, 1e-3],
        "between_s": [1e-3, 1e-4, 2e-4, 1e-4],
        "profiled_s": 12e-3,
        "uses": [[1, "aten::rms_norm", 1, 2e-3], [2, "aten::addmm", 3, 4e-3],
                 [3, "aten::addmm", 1, 1e-3], [0, "aten::empty", 2, 1e-6]],
        "flops": [[2, "aten::addmm", 2e6], [3, "aten::addmm", 1e6]],
        "working_bytes": 9 * MIB,
        "lean_bytes": 8 * MIB,
        "peak_bytes": [0, 3 * MIB, 4 * MIB, MIB],
        "freed_bytes": 0,
        "timeline": {
            "seconds": [0.0, 2e-3, 9e-3],
            "points": [[0, 0, 0, 0], [0, 3 * MIB, 4 * MIB, MIB], [0, 0, MIB, 0]],
            "peak_at": 1,
        },
        "energy": {"joules_per_token": None, "reason": "not available here: no counters",
                   "source": None, "power_w": None, "clock_hz": None, "throttle_reasons": []},
        "resident_timeline": [[0.0, 2e8], [0.005, 2.1e8], [0.01, 2e8]],
        "lines": None,
        "parameters": 1000,
        "warnings": [],
    }  # fmt: skip
    return {**plain, **changes}


LINES = [{
    "function": "Mine.forward", "file": "/home/me/mine.py", "first_line": 3,
    "lines": [
        {"line": 3, "source": "    def forward(self, x):", "calls": 1, "bytes": 200 * MIB,
         "increment_bytes": None},
        {"line": 4, "source": "        return <x>", "calls": 1, "bytes": 201 * MIB,
         "increment_bytes": MIB},
        {"line": 5, "source": "", "calls": 0, "bytes": None, "increment_bytes": None},
    ],
}]  # fmt: skip
