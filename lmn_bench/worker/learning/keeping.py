"""When a training can't be kept: once it is told, twice in a row it is the end."""

from __future__ import annotations

import errno
from collections.abc import Callable

from lmn_bench.disk import disk_words
from lmn_bench.errors import TrainingError
from lmn_bench.worker.learning.telling import Tell

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Keeper:
    """Saves a training as it goes on, and knows what is saved.

    A disk that is full for a moment must not cost what memory still holds, and one that stays full
    must not let a training go on for hours of which nothing would be left.

    Args:
        save: keeps what is learned after so many steps.
        saved: the step that is kept already; None of a training that begins.
        tell: is told "unsaved" of a save that failed, with its `step`, the `reason`, and the step
            that stays `saved`.
        next_time: how to go on once there is room, given the step that is kept; None: there is no
            way.
    """

    def __init__(
        self,
        save: Callable[[int], None],
        saved: int | None,
        tell: Tell,
        next_time: Callable[[int | None], str | None],
    ) -> None:
        self._save, self.saved = save, saved
        self._tell, self._next_time = tell, next_time
        self._failed = False

    def keep(self, step: int, *, can_wait: bool) -> bool:
        """Save; whether that was possible.

        Args:
            step: that is done.
            can_wait: whether it may be tried again at a later step.

        Raises:
            TrainingError: it was not, and neither was the time before, or it cannot wait.
        """
        try:
            self._save(step)
        except OSError as error:
            if self._failed or not can_wait:
                raise self._given_up(step, error) from None
            self._failed = True
            reason = disk_words(error)
            self._tell({"unsaved": {"step": step, "reason": reason, "saved": self.saved}})
            return False
        self.saved, self._failed = step, False
        return True

    def _given_up(self, step: int, error: OSError) -> TrainingError:
        hint = self._next_time(self.saved)
        first = "make room" if error.errno in _NO_ROOM else "mend that"
        return TrainingError(
            f"what was learned by step {step:,} cannot be kept: {disk_words(error)}",
            None if hint is None else f"{first}, then {hint}",
        )
