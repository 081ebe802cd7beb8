"""Every sentence that a run's report says about two models: data where it is true, and where not.

A template of `report.phrases` without both fails here, and so does prose that goes past them.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench_helpers import case, failed, ok, run_info, series

import lmn_bench.report
from lmn_bench.analysis.results import result_set
from lmn_bench.report.build import build_report
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.phrases import PHRASES
from lmn_bench.schema import Outcome, Record, SeriesLimit

TIMEOUT, OOM, OK = Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.OK
ERROR, SKIPPED = Outcome.ERROR, Outcome.SKIPPED
CAP = 2**24
USER = "mine:make"
Times = tuple[float | None, ...]
LENGTHS = (64, 128, 256, 512, 1024)


def of(subject, *milliseconds, processes=5, noise=0.01, **rest):
    """A subject with these times at 64, 128, …; None where nothing was measured."""
    found: list[Record] = []
    for length, ms in zip(LENGTHS, milliseconds, strict=False):
        if ms is not None:
            found += series(subject, lambda _, ms=ms: ms / 1e3, (length,), processes, noise, **rest)
    return found


def ended(subject, length, *outcomes, limit=None, **rest):
    """A case whose processes ended so; those that were ok took 2 ms."""
    one = case(subject, length=length, **rest)
    return [
        ok(one, r, 2e-3) if end is OK else failed(one, end, "took longer than 60 s", r, limit)
        for r, end in enumerate(outcomes)
    ]


def sizes(subject, metric, *counts, length=64, mode="prefill"):
    """Five processes that took so much of memory, or have so many parameters."""
    return [ok(case(subject, mode, length), r, 1e-3, **{metric: n}) for r, n in enumerate(counts)]


WORKING, STATE = "working_memory_bytes", "state_bytes"
AHEAD = (*of("lmn", 1, 1, 1), *of("transformer", 2, 2, 2))
BEHIND = (*of("lmn", 2, 2, 2), *of("transformer", 1, 1, 1))
LEVEL = (*of("lmn", 1, 1, 1), *of("transformer", 1, 1, 1))
NEAR = (*of("lmn", 1, 1, noise=0.001), *of("transformer", 1.05, 1.05, noise=0.001))
WIDE = (*of("lmn", 1, 1, noise=0.2), *of("transformer", 1, 1, noise=0.2))
MIXED = (*of("lmn", 2, 1, 1), *of("transformer", 1, 1.1, 2, noise=0.1))
LATE = (*of("lmn", 2, 1, 1), *of("transformer", 1, 2, 3))
EARLY = (*of("lmn", 1, 1, 2), *of("transformer", 3, 2, 1))
MIDDLE = (*of("lmn", 2, 1, 1, 2), *of("transformer", 1, 2, 2, 1))
RUNS = (*of("lmn", 1, 1, 1, 1, 1), *of("transformer", 2, 1, 2, 2, 2))
ODD = (*of("lmn", 1, 2, 1, 2), *of("transformer", 2, 1, 2, 1))
ONE = (*of("lmn", 1, 1, processes=1), *of("transformer", 9, 9, processes=1))
ONE_BEHIND = (*of("lmn", 9, 9, processes=1), *of("transformer", 1, 1, processes=1))
TWO = (*of("lmn", 1, 1, processes=2), *of("transformer", 9, 9, processes=2))
UNEVEN = (*of("lmn", 1, 1, processes=2), *of("transformer", 9, 9))
GAP = (*of("lmn", 1, 1, 1), *of("transformer", 2, 2))
LATE_GAP = (*of("lmn", 2, 1, 1, 1), *of("transformer", 1, 2, 3), *ended("transformer", 512, ERROR))
BROKEN = (*of("lmn", 1, 1), *ended("transformer", 64, ERROR, ERROR, ERROR))
NOT_RUN = (*of("lmn", 1, 1), *ended("transformer", 64, SKIPPED, SKIPPED))
STOPPED = (*of("lmn", 1, 1), *of("transformer", 2), *ended("transformer", 128, *[TIMEOUT] * 3))
SKIPS = (*of("lmn", 1, 1, 1), *STOPPED[10:],
         *ended("transformer", 256, SKIPPED, SKIPPED,
                limit=SeriesLimit(128, {TIMEOUT: 3})))  # fmt: skip
ONCE = (*of("lmn", 1, 1), *of("transformer", 2), *ended("transformer", 128, TIMEOUT, SKIPPED))
UNFINISHED = (*of("transformer", 1, 1), *of("lmn", 1), *ended("lmn", 128, *[OOM] * 3))
PARTLY = (*of("lmn", 1, 1), *of("transformer", 2),
          *ended("transformer", 128, OK, OK, OK, TIMEOUT))  # fmt: skip
NO_TIME = (*of("lmn", 1, 1), *of("transformer", 1),
           *(ok(case("transformer", length=128), r, float("nan")) for r in range(3)))  # fmt: skip
MANY = (*of("lmn", 1, 1), *of("transformer", 2, 2), *of("gru", 2, 2), *of("rnn", 0.5, 0.5),
        *of("lstm", 1, 1))  # fmt: skip
MANY_UNCLEAR = (*MANY[:40], *of("lstm", 1, 1, noise=0.2))
MANY_FEW = (*ONE, *of("gru", 2, 2), *of("rnn", 2, 2), *of("lstm", 9, 9, processes=1))
MANY_BROKEN = (*MANY[:30], *ended("lstm", 64, ERROR), *of("rnn", 0.5))
LESS = (*sizes("lmn", WORKING, *[1000] * 5), *sizes("transformer", WORKING, *[3000] * 5))
MORE = (*sizes("lmn", WORKING, *[3000] * 5), *sizes("transformer", WORKING, *[1000] * 5))
ALIKE = (*sizes("lmn", WORKING, *[1000] * 5), *sizes("transformer", WORKING, *[1010] * 5))
VAGUE = (*sizes("lmn", WORKING, 900, 1000, 1300, 900, 1200),
         *sizes("transformer", WORKING, 1000, 900, 1400, 1000, 1300))  # fmt: skip
FEW = (*sizes("lmn", WORKING, 1000), *sizes("transformer", WORKING, 3000))
ZERO = (*sizes("lmn", WORKING, *[0] * 5), *sizes("transformer", WORKING, *[1000] * 5))
KEPT = (*sizes("lmn", STATE, *[9] * 3, mode="decode"),
        *sizes("transformer", STATE, *[9] * 3, mode="decode"))  # fmt: skip
PEAK = (*sizes("lmn", "peak_memory_bytes", 5000), *sizes("transformer", "peak_memory_bytes", 6000))
THREE = (*LESS, *sizes("gru", WORKING, *[2000] * 5))
THREE_TIED = (*VAGUE, *sizes("gru", WORKING, *[9000] * 5))
THREE_KEPT = (*KEPT, *sizes("gru", STATE, *[99] * 3, mode="decode"))
SAME_SIZE = (*sizes("lmn", "parameters", 1000), *sizes("transformer", "parameters", 1049))
UNLIKE = (*sizes("lmn", "parameters", 1000), *sizes("transformer", "parameters", 1051))
NO_SIZE = (*sizes("lmn", "parameters", 1000), *sizes(USER, "parameters", 0))
NONE_THERE = (*sizes("lmn", "parameters", 1000), *sizes("gru", "parameters", 0))


def capped(*more):
    """lmn fits 64 and 128 tokens under a cap; of gru what is given."""
    return (*of("lmn", 1, 1, memory_cap_bytes=CAP), *more)


CAPPED = {"memory_cap_bytes": CAP}
FITS = capped(*of("gru", 1, 1, **CAPPED))
FULL = capped(*of("gru", 1, **CAPPED), *ended("gru", 128, *[OOM] * 3, **CAPPED))
SLOW = capped(*of("gru", 1, **CAPPED), *ended("gru", 128, *[TIMEOUT] * 3, **CAPPED))
LUCKY = capped(*ended("gru", 64, OK, OOM, **CAPPED))
NOTHING = capped(*ended("gru", 64, *[OOM] * 3, **CAPPED))


@dataclass(frozen=True)
class Example:
    """What is said in one report and not in another.

    `clue` is what the other must not hold; by default the longest literal piece of the template.
    """

    said: str
    true: tuple[Record, ...]
    false: tuple[Record, ...]
    clue: str = ""


EXAMPLES = {
    "standing": Example("Prefill: lmn is ahead of transformer at every length", AHEAD, WIDE,
                        "Prefill: lmn is "),
    "undecided": Example("lmn against transformer: cannot tell at any length (", ONE, MIXED),
    "never compared": Example("lmn and transformer are not compared (", BROKEN, GAP,
                              "lmn and transformer are not compared"),
    "ahead": Example("ahead of transformer at every length", AHEAD, ONE, "ahead of "),
    "behind": Example("behind transformer at every length", BEHIND, ONE_BEHIND, "lmn is behind "),
    "level": Example("level with transformer at every length (within 10 %)", LEVEL, WIDE,
                     "level with "),
    "cannot tell": Example("; cannot tell at 128 (1.10× [", MIXED, LATE, "; cannot tell"),
    "factor": Example("(2.00× at 256)", AHEAD, ONE, "(2.00×"),
    "only finisher": Example("; the only one to finish: transformer did not finish within 60 s",
                             STOPPED, ONCE),
    "by": Example("behind it at 64 (by 2.00×)", LATE, ONE_BEHIND, "(by "),
    "by up to": Example("(by up to 2.00× at 64)", BEHIND, ONE_BEHIND),
    "unfinished": Example("it ran out of memory in each of 3 processes at 128", UNFINISHED,
                          STOPPED, "it ran out"),
    "ended at": Example("in each of 3 processes at 128)", STOPPED, AHEAD, "processes at 128"),
    "skipped for that": Example("3 processes at 128, and was skipped at 256 for that)", SKIPS,
                                STOPPED),
    "differs": Example("(within 10 %; 1.05× [1.05, 1.05] at 128, sure but small)", NEAR, LEVEL),
    "overtakes": Example("; it overtakes at about 91 [", LATE, ONE),
    "partly": Example("; at 128 transformer finished in 3 of 4 processes: 1 timed out", PARTLY,
                      STOPPED, "transformer finished in"),
    "missing": Example("; not compared at 256 (transformer was not measured)", GAP, AHEAD,
                       "not compared at"),
    "ended so": Example("(transformer was skipped (took longer than 60 s)", NOT_RUN, AHEAD,
                        "was skipped ("),
    "no time": Example("not compared at 128 (no time above 0 to compare)", NO_TIME, GAP),
    "no interval": Example("(one process each: no interval; by the medians", ONE, AHEAD,
                           ": no interval; "),
    "one each": Example("one process each", ONE, TWO),
    "few each": Example("2 processes each", TWO, ONE),
    "few": Example("2 processes of lmn and 5 processes of transformer: no interval", UNEVEN, TWO,
                   " of lmn and "),
    "holds 1": Example("an interval that holds 1 and reaches beyond 10 %", WIDE, LEVEL),
    "medians faster": Example("by the medians it is 9.00× as fast at 128", ONE, ONE_BEHIND),
    "medians slower": Example("by the medians it takes 9.00× as long at 128", ONE_BEHIND, ONE),
    "every length": Example("ahead of transformer at every length (2.00× at 256).", AHEAD, GAP,
                            "at every length ("),
    "every length compared": Example("at every length that was compared (2.00× at 128); not",
                                     GAP, AHEAD, "that was compared"),
    "from on": Example("from 128 tokens on (3.00× at 256)", LATE, LATE_GAP, "tokens on ("),
    "from on compared": Example("from 128 tokens on, of those compared", LATE_GAP, LATE),
    "up to": Example("ahead of it up to 128", EARLY, ODD, "up to 128"),
    "from to": Example("ahead of it from 128 to 256", MIDDLE, LATE, "it from 128 to 256"),
    "at": Example("ahead of it at 64, 256", ODD, MIDDLE, "at 64, 256"),
    "where": Example(" at 256)", AHEAD, LEVEL, " at 256)"),
    "run": Example("ahead of transformer at 64, 256 to 1,024", RUNS, ODD, "256 to 1,024"),
    "others": Example("Prefill, lmn against the others: at 128 tokens", MANY, AHEAD,
                      " against the others"),
    "others at": Example("at 128 tokens ahead of gru", MANY, ONE, " tokens ahead of"),
    "others ahead": Example("ahead of gru", MANY, (*of("lmn", 9, 9), *MANY[10:]), "ahead of gru"),
    "others behind": Example("behind rnn", MANY, (*of("lmn", 0.1, 0.1), *MANY[10:]), "behind rnn"),
    "others level": Example("level with lstm (within 10 %)", MANY, MANY_UNCLEAR),
    "others cannot tell": Example("cannot tell against lstm (1.00× [", MANY_UNCLEAR, MANY,
                                  "cannot tell against"),
    "others few": Example("cannot tell against lstm (9.00×) (one process each: no interval; of the "
                          "medians, above 1× lmn is faster)", MANY_FEW, MANY_UNCLEAR,
                          "no interval; of the medians"),
    "others missing": Example("not compared with lstm (lstm failed (error: ", MANY_BROKEN, MANY),
    "memory": Example("Prefill, memory: ", LESS, FITS, ", memory: "),
    "working set": Example("the working memory of one call at 64 tokens is 1000 B with lmn",
                           LESS, KEPT),
    "state": Example("the state after 64 tokens is 9 B with lmn", KEPT, LESS),
    "size": Example("is 1000 B with lmn, 2.93 KiB with transformer", LESS, MORE, "1000 B with lmn"),
    "size grown": Example("128 KiB with lmn (64.0 KiB at 64)", ONE, LESS, "(64.0 KiB at"),
    "peak": Example("the whole process peaks at 4.88 KiB with lmn, 5.86 KiB with transformer", PEAK,
                    LESS),
    "more memory": Example("transformer takes 3.00× as much as lmn", LESS, VAGUE,
                           "× as much as lmn"),
    "less memory": Example("lmn takes 3.00× as much as transformer", MORE, FEW,
                           "× as much as transformer"),
    "same memory": Example("lmn and transformer take the same", KEPT, ALIKE),
    "level memory": Example("lmn and transformer take as much within 10 % (transformer 1.01×",
                            ALIKE, VAGUE),
    "unsure memory": Example("whether lmn or transformer takes more cannot be told (transformer "
                             "1.00× [", VAGUE, LESS, "takes more cannot be told"),
    "unsure memory few": Example("cannot be told (transformer 3.00× as much by the medians, "
                                 "without an interval)", FEW, LESS),
    "incomparable memory": Example("not compared: nothing above 0 was measured", ZERO, LESS),
    "least": Example("; lmn needs least", THREE, THREE_TIED, "needs least"),
    "least alike": Example("; lmn, transformer need least, the same", THREE_KEPT, THREE_TIED,
                           "need least, the same"),
    "least shared": Example("; lmn, transformer need least, and cannot be told apart",
                            THREE_TIED, THREE),
    "parameters": Example("Sizes differ by more than 5 %: lmn has 1,000 parameters, transformer",
                          UNLIKE, SAME_SIZE, "Sizes differ"),
    "parameters of": Example("transformer 1,051 (+5.1 %).", UNLIKE, SAME_SIZE, "(+5.1 %)"),
    "parameters none": Example("1,000 parameters, gru none.", NONE_THERE, UNLIKE, " none."),
    "sizes against": Example("| against lmn |", UNLIKE, NO_SIZE, "| against lmn |"),
    "under a cap": Example("Prefill under a cap of 16MiB takes", FITS, AHEAD),
    "longest": Example("64 tokens with gru.", FULL, FITS, "64 tokens with gru."),
    "longest open": Example("128 tokens or more with gru", FITS, FULL, "or more with gru"),
    "longest partly": Example("64 tokens with gru, which finished in 1 of 2 processes: 1 ran out",
                              LUCKY, FULL, "which finished in"),
    "longest ended": Example("64 tokens with gru, which did not finish within 60 s in each of 3 "
                             "processes beyond that", SLOW, FULL, "beyond that"),
    "none fits": Example("none of the lengths with gru, which ran out of memory under 16MiB",
                         NOTHING, FULL),
    "table title": Example("**How lmn stands in time**", AHEAD, BROKEN, "**How lmn stands"),
    "table note": Example("Level: it lies within 10 % of 1.", AHEAD, BROKEN,
                          "Level: it lies within"),
    "table few": Example("(of three or four processes it holds rather 90%)",
                         (*of("lmn", 1, 1, processes=3), *of("gru", 2, 2)), AHEAD),
    "cell every": Example("| transformer | everywhere |", AHEAD, GAP, "everywhere"),
    "cell from": Example("| from 128 |", LATE, LATE_GAP, "| from 128 |"),
    "cell up to": Example("| to 128 |", EARLY, ODD, "| to "),
    "cell ended": Example("| transformer did not finish, ahead |", STOPPED, ONCE,
                          "did not finish, ahead"),
    "cell times": Example("| 2.00× [1.94, 2.06] ahead |", AHEAD, ONE, "] ahead |"),
}  # fmt: skip


_SAID: dict[int, str] = {}


def said_of(records: tuple[Record, ...]) -> str:
    """A whole report, without the escapes of Markdown; made once for the same records."""
    if id(records) not in _SAID:
        document = build_report(run_info(), result_set(records), records, len(records))
        _SAID[id(records)] = render_markdown(document).replace("\\", "")
    return _SAID[id(records)]


def literal(key: str) -> list[str]:
    """The pieces of a template between its fields."""
    return re.split(r"\{\w+\}", PHRASES[key])


def test_every_sentence_has_an_example_and_a_counterexample():
    assert list(EXAMPLES) == list(PHRASES)


@pytest.mark.parametrize("key", list(PHRASES))
def test_it_is_said_where_it_is_true(key):
    example = EXAMPLES[key]
    assert example.said in said_of(example.true)
    assert max(literal(key), key=len).strip(" ;,({[")[:40].strip() in said_of(example.true)


@pytest.mark.parametrize("key", list(PHRASES))
def test_it_is_not_said_where_it_is_not(key):
    example = EXAMPLES[key]
    clue = example.clue or max(literal(key), key=len)
    assert clue in said_of(example.true)
    assert clue not in said_of(example.false)


# ------------------------------------------------------------------------------- nothing beside

ROOM = Path(lmn_bench.report.__file__).parent
MODULES = ("standing_lengths", "standing_others", "standing_reasons", "standing_words",
           "standing_table", "standings", "memory_words", "limit_words", "size_words")  # fmt: skip
_PROSE = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")


def prose_of(module: str) -> list[str]:
    """Literal pieces of text of several words that are no docstring of a module."""
    tree = ast.parse((ROOM / f"{module}.py").read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]
    return [text for text in texts if _PROSE.search(text) and text not in PHRASES]


# Words of the data: kinds of endings, reasons, and columns.
DATA = {"few processes", "partly finished", "wide interval", "cannot tell", "not compared",
        "overtakes at", "at the shortest", "at the longest"}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_whatever_is_said_of_two_models_is_one_of_them(module):
    assert set(prose_of(module)) <= DATA


def test_prose_is_found_where_there_is_some():
    assert prose_of("method")


def test_every_phrase_is_used():
    used = "".join((ROOM / f"{name}.py").read_text() for name in (*MODULES, "tables"))
    assert [key for key in PHRASES if f'"{key}"' not in used] == []
