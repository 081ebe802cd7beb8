"""A call that waits for a thread of the model's own is not waited for once that thread has died."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lmn_bench.plain import said_at

# After a thread's error, a call that has noticed ends at once; one that waits for an answer of it
# does so for ever.
_GRACE_S = 3.0
# Nothing in Python uses it by itself.
_SIGNAL = signal.SIGUSR2


class ThreadDiedError(Exception):
    """A thread of the model's own ended with an error, and the call went on waiting."""


@contextmanager
def not_for_the_dead(grace_s: float = _GRACE_S) -> Iterator[None]:
    """Break off what runs inside, `grace_s` seconds after an error that ended another thread.

    Raises:
        ThreadDiedError: in the main thread, where that waited; it says what the thread raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    said: list[str] = []
    timers: list[threading.Timer] = []
    main, hook_before = threading.main_thread(), threading.excepthook

    def note(arguments: threading.ExceptHookArgs) -> None:
        hook_before(arguments)
        if arguments.exc_value is None or timers:
            return
        said.append(said_at(arguments.exc_value))
        assert main.ident is not None
        timers.append(threading.Timer(grace_s, signal.pthread_kill, (main.ident, _SIGNAL)))
        timers[0].daemon = True
        timers[0].start()

    def break_off(number: int, frame: FrameType | None) -> None:
        raise ThreadDiedError(f"{said[0]} in a thread of its own, and waited for that thread")

    handler_before = signal.signal(_SIGNAL, break_off)
    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = hook_before
        for timer in timers:
            timer.cancel()
            timer.join()
        signal.signal(_SIGNAL, handler_before)
