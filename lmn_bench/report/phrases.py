"""Every sentence that a run's report can say about two models, as templates, and nowhere else.

`say` is the only way to one of them, so that a test can hold each against data where it is true
and against data where it must not be said (`tests/lmn_bench/test_phrases.py`): a template without
both fails there, and so does prose in the modules that put them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PHRASES: Final[Mapping[str, str]] = {
    # ---- who stands where in time
    "standing": "{place}: {own} is {standing}{overtakes}{partly}{missing}.",
    "undecided": "{place}: {own} against {other}: cannot tell at any length ({why}){missing}.",
    "never compared": "{place}: {own} and {other} are not compared ({why}).",
    "ahead": "ahead of {other} {stretch}{by}",
    "behind": "behind {other} {stretch}{by}",
    "level": "level with {other} {stretch} (within {margin}{differs})",
    "cannot tell": "cannot tell {stretch} ({why})",
    "factor": "{factor}{where}",
    "only finisher": "the only one to finish: {other} {ended}",
    "by": "by {factor}",
    "by up to": "by up to {factor} at {length}",
    "unfinished": "it {ended}",
    "ended at": "{ended} at {lengths}{skipped}",
    "skipped for that": ", and was skipped at {lengths} for that",
    "differs": "; {times}{where}, sure but small",
    "overtakes": "; it overtakes at about {crossing}",
    "partly": "at {lengths} {name} {ended}",
    "missing": "; not compared at {lengths} ({why})",
    "ended so": "{name} {ended}",
    "no time": "no time above 0 to compare",
    # ---- why it cannot be told
    "no interval": "{processes}: no interval; {medians}",
    "one each": "one process each",
    "few each": "{count} processes each",
    "few": "{count} of {own} and {others} of {other}",
    "holds 1": "{times}{where}, an interval that holds 1 and reaches beyond {margin}",
    "medians faster": "by the medians it is {factor} as fast at {length}",
    "medians slower": "by the medians it takes {factor} as long at {length}",
    # ---- at which lengths
    "every length": "at every length",
    "every length compared": "at every length that was compared",
    "from on": "from {length} tokens on",
    "from on compared": "from {length} tokens on, of those compared",
    "up to": "up to {length}",
    "from to": "from {first} to {last}",
    "at": "at {lengths}",
    "where": " at {length}",
    "run": "{first} to {last}",
    # ---- the others, in one sentence
    "others": "{place}, {own} against the others: {standings}.",
    "others at": "at {length} tokens {standings}",
    "others ahead": "ahead of {names}",
    "others behind": "behind {names}",
    "others level": "level with {names} (within {margin})",
    "others cannot tell": "cannot tell against {names}",
    "others few": "cannot tell against {names} ({processes}: no interval; of the medians, above "
    "1× {own} is faster)",
    "others missing": "not compared with {names}",
    # ---- memory
    "memory": "{place}, memory: {sizes}{against}{least}.",
    "working set": "the working memory of one call at {length} tokens is {sizes}",
    "state": "the state after {length} tokens is {sizes}",
    "size": "{size} with {name}",
    "size grown": "{size} with {name} ({first} at {length})",
    "peak": "; the whole process peaks at {sizes}",
    "more memory": "{name} takes {times} as much as {own}",
    "less memory": "{own} takes {times} as much as {name}",
    "same memory": "{own} and {name} take the same",
    "level memory": "{own} and {name} take as much within {margin} ({name} {times} as much)",
    "unsure memory": "whether {own} or {name} takes more cannot be told ({name} {times} as much)",
    "unsure memory few": "whether {own} or {name} takes more cannot be told ({name} {times} "
    "as much by the medians, without an interval)",
    "incomparable memory": "{own} and {name} are not compared: nothing above 0 was measured",
    "least": "; {name} needs least{size}",
    "least alike": "; {names} need least, the same",
    "least shared": "; {names} need least, and cannot be told apart",
    # ---- sizes
    "parameters": "Sizes differ by more than {tolerance}: {own} has {count} parameters, {others}"
    "{where}.",
    "parameters of": "{name} {count}{change}",
    "parameters none": "{name} none",
    "sizes against": "against {own}",
    # ---- under a cap
    "under a cap": "{mode} under a cap of {cap} takes {limits}.",
    "longest": "{length} tokens with {name}",
    "longest open": "{length} tokens or more with {name}",
    "longest partly": "{length} tokens with {name}, which {ended}",
    "longest ended": "{length} tokens with {name}, which {ended} beyond that",
    "none fits": "none of the lengths with {name}, which {ended}",
    # ---- the table of standings
    "table title": "How {own} stands in time",
    "table note": "Ahead, behind: the interval of the ratio lies on one side of 1, or the other "
    "did not finish. Level: it lies within {margin} of 1. Cannot tell: neither, or no interval. "
    "Shortest, longest: how many times faster {own} is (below 1: slower), with a 95% interval"
    "{few}. Overtakes: where the times cross for good, between lengths; –: not within the measured "
    "range. One interval in twenty misses: a lead at one length alone may be chance.",
    "table few": " (of three or four processes it holds rather 90%)",
    "cell every": "everywhere",
    "cell from": "from {length}",
    "cell up to": "to {length}",
    "cell ended": "{name} did not finish, {standing}",
    "cell times": "{times} {standing}",
}  # fmt: skip


def say(key: str, **fields: object) -> str:
    """The phrase with its fields filled in; every field that it has must be given."""
    return PHRASES[key].format(**fields)
