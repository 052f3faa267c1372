"""A reader that survives what an agent prints."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from shiftwork.agents.bounds import resume_time
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.protocol import Reader
from shiftwork.text import one_line, truncate

log = logging.getLogger("shiftwork.agents")

_PROBLEM_CHARACTERS = 200


class GuardedReader:
    """Passes over lines that its reader stumbles on, and says at the end how many those were.

    An exception would have the whole attempt repeated, again and again, on the same line.
    """

    def __init__(self, reader: Reader, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._reader = reader
        self._now = now
        self._skipped = 0
        self._problem = ""

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        return self._safely(lambda: self._reader.read(line))

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """See `Reader.end`."""
        events = self._safely(lambda: self._reader.end(exit_status))
        if self._skipped:
            text = (
                f"{self._skipped} of the agent's lines could not be understood, and were passed over "
                f"(the first: {self._problem})."
            )
            events.append(AgentEvent(kind=AgentEventKind.TEXT, text=text))
        return events

    def _safely(self, events: Callable[[], Iterable[AgentEvent]]) -> list[AgentEvent]:
        try:
            return [self._bounded(event) for event in events()]
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt would meet it again
            if not self._skipped:
                self._problem = truncate(one_line(f"{type(error).__name__}: {error}"), _PROBLEM_CHARACTERS)
                log.warning("a line of an agent's output can't be understood: %s", self._problem)
            self._skipped += 1
            return []

    def _bounded(self, event: AgentEvent) -> AgentEvent:
        if event.until is None:
            return event
        return event.model_copy(update={"until": resume_time(event.until, self._now())})
