"""Every stranger, how it is run, and what is right.

`outcomes` are those that a sensible user could be told (per length where they differ), `words` are
regular expressions that the reason or the warnings must hold, for each case that isn't ok or, with
`always`, for those that are too. A check returns complaints.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]


@dataclass
class Seen:
    """What a run left behind: records of the model, all records, its log, output, and how long."""

    records: list[Record]
    everything: list[Record]
    log: list[str]
    stdout: str
    stderr: str
    code: int
    wall_s: float

    def ok(self) -> list[Record]:
        return [record for record in self.records if record["outcome"] == "ok"]


Check = Callable[[Seen], list[str]]


@dataclass(frozen=True)
class Case:
    name: str
    mode: str
    lengths: str
    right: str
    outcomes: Any = ("ok",)
    words: tuple[str, ...] = ()
    always: bool = False
    checks: tuple[Check, ...] = ()
    options: tuple[str, ...] = ()
    beside: str = ""
    limit_s: float = field(default=150.0)


def metric(name: str, *values: float, each: Callable[[int], float] | None = None) -> Check:
    """The metric is one of these numbers in every record that is ok; or a function of length."""

    def check(seen: Seen) -> list[str]:
        said = []
        for record in seen.ok():
            wanted = (each(record["length"]),) if each else values
            found = record["metrics"].get(name)
            if found not in wanted:
                said.append(f"{name} at {record['length']} is {found}, not {wanted}")
        return said

    return check


def between(name: str, low: Callable[[int], float], high: Callable[[int], float]) -> Check:
    """The metric lies within bounds that are functions of length."""

    def check(seen: Seen) -> list[str]:
        said = []
        for record in seen.ok():
            n, found = record["length"], record["metrics"].get(name)
            if found is None or not low(n) <= found <= high(n):
                said.append(f"{name} at {n} is {found}, not in [{low(n)}, {high(n)}]")
        return said

    return check


def takes(seconds: Callable[[int], float]) -> Check:
    """The latency is within a factor 3 above what the model sleeps, and not below it."""
    return between("latency_low_s", lambda n: 0.95 * seconds(n), lambda n: 3 * seconds(n) + 0.01)


def contexts(seen: Seen) -> list[str]:
    """Most steps of decode were at about the contexts asked for, and none far beyond."""
    lengths = [record["length"] for record in seen.ok()]
    if not lengths:
        return []
    logged = [int(line.split()[1]) for line in seen.log if line.startswith("decode")]
    far = [n for n in logged if n > 2 * max(lengths) + 64]
    said = [f"{len(far)} steps up to context {max(far)}"] if far else []
    for length in lengths:
        near = sum(0.5 * length <= n <= 2 * length for n in logged)
        if near < 20:
            said.append(f"only {near} steps at contexts near {length}")
    return said


def weighed(seen: Seen) -> list[str]:
    """A state that lies elsewhere isn't reported as next to nothing without a word."""
    return [
        f"state of {record['metrics'].get('state_bytes')} bytes at {record['length']}, no warning"
        for record in seen.ok()
        if (record["metrics"].get("state_bytes") or 0) < 32 * 4 and not record.get("warnings")
    ]


def small_output(seen: Seen) -> list[str]:
    said = []
    if "NOISE" in seen.stdout:
        said.append("the model's prints are in the command's stdout")
    if len(seen.stderr) > 20_000:
        said.append(f"{len(seen.stderr)} characters on stderr")
    return said


def neighbour_is_fine(seen: Seen) -> list[str]:
    others = [r for r in seen.everything if r not in seen.records]
    said = [
        f"{r['case_id']} is {r['outcome']}: {r['reason']}" for r in others if r["outcome"] != "ok"
    ]
    return said or ([] if others else ["no record of the model beside it"])


def fresh_input(seen: Seen) -> list[str]:
    stds = [float(line.split()[1]) for line in seen.log if line.startswith("std")]
    top = max(stds, default=0.0)
    return [f"input's standard deviation up to {top:g}"] if not 0 < top < 2.5 else []


