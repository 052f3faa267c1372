"""Changes of control state on their way to the rows."""

from typing import Any

from shiftwork.contracts.bookkeeping import EventDraft, SaveRequest
from shiftwork.contracts.feature import FeatureEdit
from shiftwork.contracts.state import FeatureState, ProjectState

_OF_THE_ROWS = {"setup", "setup_is_planned"}
"""What a workflow does not know of the options: saving those must not take it away."""


class Ledger:
    """Collects what changed until it is taken to the rows, under a revision that only grows.

    Invariant: whatever was noted is in exactly one `SaveRequest`; the caller retries that until it succeeds.
    """

    def __init__(self, state: ProjectState) -> None:
        self._state = state
        self._features: dict[int, FeatureState] = {}
        self._edits: list[FeatureEdit] = []
        self._events: list[EventDraft] = []
        self._options = False
        self._dirty = False
        self._events_noted = 0

    @property
    def pending(self) -> bool:
        """Whether there is anything the rows don't know yet."""
        return self._dirty

    def note(self, *features: FeatureState, edit: FeatureEdit | None = None, options: bool = False) -> None:
        """Something changed: these features, or only the project itself."""
        self._features.update({f.id: f for f in features})
        self._edits += [edit] if edit else []
        self._options |= options
        self._dirty = True

    def event(self, kind: str, *, actor: str = "", reference: str = "", **data: Any) -> None:
        """Something happened that people will read about."""
        self._events_noted += 1
        key = f"{kind}:{self._state.revision + 1}:{self._events_noted}"
        self._events.append(EventDraft(kind=kind, key=key, actor=actor, reference=reference, data=data))
        self._dirty = True

    def next_revision(self) -> int:
        """A new revision."""
        self._state.revision += 1
        return self._state.revision

    def take(self) -> SaveRequest:
        """Everything noted so far, under a new revision."""
        state = self._state
        if self._edits:
            # An edit is written under a revision of its own, before the control state that follows from it.
            self.next_revision()
        request = SaveRequest(
            project_id=state.project_id,
            revision=self.next_revision(),
            status=state.status,
            reason=state.reason,
            not_before=state.not_before,
            budget_usd=state.options.budget_usd,
            options=state.options.model_dump(mode="json", exclude=_OF_THE_ROWS) if self._options else None,
            # Copies: what is sent must not change while it waits for its workflow task to complete.
            features=tuple(f.model_copy() for f in self._features.values()),
            edits=tuple(self._edits),
            events=tuple(self._events),
        )
        self._features, self._edits, self._events = {}, [], []
        self._options = self._dirty = False
        return request
