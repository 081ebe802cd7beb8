"""The settings that the tasks were published with, beside ours; sources: lmn_bench.learning."""

from __future__ import annotations

# The longest prefix of a task's name counts.
_PUBLISHED = {
    "mqar": (
        "Arora et al., arXiv 2312.04927: 100,000 examples × 64 epochs, batch 512 (256 at length "
        "256, 128 at 512), 2 layers of width 64 to 512, AdamW, weight decay 0.1, the best of 4 "
        "learning rates from 1e-4 to 1e-2"
    ),
    "selective-copying": (
        "Gu and Dao, arXiv 2312.00752: 16 data tokens among 4,096, 400,000 steps, batch 64, "
        "2 layers of width 64, learning rate 1e-4 constant"
    ),
    "induction-heads": (
        "Gu and Dao, arXiv 2312.00752: learned at 256 tokens, tested from 64 to 1,048,576; "
        "204,800 steps, batch 8, 2 layers of width 64, Adam without weight decay, learning rate "
        "2e-4 or 1e-3"
    ),
    "copy": (
        "Jelassi et al., arXiv 2402.01032: strings of 8 to 50 letters packed into 220 tokens, "
        "tested on 40 to 200"
    ),
    "listops": (
        "Tay et al., arXiv 2011.04006: 501 to 1,999 tokens, 10 deep, 96,000 examples, 5,000 "
        "steps, batch 32, 4 layers of width 512, 8 heads, learning rate 0.05 with 1,000 steps of "
        "warm-up, weight decay 0.1"
    ),
}


def published_setting(task: str) -> str:
    """What a task was published with; empty where that is not known."""
    found = [kind for kind in _PUBLISHED if task == kind or task.startswith(f"{kind}-")]
    return _PUBLISHED[max(found, key=len)] if found else ""
