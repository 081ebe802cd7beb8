"""Options of the commands that compare: what counts as a change, and where the answer goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lmn_bench.errors import UsageError

if TYPE_CHECKING:
    from lmn_bench.analysis.options import Options

_Command = TypeVar("_Command", bound=Callable[..., Any])
_OF_THE_MACHINE = ("reference_loop_s", "parallel_loop_s", "floor_bytes", "context_memory_bytes")
_File = click.Path(dir_okay=False, path_type=Path)


def judging_options(command: _Command) -> _Command:
    """What counts as a change."""
    for option in (
        click.option("--allow", "allowed", multiple=True, metavar="METRIC=SHARE",
                     help='Let a counter grow, e.g. "allocator_peak_bytes=1%".'),
        click.option("--metric", "metrics", multiple=True, metavar="METRIC",
                     help="Measured metrics to judge.  [default: latency_low_s]"),
        click.option("--margin", default="3%", show_default=True, metavar="SHARE",
                     help="Measured changes up to this don't count."),
    ):  # fmt: skip
        command = option(command)
    return command


def output_options(command: _Command) -> _Command:
    """Where the answer goes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout."),
        click.option("--all", "everything", is_flag=True, help="List unchanged cases too."),
        click.option("--junit", type=_File, help="Write JUnit XML."),
        click.option("--html", type=_File, help="Write a page with a forest plot."),
        click.option("--markdown", type=_File, help="Write a comment for a pull request."),
        click.option("--fail-on", type=click.Choice(("regression", "inconclusive")),
                     default="regression", show_default=True,
                     help="inconclusive: exit code 4 where nothing is shown either way."),
    ):  # fmt: skip
        command = option(command)
    return command


def options_of(
    margin: str, metrics: Sequence[str], allowed: Sequence[str], *, across_machines: bool = False
) -> Options:
    """What to compare and how, from the command line.

    Raises:
        UsageError: a margin or an allowance that is no share, or one that makes no sense.
        UnknownNameError: a metric that doesn't exist.
    """
    from lmn_bench.analysis.options import DEFAULT_METRICS, Options
    from lmn_bench.analysis.paired import Rules
    from lmn_bench.metrics import METRICS
    from lmn_bench.metrics import metric as known_metric
    from lmn_bench.units import parse_share

    share = parse_share(margin, f"--margin {margin}")
    if not 0 < share < 1:
        raise UsageError(f"--margin {margin}: expected more than 0% and less than 100%")
    for key in metrics:
        if known_metric(key).exact:
            raise UsageError(f"--metric {key}: counters are always compared", "leave it out")
        if key in _OF_THE_MACHINE:
            raise UsageError(f"--metric {key} tells of the machine, not of the code")
        if METRICS[key].better == "neither":
            raise UsageError(f"--metric {key}: neither more nor less of it is better")
    shares = {}
    for text in allowed:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--allow {text}: expected METRIC=SHARE", "allocator_peak_bytes=1%")
        if not known_metric(key).exact:
            raise UsageError(
                f"--allow {key}: it is measured, and --margin is for all that is measured",
                f"counters are {', '.join(k for k, m in METRICS.items() if m.exact)}",
            )
        if key in shares:
            raise UsageError(f"--allow {key} is given twice", "say once by how much it may grow")
        shares[key] = parse_share(value, f"--allow {text}")
    return Options(
        rules=Rules(margin=share),
        metrics=tuple(dict.fromkeys(metrics)) or DEFAULT_METRICS,
        across_machines=across_machines,
        allowed=shares,
    )
