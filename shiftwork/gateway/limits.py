"""Until when which of a provider's models want no more."""

from datetime import datetime

_MODELS = 64
"""Limits that are remembered: an agent may ask models by any number of names."""


class Limits:
    """The limits that one session ran into; each is of one model, since others may go on answering."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}
        self.last = False
        """Whether the newest answer was a limit: nothing else was to be had after it."""

    def __bool__(self) -> bool:
        return bool(self._until)

    @property
    def until(self) -> datetime | None:
        """When the last of them ends."""
        return max(self._until.values(), default=None)

    def concern(self, model: str) -> bool:
        """Whether this model is among those that want no more, by what it is called here or there."""
        own = _bare(model)
        return any(
            not name or _bare(name).startswith(own) or own.startswith(_bare(name)) for name in self._until
        )

    def note(self, model: str, until: datetime | None) -> None:
        """A model wants no more; '' is one whose name is not known."""
        self.last = True
        if until is None:
            return
        self._until.pop(model, None)
        if len(self._until) >= _MODELS:
            del self._until[min(self._until, key=self._until.__getitem__)]
        self._until[model] = until

    def answered(self, *models: str) -> None:
        """A model answers, by any of these names."""
        self.last = False
        for model in (*models, ""):
            self._until.pop(model, None)


def _bare(model: str) -> str:
    """A model's name without its provider."""
    return model.rpartition("/")[2].rpartition(":")[2].lower()
