"""A profile, start to end: what one forked process measures of one call, pass by pass.

Every pass has instruments of its own, so that none is seen by another: times without any and by
parts in alternation, then operators, FLOPs, memory by part, resident memory, lines.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from lmn_bench.errors import LmnBenchError, ProfileError, UsageError
from lmn_bench.outcomes import allocation_that_failed
from lmn_bench.schema import Case
from lmn_bench.subjects.build import build
from lmn_bench.subjects.protocol import Subject, supported_modes
from lmn_bench.worker import memory
from lmn_bench.worker.caps import is_out_of_memory, memory_budget
from lmn_bench.worker.clock import Clock, clock_for
from lmn_bench.worker.measure import load_everything, start_cuda
from lmn_bench.worker.profiling.clock import ClockCost, PartClock, clock_cost
from lmn_bench.worker.profiling.cuda_clock import CudaPartClock
from lmn_bench.worker.profiling.flops import count_flops
from lmn_bench.worker.profiling.held import held_by_site
from lmn_bench.worker.profiling.instruments import Instruments
from lmn_bench.worker.profiling.lines import functions_of, memory_by_line
from lmn_bench.worker.profiling.operators import Trace, trace_call
from lmn_bench.worker.profiling.power import energy_of
from lmn_bench.worker.profiling.timed import Call, TimedParts, time_parts
from lmn_bench.worker.workload import build_workload, counting_mode, grad_mode, make_input

# Tokens decoded after the context; the same window as in a run.
DECODE_WINDOW: Final = 32
# An operator takes the profiler about a kilobyte; read one by one, a token takes about 20 a layer.
MOST_OPERATORS: Final = 500_000
_OPERATORS_PER_TOKEN: Final = 20
# Counting FLOPs slows operations down by about this much.
_COUNTING_SLOWDOWN: Final = 12.0
_COUNTING_LIMIT_S: Final = 60.0
# The kernel's peak is read so often, where a call takes no longer than this.
_PEAKS: Final = 5
_LONG_CALL_S: Final = 5.0


@dataclass(frozen=True)
class ProfileJob:
    """What the parent asks for.

    Attributes:
        case: what to run.
        seed: of the weights.
        lines: look at memory line by line too.
        trace: where to save the Chrome trace.
    """

    case: Case
    seed: int
    lines: bool
    trace: Path

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ProfileJob:
        """The job in `data`."""
        return cls(Case.from_dict(data["case"]), data["seed"], data["lines"], Path(data["trace"]))


def run_profile(job: ProfileJob) -> dict[str, Any]:
    """Measure, and return plain data for `lmn_bench.profiles`.

    Raises:
        SubjectError: the subject cannot be imported, or built in this size.
        UsageError: it lacks the mode.
        ProfileError: it fails, or runs out of memory.
    """
    try:
        return _Profiler(job).run()
    except LmnBenchError:
        raise
    except Exception as error:
        case = job.case
        what = f"{case.subject} in {case.mode} at {case.length:,} tokens"
        if is_out_of_memory(error):
            raise ProfileError(
                f"{what} ran out of memory: {allocation_that_failed(str(error))}",
                "take a shorter --length or a smaller --batch",
            ) from error
        raise ProfileError(f"{what} raised {type(error).__name__}: {error}") from error


class _Profiler:
    """The passes over one call."""

    def __init__(self, job: ProfileJob) -> None:
        self._job, self._case = job, job.case
        cuda = self._case.device == "cuda"
        self._device = torch.device("cuda", 0) if cuda else torch.device("cpu")
        self._dtype: torch.dtype = getattr(torch, self._case.dtype)
        self._warnings: list[str] = []

    def run(self) -> dict[str, Any]:
        case = self._case
        _refuse_too_many(case)
        torch.set_num_threads(case.threads)
        if self._device.type == "cuda":
            start_cuda(self._device, {})
        subject = build(
            case.subject, case.model, dtype=self._dtype, device=self._device, seed=self._job.seed
        )
        modes = supported_modes(subject)
        if case.mode not in modes:
            raise UsageError(
                f"{case.subject} has no {case.mode}", f"it has: {', '.join(sorted(modes))}"
            )
        torch.manual_seed(0)
        load_everything(case, subject, self._dtype, self._device)
        with memory_budget(None, self._device), grad_mode(case.mode):
            call = self._call(subject)
            instruments = Instruments(case.subject, subject)
            clear = _gradient_clearer(subject)
            call.run(call.prepare())
            working = self._working_peaks(call, clear)
            timed = self._timed(call, instruments)
            once_s = timed.latency_s * call.units
            energy = energy_of(lambda: call.run(call.prepare()), call.tokens, once_s, self._device)
        flops = self._flops(call, instruments, once_s)
        with grad_mode(case.mode):
            traced, held_trace = self._traced(call, instruments, clear)
            memory.map_large_blocks()
            mapped = self._working_peaks(call, clear)
            resident = memory.timeline(lambda: call.run(call.prepare()))
            lines = self._lines(call, instruments, subject) if self._job.lines else None
        return {
            **asdict(timed),
            "per": "token" if call.units > 1 else "sequence",
            "sites": [list(site) for site in instruments.sites],
            "flops": _flat(flops, call.units),
            **_operators(traced, len(instruments.sites), call.units),
            **_memory(held_trace, len(instruments.sites), working, mapped),
            "energy": energy,
            "resident_timeline": [list(point) for point in resident],
            "lines": lines,
            "parameters": sum(parameter.numel() for parameter in subject.parameters()),
            "warnings": self._warnings,
        }

    def _call(self, subject: Subject) -> Call:
        """The work that is profiled; of decode, the window after the step to token `length`."""
        case = self._case
        work = build_workload(
            case, subject, dtype=self._dtype, device=self._device, clock=clock_for(self._device),
            decode_window=DECODE_WINDOW,
        )  # fmt: skip
        if case.mode != "decode":
            return Call(work.prepare, lambda p: work.run(p)[0], 1, case.batch * case.length)
        torch.manual_seed(0)
        tokens = make_input(case, DECODE_WINDOW + 1, self._dtype, self._device).unbind(1)

        def prepare() -> Any:
            return subject.decode(tokens[0], work.prepare())[1]

        def run(state: Any) -> Any:
            output = None
            for token in tokens[1:]:
                output, state = subject.decode(token, state)
            return output

        return Call(prepare, run, DECODE_WINDOW, case.batch * DECODE_WINDOW)

    def _working_peaks(self, call: Call, clear: Callable[[], None]) -> list[int]:
        """What the kernel (on CUDA, torch) saw a call take at most beyond what was held, often."""
        found: list[int] = []
        timer, spent_s = clock_for(self._device), 0.0
        while len(found) < _PEAKS and spent_s < _LONG_CALL_S:
            clear()
            peak, seconds = memory.peak_of(_once(call, timer), self._device)
            found.append(max(0, peak.peak - peak.before))
            spent_s += seconds
        return found

    def _timed(self, call: Call, instruments: Instruments) -> TimedParts:
        trains = self._case.mode == "train"
        count = len(instruments.sites)
        clock: PartClock | CudaPartClock
        if self._device.type == "cuda":
            clock, cost = CudaPartClock(count, self._device), ClockCost(0.0, 0.0)
        else:
            clock, cost = PartClock(count, trains=trains), clock_cost(trains=trains)
        self._compare_outputs(call, instruments, clock)
        timer = clock_for(self._device)
        return time_parts(call, timer, clock, cost, lambda: instruments.installed(clock))

    def _compare_outputs(
        self, call: Call, instruments: Instruments, clock: PartClock | CudaPartClock
    ) -> None:
        """The rewritten functions must give what the subject's own do."""
        torch.manual_seed(0)
        plain = call.run(call.prepare())
        with instruments.installed(clock):
            torch.manual_seed(0)
            prepared = call.prepare()
            clock.start()
            watched = call.run(prepared)
            clock.stop()
        if not torch.equal(plain, watched):
            apart = (plain - watched).abs().max().item()
            self._warnings.append(
                f"the output with instruments differs from that without by up to {apart:.2g}"
            )

    def _flops(
        self, call: Call, instruments: Instruments, once_s: float
    ) -> dict[tuple[int, str], int] | None:
        estimate_s = once_s * _COUNTING_SLOWDOWN
        if estimate_s > _COUNTING_LIMIT_S:
            self._warnings.append(f"FLOPs not counted: that would take about {estimate_s:.0f} s")
            return None
        with counting_mode(self._case.mode):
            return count_flops(
                lambda: call.run(call.prepare()), len(instruments.sites), instruments.installed,
                trains=self._case.mode == "train",
            )  # fmt: skip

    def _traced(
        self, call: Call, instruments: Instruments, clear: Callable[[], None]
    ) -> tuple[Trace, Trace]:
        """One call for its operators, and one for its memory."""
        traces = []
        # The profiler's own first call is slow.
        for memory_too, save_to in ((False, None), (False, self._job.trace), (True, None)):
            clear()
            traces.append(trace_call(
                _once(call, clock_for(self._device)), instruments.sites, instruments.installed,
                device=self._device, memory=memory_too, save_to=save_to,
            ))  # fmt: skip
        return traces[1], traces[2]

    def _lines(
        self, call: Call, instruments: Instruments, subject: Subject
    ) -> list[dict[str, Any]]:
        functions: list[Callable[..., Any]] = [place.function for place in instruments.places]
        if ":" in self._case.subject:
            functions = functions_of(getattr(subject, "model", subject))
        prepared = call.prepare()
        return memory_by_line(lambda: call.run(prepared), functions)


