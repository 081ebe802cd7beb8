"""lmn-bench: how latency and memory of sequence models grow with length, measured honestly."""

__version__ = "0.1.0"
