"""A user's model is tried before it is measured: what it takes, and whether it does what it says.

Every attempt is made in a copy of the process (`subjects.apart`), or where that cannot be, with a
copy of the model: what is measured is as if none had been made.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lmn_bench.errors import SubjectError
from lmn_bench.plain import message_of, said_at
from lmn_bench.schema import Case
from lmn_bench.subjects.apart import can_be_apart, without_trace
from lmn_bench.subjects.behaviour import axis_problems, changes_its_input, why_not_repeatable
from lmn_bench.subjects.protocol import INFERENCE
from lmn_bench.subjects.user import CALLINGS, MODES_HINT, UserModel
from lmn_bench.worker.caps import is_out_of_memory
from lmn_bench.worker.checks import (
    PARALLEL_TOKENS,
    READ_TOKENS,
    TOKENS,
    IncorrectSubjectError,
    check_read,
    check_subject,
    difference,
    require_finite,
    tolerance,
)
from lmn_bench.worker.compiling import uncompiled
from lmn_bench.worker.states import check_states, check_stream
from lmn_bench.worker.waiting import ThreadDiedError, not_for_the_dead

# Tokens of a trial: few, then what models ask for that take no number of tokens, such as multiples
# of a chunk, at least so many, or at most; the case's own length in the end.
LENGTHS = (5, 16, 64, 2, 128, 1, 32, 256, 512, 1024)
# Likewise, tokens read at once and in all, the rest one by one.
PAIRS = ((PARALLEL_TOKENS, TOKENS), (16, 32), (4, 8), (64, 80), (2, 4), (128, 144), (1, 2),
         (256, 272))  # fmt: skip
# A longer call for nothing but to try is left out.
_LONGEST = 4096
_OWN_THREADS = "its own threads would not be in inference mode"
INPUT_HINT = "inputs are (batch, tokens, width), and (batch, width) for decode"


class RefusedError(SubjectError):
    """The model raised an error on an input that others take; another one may do."""


class ThreadRefusedError(RefusedError):
    """Likewise, in a thread of its own that it went on waiting for."""


@dataclass(frozen=True)
class Attempt:
    """How one trial is made: examples, tokens read at once (None: no decode), and in all."""

    calling: str
    batch: int
    head: int | None
    tokens: int


@dataclass(frozen=True)
class Trial:
    """What was found out.

    Attributes:
        attempt: the first that went well.
        changes_input: whether a call writes into its input.
        check_error: largest relative difference between ways of running; None where there is one.
        hides_state: whether decode depends on what was read, and the state has no bytes.
        warnings: what a record should tell.
    """

    attempt: Attempt
    changes_input: bool = False
    check_error: float | None = None
    hides_state: bool = False
    warnings: tuple[str, ...] = ()


def try_out(subject: UserModel, case: Case, dtype: torch.dtype, device: torch.device) -> Trial:
    """Find a way to call the model, and check it; it is told how it is to be called.

    Raises:
        SubjectError: it takes no input, or gives something else than outputs.
        IncorrectSubjectError: its outputs are not finite, or depend on more than its input.
    """
    refused: list[RefusedError] = []
    waits_under: set[str] = set()
    for attempt in _attempts(subject, case, has_threads=threading.active_count() > 1):
        if attempt.calling in waits_under:
            continue
        try:
            trial = _without_trace(subject, case, attempt, dtype, device)
        except RefusedError as error:
            refused.append(error)
            if isinstance(error, ThreadRefusedError):
                # Other lengths would be waited for as long, one after the other.
                waits_under.add(attempt.calling)
                if not can_be_apart(device):
                    # The thread is dead for all further calls too.
                    raise
            continue
        subject.calling, subject.changes_input = attempt.calling, trial.changes_input
        return replace(trial, warnings=(*trial.warnings, *_calling_warning(attempt, refused)))
    raise refused[0]


def _attempts(subject: UserModel, case: Case, *, has_threads: bool) -> Iterator[Attempt]:
    longest = max(case.length, TOKENS)
    pairs: list[tuple[int | None, int]] = []
    if "decode" in subject.modes or case.mode == "stream":
        pairs += [(head, whole) for head, whole in PAIRS if whole <= longest]
    alone = (*(n for n in LENGTHS if n <= longest), min(case.length, _LONGEST))
    if case.mode not in ("decode", "stream"):
        pairs += [(None, tokens) for tokens in dict.fromkeys(alone)]
    # A training step has gradients whatever is tried.
    callings = list(CALLINGS)
    if case.mode == "train":
        callings = callings[:1]
    elif has_threads:
        # Inference mode is a thread's own: others may not keep what is made in it, fail, and are
        # waited for.
        callings.remove(INFERENCE)
    for calling in callings:
        for batch in dict.fromkeys((2, case.batch)):
            for head, tokens in pairs:
                yield Attempt(calling, batch, head, tokens)


def _calling_warning(attempt: Attempt, refused: list[RefusedError]) -> Iterator[str]:
    if attempt.calling != INFERENCE:
        why = f"inference mode fails: {refused[0].message}" if refused else _OWN_THREADS
        yield f"run under {attempt.calling}, as {why}"


def _without_trace(
    subject: UserModel, case: Case, attempt: Attempt, dtype: torch.dtype, device: torch.device
) -> Trial:
    known = (SubjectError, IncorrectSubjectError)

    def call(of: UserModel) -> Trial:
        with uncompiled():
            return _Trying(of, case, attempt, dtype, device).run()

    return without_trace(lambda: call(subject), known, device, here=lambda: call(twin_of(subject)))


def twin_of(subject: UserModel) -> UserModel:
    """The subject around a copy of its model; around the model itself where it has none."""
    twin = copy.copy(subject)
    try:
        twin.model = copy.deepcopy(subject.model)
    except Exception:
        # Whatever a model holds that cannot be copied, a lock or a graph: it is called itself.
        return subject
    return twin


class _Trying:
    """One attempt."""

    def __init__(
        self,
        subject: UserModel,
        case: Case,
        attempt: Attempt,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._subject, self._case, self._attempt = subject, case, attempt
        self._dtype, self._device = dtype, device
        self._warnings: list[str] = []

    def run(self) -> Trial:
        subject, mode, attempt = self._subject, self._case.mode, self._attempt
        torch.manual_seed(0)
        threads = torch.get_num_threads()
        subject.calling = attempt.calling
        x, other = self._input(), self._input()
        changes, hides = False, False
        error = None
        if mode == "train":
            self._train(x)
        with subject.calls():
            if "prefill" in subject.modes and mode != "stream":
                changes = self._prefill(x, other)
            if mode == "read":
                error = self._read(x)
            if attempt.head is not None and "decode" in subject.modes:
                found = self._attempted("decode", x, lambda: self._decode(x, other))
                error, hides = max(found[0], error or 0.0), found[1]
                changes = found[2] if mode == "decode" else changes
            elif mode == "stream":
                changes = self._attempted(
                    "decode", x, lambda: check_stream(subject, x, other, self._same)
                )
        # Apart, there is but one, whatever the case has.
        if torch.get_num_threads() not in (threads, self._case.threads):
            raise SubjectError(
                f"{subject.name} sets torch's threads to {torch.get_num_threads()} while it runs, "
                f"and is measured with {self._case.threads}",
                "leave threads to --threads",
            )
        return Trial(attempt, changes, error, hides, tuple(self._warnings))

    def _input(self) -> Tensor:
        shape = (self._attempt.batch, self._attempt.tokens, self._case.model.width)
        return torch.randn(shape, dtype=self._dtype, device=self._device)

    def _same(self, one: Tensor, two: Tensor) -> bool:
        return difference(one, two) <= tolerance(self._dtype)

    def _train(self, x: Tensor) -> None:
        loss = self._attempted("train_step", x, lambda: self._subject.train_step(x.clone()))
        if not isinstance(loss, Tensor):
            raise SubjectError(
                f"{self._subject.name}: train_step returned {type(loss).__name__}, not its loss",
                "return the loss, a tensor of one number",
            )
        require_finite(loss)

    def _prefill(self, x: Tensor, other: Tensor) -> bool:
        """Check prefill; whether it changes its input."""
        subject, learns = self._subject, self._case.mode == "train"

        def run(given: Tensor) -> Tensor:
            result = self._attempted(
                "prefill", given, lambda: subject.prefill(given, capacity=given.shape[1] + 1)
            )
            self._require_pair("prefill", result)
            output: Tensor = result[0]
            return output

        output = run(x.clone())
        self._require_output("prefill", output, x)
        if learns:
            # Random numbers belong to training, and what a training keeps is its own affair.
            return False
        require_finite(output)
        why = why_not_repeatable(run, x, other, self._same)
        if why is not None:
            raise IncorrectSubjectError(f"prefill {why}")
        if min(x.shape[:2]) > 1:
            for wrong, words in axis_problems(run, x, other, self._same):
                if wrong:
                    raise IncorrectSubjectError(words)
                self._warnings.append(words)
        return changes_its_input(lambda given: run(given), x)

    def _decode(self, x: Tensor, other: Tensor) -> tuple[float, bool, bool]:
        """Difference from prefill; whether state is hidden, and whether tokens are changed."""
        subject, attempt = self._subject, self._attempt
        assert attempt.head is not None
        states = check_states(subject, x, other, attempt.head, self._same)
        error = check_subject(
            subject, self._case.model.width, self._dtype, self._device, batch=attempt.batch,
            from_nothing="stream" in subject.modes, tokens=(attempt.head, attempt.tokens),
        )  # fmt: skip
        return error, *states

    def _read(self, x: Tensor) -> float | None:
        subject = self._subject
        last, _ = self._attempted("read", x, lambda: _pair(subject.read(x)))
        self._require_output("read", last, x[:, 0])
        if "prefill" not in subject.modes:
            return None
        width, found = self._case.model.width, None
        for tokens in (READ_TOKENS, x.shape[1]):
            try:
                found = check_read(subject, width, self._dtype, self._device, tokens=tokens)
            except IncorrectSubjectError:
                raise
            except Exception as error:
                if is_out_of_memory(error) or tokens == x.shape[1]:
                    raise
                continue
            break
        return found

    def _require_pair(self, method: str, result: Any) -> None:
        if not (isinstance(result, tuple) and len(result) == 2):
            raise SubjectError(
                f"{self._subject.name}: {method} returned {type(result).__name__}, not (output, "
                "state)",
                MODES_HINT,
            )

    def _require_output(self, method: str, output: Any, x: Tensor) -> None:
        got = type(output).__name__
        if isinstance(output, Tensor):
            got = f"{output.dtype} of shape {tuple(output.shape)}"
            if output.shape == x.shape and output.dtype.is_floating_point:
                if output.dtype != x.dtype:
                    self._warnings.append(f"{method} gave {output.dtype} for {x.dtype}")
                return
        raise SubjectError(
            f"{self._subject.name}: {method} gave {got} for {x.dtype} of shape {tuple(x.shape)}",
            "a subject's outputs have the shape and type of its inputs",
        )

    def _attempted(self, method: str, x: Tensor, call: Callable[[], Any]) -> Any:
        try:
            with not_for_the_dead():
                return call()
        except (SubjectError, IncorrectSubjectError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            # Ctrl-C never reaches this process, which has a group of its own: it is the model's.
            if is_out_of_memory(error):
                raise
            kind = ThreadRefusedError if isinstance(error, ThreadDiedError) else RefusedError
            raise kind(
                f"{self._subject.name}: {method} raised {said_at(error)} on a trial input of "
                f"shape {tuple(x.shape)}",
                _hint(error),
            ) from error


def _pair(result: Any) -> Any:
    return result if isinstance(result, tuple) and len(result) == 2 else (result, None)


def _hint(error: BaseException) -> str:
    if isinstance(error, TypeError) and "required positional argument" in message_of(error):
        return "wrap it in a module whose forward takes x alone and hands it on as often as needed"
    return INPUT_HINT
