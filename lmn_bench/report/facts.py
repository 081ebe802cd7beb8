"""The machine in words, for `env`, `show` and `run`."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.schema import CapMechanism, Ceiling, Environment
from lmn_bench.units import format_bytes, format_value


def environment_rows(environment: Environment) -> list[tuple[str, str]]:
    """Name and value of every fact."""
    limit = environment.memory_limit_bytes
    rows = [
        ("host", environment.hostname),
        ("CPU", environment.cpu_model),
        ("cores", f"{environment.physical_cores} physical, {environment.logical_cores} logical"),
        ("memory", f"{format_bytes(environment.memory_bytes)}, "
                   f"{format_bytes(environment.available_memory_bytes)} available"),
        ("container limit", "none" if limit is None else format_bytes(limit)),
        ("system", f"{environment.os}, Linux {environment.kernel}"),
        ("governor", environment.governor or "not readable here"),
        ("load", f"{environment.load_average:.2f}"),
        ("Python", environment.python),
        ("torch", environment.torch),
        ("lmn-bench", environment.lmn_bench),
    ]  # fmt: skip
    if environment.git_commit:
        changed = " (changed)" if environment.git_dirty else ""
        rows.append(("commit", environment.git_commit + changed))
    for gpu in environment.gpus:
        power = "" if gpu.power_limit_w is None else f", {gpu.power_limit_w:.0f} W"
        memory = format_bytes(gpu.memory_bytes)
        rows.append(("GPU", f"{gpu.name}, {memory}, driver {gpu.driver}{power}"))
    if not environment.gpus:
        rows.append(("GPU", "none (no NVIDIA driver answers)"))
    return rows


def cap_rows(mechanisms: Sequence[CapMechanism]) -> list[tuple[str, str]]:
    """Name and state of every mechanism of memory caps."""
    states = {True: "", False: "not available, "}
    return [
        ("memory cap", f"{one.name}: {states[one.available]}{one.detail}") for one in mechanisms
    ]


def ceiling_rows(ceilings: Sequence[Ceiling]) -> list[tuple[str, str]]:
    """Name and value of every ceiling."""
    rows = []
    for ceiling in ceilings:
        threads = f", {ceiling.threads} thread{'s' * (ceiling.threads > 1)}"
        where = ceiling.device + (threads if ceiling.device == "cpu" else "")
        rates = (
            f"matrix product {format_value(ceiling.matrix_flops_per_s, 'FLOP/s')}, copy "
            f"{format_value(ceiling.copy_bytes_per_s, 'B/s')} read and written"
        )
        rows.append((f"{ceiling.dtype}", f"{where}: {rates}"))
    return rows


def warning_lines(environment: Environment) -> list[str]:
    """Each noise warning in one line, with what to do."""
    return [f"warning: {w.message} (hint: {w.hint})" for w in environment.warnings]
