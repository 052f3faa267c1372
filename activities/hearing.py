"""What an agent says and spends while it does a task: its last words, and figures for the task's trace."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from activities.stop import Stop
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.outbox import read_progress
from shiftwork.agents.prices import Beside, cost, told_model
from shiftwork.agents.python.outcome import cut_back
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.session import InterruptionReason
from shiftwork.contracts.task import TaskUsage
from shiftwork.errors import LeaseLost, StackError
from shiftwork.gateway import Call, Tokens
from shiftwork.secrets import LazyRedactor
from shiftwork.tasks.budget import RunBudget
from shiftwork.tasks.processing import Tell

_EVERY = 1.0
"""Seconds between two looks at what is to be written."""

_SLACK = 16_384
"""Characters beyond what is kept that are redacted with it, so that no half of a secret stays at the cut."""

_IN_PIECES = frozenset({"acp", "gemini"})
"""Backends whose prose comes in pieces of a line; of the others, each piece is a line or more."""

_TOOLS = (AgentEventKind.TOOL_USE, AgentEventKind.TOOL_RESULT)

log = logging.getLogger("shiftwork.tasks")


class LastWords:
    """Keeps the last message of an agent, at most so many characters of it.

    Args:
        most: characters of a message that are kept, its first ones.
        separator: what stands between two pieces of one message.
    """

    def __init__(self, most: int, separator: str) -> None:
        self._most = most
        self._separator = separator
        self._pieces: list[str] = []
        self._size = 0
        self._total = 0
        self._before = ("", 0)
        self._ended = ""

    def hear(self, event: AgentEvent) -> None:
        """One event; prose with nothing but usage between it is one message."""
        if event.kind is AgentEventKind.TEXT and not event.data:
            self._add(event.text)
        elif event.kind in _TOOLS:
            self._end()
        elif event.kind is AgentEventKind.FINISHED and event.ok:
            self._ended = event.text

    @property
    def text(self) -> tuple[str, int]:
        """What was said last, in words of its own or at its end, and how many characters it all had."""
        if self._pieces:
            return self._separator.join(self._pieces), self._total
        return (self._ended, len(self._ended)) if self._ended else self._before

    def _add(self, text: str) -> None:
        self._total += len(text)
        if self._size < self._most:
            self._pieces.append(text[: self._most - self._size])
            self._size += len(text) + len(self._separator)

    def _end(self) -> None:
        if self._pieces:
            self._before = self._separator.join(self._pieces), self._total
        self._pieces, self._size, self._total = [], 0, 0


class Hearing:
    """Listens to one attempt at a task, and has the task's trace say what it spends while it works.

    Args:
        earlier: what the task's earlier attempts spent.
        budget: what all its attempts may spend.
        most: bytes of the last message that are kept.
        stop: is asked when another attempt has taken the task over, and when more is spent than may be.
        outbox: where the agent may say how far it is; None: nobody asks.
    """

    def __init__(
        self,
        agent: AgentOptions,
        earlier: TaskUsage,
        *,
        budget: RunBudget,
        most: int,
        tell: Tell,
        stop: Stop,
        redactor: LazyRedactor,
        outbox: Path | None = None,
    ) -> None:
        self._agent = agent
        self._budget = budget
        self._most = most
        self._tell = tell
        self._stop = stop
        self._redactor = redactor
        self._words = LastWords(most + _SLACK, "" if agent.backend in _IN_PIECES else "\n")
        self._spent = earlier
        self._tools = 0
        self._outbox = outbox
        self._progress: JsonValue = None
        self._told: dict[str, JsonValue] = {}
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.counts = True
        """Whether what the agent says of its usage is what it spent; else the gateway counts that."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write_regularly(), name="task trace")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def hear(self, event: AgentEvent) -> None:
        """One event of the agent's."""
        self._words.hear(event)
        self._tools += event.kind is AgentEventKind.TOOL_USE
        if event.kind is AgentEventKind.USAGE and self.counts:
            self._spend(event)

    def count(self, call: Call) -> None:
        """One call, as the gateway saw it."""
        for number, part in enumerate(call.parts()):
            self._count(part, calls=0 if number else 1)

    def _count(self, call: Call, *, calls: int) -> None:
        tokens = call.tokens
        if tokens != Tokens():
            usage = AgentEvent(
                kind=AgentEventKind.USAGE,
                input_tokens=tokens.input,
                output_tokens=tokens.output,
                cache_read_tokens=tokens.cache_read,
                cache_write_tokens=tokens.cache_write,
                model=call.model,
            )
            more = Beside(tokens.cache_write_hour, tokens.searches)
            self._spend(usage, calls=calls, estimated=call.estimated, asked=call.requested, beside=more)

    async def settle(self) -> None:
        """Return once all that was counted until now is written."""
        while True:
            if await self._is_written():
                return
            await asyncio.sleep(_EVERY)

    def spent_up(self) -> str | None:
        """A sentence if nothing more may be spent."""
        return self._budget.spent_up(self._spent)

    @property
    def overdrawn(self) -> str | None:
        """A sentence if more was spent than may be."""
        return self._budget.overdrawn(self._spent)

    @property
    def trace(self) -> dict[str, JsonValue]:
        """What was spent, by all attempts, how often tools were used, and how far the agent says it is."""
        spent = self._spent.model_dump(mode="json")
        progress = {} if self._progress is None else {"progress": self._progress}
        return {"usage": spent, "tools": self._tools, **progress}

    @property
    def last_words(self) -> str:
        """The agent's last message, without secrets."""
        text, total = self._words.text
        data = self._redactor.redact(text).encode("utf-8", "replace")
        return cut_back(data, self._most, max(total, len(data)) if len(data) > self._most else len(data))

    def _spend(
        self,
        usage: AgentEvent,
        *,
        calls: int = 0,
        estimated: bool = False,
        asked: str = "",
        beside: Beside | None = None,
    ) -> None:
        told = told_model(self._agent.settings)
        dollars = cost(usage, self._agent.prices, model=told, asked=asked, beside=beside) or 0.0
        self._spent += TaskUsage(
            calls=calls,
            estimated=estimated,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cost_usd=dollars,
        )
        if self.overdrawn:
            self._stop.ask(InterruptionReason.BUDGET)

    async def _write_regularly(self) -> None:
        """What was counted is written before its answer is there; what the agent itself tells, only here."""
        while True:
            await asyncio.sleep(_EVERY)
            await self._look()
            await self._is_written()

    async def _look(self) -> None:
        """See how far the agent says it is; what can't be used changes nothing."""
        if self._outbox is not None:
            told = await asyncio.to_thread(read_progress, self._outbox)
            self._progress = self._progress if told is None else told

    async def _is_written(self) -> bool:
        """Write what is not written yet; False: the database is away."""
        async with self._writing:  # an older figure is not to follow a newer one
            now = self.trace
            if now == self._told:
                return True
            try:
                await self._tell(now)
            except LeaseLost:
                self._stop.ask(InterruptionReason.INFRASTRUCTURE)
            except StackError as error:
                log.warning("what a task spends can't be written now: %s", error)
                return False
            self._told = now
            return True