def recomputed(seen: Seen) -> list[str]:
    """With gradients, a step runs the inner part without (checkpoint) and then with them."""
    graded = sum(line.split()[2] == "1" for line in seen.log if line.startswith("inner"))
    trained = sum(line.split()[3] == "1" for line in seen.log if line.startswith("inner"))
    said = [] if graded > 5 else [f"recomputed {graded} times only"]
    return said if trained > 5 else [*said, f"{trained} calls with self.training"]


def ends_in_time(seconds: float) -> Check:
    return lambda seen: [f"took {seen.wall_s:.0f} s"] if seen.wall_s > seconds else []


def no_orphans(seen: Seen) -> list[str]:
    """The helper is ended with its case (the script ends what is left by its number)."""
    alive = []
    for line in seen.log:
        if line.startswith("pid"):
            pid = int(line.split()[1])
            try:
                os.kill(pid, 0)
            except OSError:
                continue
            alive.append(pid)
            os.kill(pid, 9)
    return [f"{len(alive)} helper processes still lived after the command"] if alive else []


def not_like_first_call(seen: Seen) -> list[str]:
    return [
        f"latency {r['metrics']['latency_s']:.3f} s"
        for r in seen.ok()
        if not 0.019 < r["metrics"]["latency_s"] < 0.06
    ]


def keeps_output(seen: Seen) -> list[str]:
    return [
        f"working memory {r['metrics']['working_memory_bytes']} at {r['length']}"
        for r in seen.ok()
        if r["metrics"]["allocator_peak_bytes"] < r["length"] * 32 * 4
    ]


def no_traceback(seen: Seen) -> list[str]:
    return ["the command printed a traceback"] if "Traceback" in seen.stderr else []


def samples_agree(seen: Seen) -> list[str]:
    """latency_low_s is of the samples' size."""
    return [
        f"latency_low_s {r['metrics']['latency_low_s']} beside a median {m}"
        for r in seen.ok()
        for m in [statistics.median(r["samples_s"])]
        if not m / 3 < r["metrics"]["latency_low_s"] < 1.5 * m
    ]


