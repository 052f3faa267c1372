"""How much of what one attempt's agent says is kept."""

from shiftwork.agents.events import AgentEventKind

_ROWS = 20_000
_BYTES = 20_000_000
_RESERVE = 1_000
"""Rows for events that say how an attempt went; an agent could flood with these too."""

_TELLING = frozenset(
    {
        AgentEventKind.STARTED,
        AgentEventKind.ERROR,
        AgentEventKind.QUESTION,
        AgentEventKind.RATE_LIMITED,
        AgentEventKind.FINISHED,
    }
)


class Allowance:
    """Counts what was kept of an attempt's transcript, and what was not."""

    def __init__(self, rows: int = _ROWS, size: int = _BYTES, reserve: int = _RESERVE) -> None:
        self._rows = rows
        self._bytes = size
        self._reserve = reserve
        self._dropped = 0
        self._dropped_bytes = 0

    def takes(self, kind: AgentEventKind, size: int) -> bool:
        """Whether an event of this kind and so many bytes is kept; it is counted either way."""
        if self._rows > 0 and size <= self._bytes:
            self._rows -= 1
            self._bytes -= size
            return True
        if kind in _TELLING and self._reserve > 0:
            self._reserve -= 1
            return True
        self._bytes = 0  # A transcript with holes would mislead: from here on only what tells how it went.
        self._dropped += 1
        self._dropped_bytes += size
        return False

    @property
    def note(self) -> str:
        """A sentence on what was not kept; '' if everything was."""
        if not self._dropped:
            return ""
        return (
            f"The agent said more than is kept of an attempt: {self._dropped:,} further events "
            f"({self._dropped_bytes / 1e6:.1f} MB) are not in this transcript."
        )
