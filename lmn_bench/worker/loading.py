"""What a process prepares before a case is measured: contexts, threads, kernels."""

from __future__ import annotations

from typing import Any

import torch

from lmn_bench.schema import Case
from lmn_bench.subjects.protocol import Subject
from lmn_bench.worker.checks import require_finite
from lmn_bench.worker.workload import grad_mode

# Large enough for torch to start its threads: their stacks belong to the process, not to a case.
_PARALLEL_ELEMENTS = 1 << 20
# Tokens of the warm-up that loads kernels and libraries before a cap is set.
_TINY_LENGTH = 4


def start_cuda(device: torch.device, metrics: dict[str, Any]) -> None:
    """Make the CUDA context and note its size; float32 is float32 from here on."""
    # float32 means float32 for everyone: cuDNN's recurrent kernels would round to TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.zeros(1, device=device)  # makes the context
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    # Nothing can be read before the context exists, so other processes' memory is in it too; the
    # parent asks NVML whether there are any, and warns.
    metrics["context_memory_bytes"] = max(0, total - free - reserved)


def load_everything(case: Case, subject: Subject, dtype: torch.dtype, device: torch.device) -> None:
    """Start threads and load kernels at a tiny length, so that no cap or peak counts them."""
    start_threads(device)
    call_once(case, subject, dtype, device, _TINY_LENGTH, _TINY_LENGTH // 2)
    for parameter in subject.parameters():
        parameter.grad = None


def start_threads(device: torch.device) -> None:
    """Let torch start its threads now."""
    torch.empty(_PARALLEL_ELEMENTS, device=device).fill_(0.0)


def call_once(
    case: Case, subject: Subject, dtype: torch.dtype, device: torch.device, tokens: int, head: int
) -> None:
    """What a case does, once, with `tokens` tokens; of decode, `head` of them read at once."""
    with grad_mode(case.mode, subject):
        tiny = torch.randn(case.batch, tokens, case.model.width, dtype=dtype, device=device)
        if case.mode == "train":
            require_finite(subject.train_step(tiny))
        elif case.mode == "prefill":
            require_finite(subject.prefill(tiny)[0])
        elif case.mode == "read":
            subject.read(tiny)
        elif case.mode == "decode":
            _, state = subject.prefill(tiny[:, :head], capacity=tokens)
            for token in tiny[:, head:].unbind(1):
                _, state = subject.decode(token, state)
        else:
            state = subject.initial_state(case.batch, capacity=tokens)
            for token in tiny.unbind(1):
                _, state = subject.decode(token, state)