A, B, C = "strangers_a:", "strangers_b:", "strangers_c:"
MISTAKE = ("error", "incorrect")
CASES: Sequence[Case] = (
    # a: with a state
    Case(A + "local_attention", "decode", "32,256", "ok, state 2·16·32·4 B (+ int), contexts ≤ n",
         checks=(metric("state_bytes", 4096, 4104), contexts, metric("parameters", 4224))),
    Case(A + "complex_scan", "decode", "16,64", "ok, state 32·8·8 B",
         checks=(metric("state_bytes", 2048),)),
    Case(A + "quantised_cache", "decode", "32,128", "ok, state 35 B a token",
         checks=(between("state_bytes", lambda n: 35 * n, lambda n: 35 * n + 8),)),
    Case(A + "scripted", "decode", "32,64", "ok, state 128 B", checks=(
        metric("state_bytes", 128), metric("parameters", 1056))),
    Case(A + "sleepy", "stream", "16,64", "ok, n ms and a little",
         checks=(takes(lambda n: 0.001 * n),)),
    Case(A + "halting", "decode", "16,32", "ok"),
    Case(A + "handles", "decode", "32,64", "incorrect or a warning: state lies outside",
         outcomes=("ok", *MISTAKE), words=("state",), checks=(weighed,)),
    Case(A + "coroutine", "decode", "32,64", "refused: a generator can't be copied or weighed",
         outcomes=("ok", *MISTAKE), words=("state|generator",), checks=(weighed,)),
    Case(A + "shared_out", "decode", "32", "incorrect, though outputs share a buffer",
         outcomes=("incorrect",)),
    Case(A + "off_by_one", "decode", "32", "incorrect: sequential is not parallel",
         outcomes=("incorrect",), words=("token|decode|prefill|sequential",)),
    Case(A + "dither", "decode", "32", "incorrect: random", outcomes=("incorrect",),
         words=("random|same input|twice|repeat|again|determin",)),
    Case(A + "clock", "decode", "32", "incorrect: same input, other output",
         outcomes=("incorrect",), words=("random|same input|twice|repeat|again|determin",)),
    Case(A + "overflow", "decode", "32", "incorrect: NaN", outcomes=("incorrect",),
         words=("nan|finite",)),
    Case(A + "uncopyable", "decode", "32,64", "ok, state 128 B (+ int)",
         checks=(between("state_bytes", lambda n: 128, lambda n: 136),)),
    Case(A + "locked", "decode", "32", "refused: the state can't be copied, and the way out",
         outcomes=("error",), words=("cop(y|ied)", "RLock")),
    Case(A + "batch_mean", "decode", "32", "ok, state 4 rows of 128 B",
         checks=(between("state_bytes", lambda n: 512, lambda n: 520),),
         options=("--set", "batch=4")),
    Case(A + "three_axes", "decode", "32", "error with the shape", outcomes=MISTAKE,
         words=(r"\(batch, 1, width\)|shape|dim",)),
    Case(A + "lost_tail", "read", "64,128", "incorrect: drops what is no multiple of 64",
         outcomes=("incorrect",), words=("read",)),
    Case(A + "blockwise", "read", "100,256", "ok, 20 ms", checks=(takes(lambda n: 0.02),)),
    Case(A + "secret_position", "decode", "32,64", "incorrect: state in the module; or right",
         outcomes=("ok", "incorrect"), words=("state|module|keep",), checks=(contexts,)),
    # b: whole sequences
    Case(B + "hugging_like", "prefill", "64", "ok, or error that names ModelOutput",
         outcomes=("ok", "error"), words=("ModelOutput",)),
    Case(B + "bare_lstm", "train", "64", "ok, or error that names the tuple",
         outcomes=("ok", "error"), words=("tuple",), checks=(metric("parameters", 8448),)),
    Case(B + "weight_normed", "train", "64", "ok, 32·32·4 + 32 + 32 parameters",
         checks=(metric("parameters", 4160),)),
    Case(B + "compiled", "prefill", "64,128", "ok, 4,192 parameters",
         checks=(metric("parameters", 32 * 64 + 64 + 64 * 32 + 32),)),
    Case(B + "int8_linear", "prefill", "64", "ok, without parameters",
         checks=(metric("parameters", 0),)),
    Case(B + "experts", "train", "64", "ok, 32·8 + 8 + 8·1056 parameters",
         checks=(metric("parameters", 264 + 8 * 1056),)),
    Case(B + "thrifty", "train", "64", "ok, recomputed in backward, self.training is up to it",
         checks=(recomputed,)),
    Case(B + "own_backward", "train", "64", "ok"),
    Case(B + "powers_only", "train", "64,96,128", "ok at 64, 128; error with its words at 96",
         outcomes={64: ("ok",), 96: ("error",), 128: ("ok",)},
         words=("power of two.*got 96",)),
    Case(B + "fixed_table", "prefill", "32,64,128", "ok up to 64; error at 128",
         outcomes={32: ("ok",), 64: ("ok",), 128: ("error",)}, words=("index out of range",)),
    Case(B + "lazy_norm", "train", "64", "ok, 1584 + 96 + 1568 parameters",
         checks=(metric("parameters", 1584 + 96 + 1568),)),
    Case(B + "slow_start", "prefill", "64", "ok, 20 ms", checks=(
        takes(lambda n: 0.02), not_like_first_call)),
    Case(B + "ageing", "prefill", "64", "ok, warned: not steady", words=("steady|drift|grow",),
         always=True),
    Case(B + "in_place", "prefill", "64", "ok, fresh input at each call", checks=(fresh_input,)),
    Case(B + "outside_cache", "train", "64", "ok"),
    Case(B + "adapter", "train", "64", "ok, 1,191 parameters, 1,056 of them frozen",
         checks=(metric("parameters", 1191),)),
    Case(B + "frozen", "train", "64", "error: nothing to train", outcomes=("error", "skipped"),
         words=("grad|train",)),
    Case(B + "chatty", "prefill", "64", "ok, output of the command stays readable",
         checks=(small_output,)),
    Case(B + "nomad", "prefill", "64", "ok, results where they should be"),
    Case(B + "threads", "prefill", "64", "ok, the command ends, no helpers left, and told",
         words=("process",), always=True, checks=(ends_in_time(90), no_orphans)),
    # c: mistakes, ends, globals
    Case(C + "unspeakable", "prefill", "64", "error that names the class", outcomes=("error",),
         words=("UnspeakableError",), checks=(no_traceback,)),
    Case(C + "interrupt", "prefill", "64", "error of this model only", outcomes=("error",),
         words=("KeyboardInterrupt",), checks=(neighbour_is_fine, no_traceback), beside="gru"),
    Case(C + "quits", "prefill", "64", "error: the process ended by itself",
         outcomes=("error", "killed"), words=("exit|ended|quit",), checks=(no_traceback,)),
    Case(C + "segfault", "train", "64", "error or killed: SIGSEGV", outcomes=("error", "killed"),
         words=("SIGSEGV|segmentation|signal 11",), checks=(no_traceback,)),
    Case(C + "hangs", "prefill", "64,128", "ok at 64, timeout at 128",
         outcomes={64: ("ok",), 128: ("timeout",)}, words=("20",)),
    Case(C + "greedy", "prefill", "16,2048", "ok at 16; out of memory at 2048",
         outcomes={16: ("ok",), 2048: ("out_of_memory",)}),
    Case(C + "ByWidth", "prefill", "64", "ok, built with its defaults",
         checks=(metric("parameters", 2 * 1056),)),
    Case(C + "instance", "prefill", "64", "ok, the model itself",
         checks=(metric("parameters", 2 * 1056),)),
    Case(C + "awaited", "prefill", "64", "refused: a coroutine", outcomes=("error",),
         words=("coroutine",)),
    Case(C + "forgot_return", "prefill", "64", "refused: None", outcomes=("error",),
         words=("None",)),
    Case(C + "plain_function", "prefill", "64", "ok, or what is missing",
         outcomes=("ok", "error"), words=("Module|forward",)),
    Case(C + "tokens", "prefill", "64", "error: x isn't token numbers", outcomes=("error",),
         words=("width|float|indices",)),
    Case(C + "deaf_to_dtype", "prefill", "64", "ok, converted: 2 bytes a parameter",
         checks=(metric("parameter_bytes", 2 * 1056),), options=("--set", "dtype=bfloat16")),
    Case(C + "drifter", "prefill", "64", "ok, the model beside it too",
         checks=(neighbour_is_fine,), beside="gru"),
    Case(C + "needs_mask", "prefill", "64", "error that names mask", outcomes=("error",),
         words=("mask",)),
    Case(C + "bidirectional", "decode", "32", "incorrect", outcomes=("incorrect",),
         words=("token|decode|prefill|causal|sequential",)),
)  # fmt: skip


