"""Until when which of a provider's models want no more."""

from datetime import datetime

_MODELS = 64
"""Limits that are remembered: an agent may ask models by any number of names."""


class Limits:
    """The limits that one session ran into; each is of one model, since others may go on answering."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    @property
    def until(self) -> datetime | None:
        """When the last of them ends."""
        return max(self._until.values(), default=None)

    def note(self, model: str, until: datetime | None) -> None:
        """A model wants no more; '' is one whose name is not known."""
        if until is None:
            return
        self._until.pop(model, None)
        if len(self._until) >= _MODELS:
            del self._until[min(self._until, key=self._until.__getitem__)]
        self._until[model] = until

    def answered(self, *models: str) -> None:
        """A model answers, by any of these names."""
        for model in (*models, ""):
            self._until.pop(model, None)
