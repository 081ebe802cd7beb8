"""A user's model in its own process: tried, warmed up, and looked at while it is timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lmn_bench.errors import SubjectError
from lmn_bench.schema import Case
from lmn_bench.subjects.user import UserModel
from lmn_bench.units import format_bytes
from lmn_bench.worker import memory
from lmn_bench.worker.loading import call_once, start_threads
from lmn_bench.worker.trial import Trial, twin_of

# Its first call, of its own length, is the warm-up; where that took so long, pages of libraries
# are nothing beside what it takes itself, and it need not be repeated for its memory.
LONG_CALL_S = 1.0
# Of a core, beyond the threads of the case: the clock ticks in hundredths of a second.
_CORES_ALLOWED = 0.5
_SHORTEST_S = 0.05
# Beyond what a heap grows by as it is cut up.
_GROWTH_BYTES = 32 * 2**20


def warm_up_copy(
    case: Case, subject: UserModel, trial: Trial, dtype: torch.dtype, device: torch.device
) -> None:
    """Load kernels with a short call of a copy, so that no cap counts them.

    The model itself is called at its own length alone, as it would be by itself.
    """
    start_threads(device)
    twin = twin_of(subject)
    attempt = trial.attempt
    tokens = min(attempt.tokens, case.length)
    if attempt.head is None:
        tokens = attempt.tokens
    call_once(case, twin, dtype, device, tokens, attempt.head or tokens)


@contextmanager
def watched(case: Case, warnings: list[str]) -> Iterator[None]:
    """Tell of more cores in use than the case's threads, and of memory that grows with each call.

    Raises:
        SubjectError: the model has set another number of threads: what was timed is another case.
    """
    held, begin, begin_cpu = memory.status_bytes("VmRSS"), time.perf_counter(), time.process_time()
    yield
    spent_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
    require_threads(case)
    if spent_s > _SHORTEST_S and cpu_s / spent_s > case.threads + _CORES_ALLOWED:
        warnings.append(
            f"it computes in threads of its own: {cpu_s / spent_s:.1f} cores were in use while it "
            f"was timed, with threads={case.threads}"
        )
    grown = memory.status_bytes("VmRSS") - held
    if grown > _GROWTH_BYTES:
        warnings.append(f"memory grew by {format_bytes(grown)} over the timed calls: it keeps them")


def require_threads(case: Case) -> None:
    """See that torch still has the case's threads.

    Raises:
        SubjectError: it has others.
    """
    found = torch.get_num_threads()
    if found != case.threads:
        raise SubjectError(
            f"{case.subject} sets torch's threads to {found} while it runs, and is measured with "
            f"{case.threads}",
            "leave threads to --threads",
        )
