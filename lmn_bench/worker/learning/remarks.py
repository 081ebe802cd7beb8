"""What a record of a training should tell of a user's model beside its scores."""

from __future__ import annotations

from torch import nn

from lmn_bench.schema import Case
from lmn_bench.worker.settings import Settings
from lmn_bench.worker.warming import require_threads

_SAME_MODEL = (
    "its factory returns one and the same model every time: its weights are not drawn by the seed"
)


class Remarks:
    """Looks at a process after a model's code has run in it, and keeps what is to be told.

    Args:
        settings: of the process before.
        case: what is learned.
    """

    def __init__(self, settings: Settings, case: Case) -> None:
        self._settings, self._case = settings, case
        self._bodies: list[object] = []
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """Each different one once."""
        return list(self._warnings)

    def look_at(self, model: nn.Module) -> None:
        """After a model was built: take back the settings that count, and tell the others."""
        self._add(*(f"its code {what}" for what in self._settings.restore()))
        self._add(*getattr(model, "notes", ()))
        body = getattr(model, "body", None)
        if body is not None:
            if any(body is one for one in self._bodies):
                self._add(_SAME_MODEL)
            self._bodies.append(body)

    def look_after_steps(self) -> None:
        """After it has run.

        Raises:
            SubjectError: torch has other threads than the case's.
        """
        require_threads(self._case)

    def _add(self, *warnings: str) -> None:
        self._warnings |= dict.fromkeys(warnings)
