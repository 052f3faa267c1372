"""Following what an agent's program says: lines become events, and its last word ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import Reader
from shiftwork.runner.spec import ProcessResult, StopSignal, StreamName
from shiftwork.text import printable, truncate

OnEvent = Callable[[AgentEvent], Awaitable[None]]

ERROR_CHARACTERS = 2_000
"""How much is kept of what went wrong."""

_TERMINAL = frozenset({AgentEventKind.FINISHED, AgentEventKind.QUESTION, AgentEventKind.RATE_LIMITED})


class Listener:
    """Turns lines into events, remembers what counts, and is the stop signal of the process."""

    def __init__(
        self,
        reader: Reader,
        on_event: OnEvent,
        stop: StopSignal | None,
        grace: float,
        *,
        accepted: bool,
        redact: Callable[[str], str],
    ) -> None:
        self.terminal: AgentEvent | None = None
        self.finished: AgentEvent | None = None
        self.error = ""
        self.accepted = accepted
        """The provider answered something: what it rejects later is one conversation, not the settings."""
        self._redact = redact
        self._reader = reader
        self._on_event = on_event
        self._stop = stop
        self._grace = grace
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = asyncio.Event()

    def ended_with(self, kind: AgentEventKind) -> bool:
        """Whether the first terminal event was of this kind."""
        return self.terminal is not None and self.terminal.kind is kind

    async def hear(self, stream: StreamName, line: bytes) -> None:
        """Only standard output speaks the agent's protocol; standard error is kept as a tail."""
        if stream == "stderr":
            return
        await self._tell(self._reader.read(line))

    async def end(self, result: ProcessResult) -> None:
        """An end by our hand is no word of the agent's; what it waited for in silence is."""
        by_hand = result.stopped or result.timed_out or result.breach or result.lapsed
        silent = result.timed_out or result.stalled
        await self._tell(
            event
            for event in self._reader.end(result.exit_status)
            if event.kind not in _TERMINAL or not by_hand or (silent and _waits(event))
        )

    async def _tell(self, events: Iterable[AgentEvent]) -> None:
        for event in events:
            self._remember(event)
            await self._on_event(event)

    def is_set(self) -> bool:
        return self._overdue.is_set() or (self._stop is not None and self._stop.is_set())

    async def wait(self) -> None:
        """Return when the caller wants a stop, or the agent hangs on after its terminal event."""
        if self._stop is None:
            await self._overdue.wait()
            return
        waits = [asyncio.ensure_future(waiter.wait()) for waiter in (self._overdue, self._stop)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _remember(self, event: AgentEvent) -> None:
        if event.kind is AgentEventKind.ERROR or (
            event.kind is AgentEventKind.FINISHED and not event.ok and event.text
        ):
            self.error = truncate(self._redact(printable(event.text)), ERROR_CHARACTERS)
        self.accepted = self.accepted or event.kind is AgentEventKind.TOOL_USE or event.output_tokens > 0
        if event.kind not in _TERMINAL:
            return
        if event.kind is AgentEventKind.FINISHED:
            self.finished = event
        self.terminal = self.terminal or event
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._grace, self._overdue.set)


def _waits(event: AgentEvent) -> bool:
    return event.kind is AgentEventKind.RATE_LIMITED or event.problem is Problem.UNAVAILABLE