def complaints(case: Case, seen: Seen) -> list[str]:
    """All that isn't right."""
    said = [] if seen.records else [f"no record; exit {seen.code}: {last_words(seen.stderr)}"]
    if not seen.records and refused(case, seen):
        said = [] if case.name in seen.stderr else ["the message lacks the model's name"]
    for record in seen.records:
        wanted = case.outcomes
        if isinstance(wanted, dict):
            wanted = wanted[record["length"]]
        if record["outcome"] not in wanted:
            said.append(f"{record['outcome']} at {record['length']}, not {' or '.join(wanted)}")
        elif case.always or record["outcome"] != "ok":
            words = told(record)
            said += [
                f"nothing like /{word}/ in what was said at {record['length']}"
                for word in case.words
                if not re.search(word, words, re.IGNORECASE)
            ]
    return said + [text for check in case.checks for text in check(seen)]


def refused(case: Case, seen: Seen) -> bool:
    """Refused by the command as a whole, with the words that are asked for."""
    return (
        "error" in case.outcomes
        and seen.code == 2
        and all(re.search(word, seen.stderr, re.IGNORECASE) for word in case.words)
    )


def told(record: Record) -> str:
    return " | ".join([record.get("reason") or "", *(record.get("warnings") or [])])


def last_words(text: str) -> str:
    return " ".join(text.split())[-300:]