def _operators(trace: Trace, sites: int, units: int) -> dict[str, Any]:
    uses = [
        [site, name, use.calls / units, use.self_ns * 1e-9 / units]
        for (site, name), use in trace.uses.items()
    ]
    between = [trace.between_ns.get(site, 0) * 1e-9 / units for site in range(sites)]
    return {"uses": uses, "between_s": between, "profiled_s": trace.seconds / units}


def _once(call: Call, timer: Clock) -> Callable[[], float]:
    """A call, with what it uses up made before, that says how long it took."""
    prepared = call.prepare()
    return lambda: timer.time(lambda: call.run(prepared))


def _refuse_too_many(case: Case) -> None:
    per_token = _OPERATORS_PER_TOKEN * case.model.layers
    if case.mode == "stream" and per_token * case.length > MOST_OPERATORS:
        raise UsageError(
            f"{case.length:,} tokens one by one are more operators than a profiler can hold",
            f"take a --length of up to {MOST_OPERATORS // per_token:,}, or --mode decode",
        )


def _gradient_clearer(subject: Subject) -> Callable[[], None]:
    """Drops the gradients of a training step, so that the next one allocates its own again."""

    def clear() -> None:
        for parameter in subject.parameters():
            parameter.grad = None

    return clear


def _flat(flops: dict[tuple[int, str], int] | None, units: int) -> list[list[Any]] | None:
    if flops is None:
        return None
    return [[site, name, count / units] for (site, name), count in flops.items()]


def _memory(trace: Trace, sites: int, working: list[int], mapped: list[int]) -> dict[str, Any]:
    held = held_by_site(trace.allocations, sites, trace.begin_ns)
    return {
        "working_bytes": int(statistics.median(working)),
        "mapped_bytes": int(statistics.median(mapped)),
        "peak_bytes": list(held.peak_bytes),
        "freed_bytes": held.freed_bytes,
        "timeline": {"seconds": list(held.seconds), "points": [list(p) for p in held.points],
                     "peak_at": held.peak_at},
    }  # fmt: skip
