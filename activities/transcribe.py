"""What an agent says, into the rows while it works: transcript, usage, and the budget's limit."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from activities.allowance import Allowance
from activities.ending import AttemptRows
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.prices import cost, told_model
from shiftwork.contracts.activity import AgentProgress
from shiftwork.contracts.session import InterruptionReason, Spent
from shiftwork.errors import StackError
from shiftwork.secrets import JoinedTexts
from shiftwork.store.rows import TranscriptItem
from shiftwork.store.store import Transaction
from shiftwork.text import truncate

log = logging.getLogger("shiftwork.activities")

Answer = TypeVar("Answer")

_FLUSH_SECONDS = 0.25
_FLUSH_ITEMS = 200
_TEXT_LIMIT = 16_000
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_PROSE = (AgentEventKind.TEXT, AgentEventKind.THINKING)
_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 5.0


class Transcriber:
    """Batches events into the transcript, redacted across their borders.

    Usage is written as it is reported, so that no cost is ever lost.

    Every write is fenced by the attempt's lease. While the database is away, it is tried again for as long as
    the lease may last; the agent works on meanwhile.

    Args:
        counts: whether what the agent says of its usage is what it spent; else the gateway counts that.
    """

    def __init__(self, services: Services, rows: AttemptRows, stop: Stop, *, counts: bool = True) -> None:
        self._counts = counts
        self._services = services
        self._project_id = rows.project.id
        self._agent = rows.agent
        self._conversation = ""
        self._session_id = rows.session.id
        self._attempt = rows.attempt
        self._stop = stop
        self._allowance = Allowance()
        self._items: list[TranscriptItem] = []
        self._joined: JoinedTexts[_Said] = JoinedTexts(services.redactor.redactor)
        self._sequence = 0
        self._usages = 0
        self._writing = asyncio.Lock()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tools = 0
        self._last = ""
        self.spent = Spent()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._flush_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        if error is None:
            # Not cancelled: a flush that is under way holds items that are nowhere else.
            self._closing.set()
            await self._task
            self._end()
            await self._flush()  # what came while the last regular flush was under way
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def take(self, event: AgentEvent) -> None:
        """One event; returns when there is room for the next, which is how a flood is slowed down."""
        if self._task is not None and self._task.done():
            self._task.result()  # What is said now could not be kept: the agent ends.
        self._sequence += 1
        self._last = event.kind
        self._tools += event.kind is AgentEventKind.TOOL_USE
        if event.kind is AgentEventKind.USAGE:
            event = event.model_copy(update={"cost_usd": cost(event, self._agent.prices, model=self._model)})
        self._keep(event)
        if event.conversation and event.conversation != self._conversation:
            await self.converse(event.conversation)
        if event.kind is AgentEventKind.USAGE and self._counts:
            await self._use(event)
        elif len(self._items) >= _FLUSH_ITEMS:
            await self._flush()

    def _keep(self, event: AgentEvent) -> None:
        payload = event.model_dump(mode="json", exclude={"kind", "part"}, exclude_defaults=True)
        text = payload.pop("text", "")
        said = _Said(self._sequence, event.kind, self._services.redactor.redact_excerpts(payload))
        self._joined.take(said, event.kind, text, time.monotonic())
        self._admit(self._joined.ready(time.monotonic()))

    def _admit(self, ready: Iterable[tuple["_Said", str]]) -> None:
        """Keep what is redacted, if there is room for it."""
        for said, text in ready:
            # Cut only now: half a secret is not recognised.
            payload = {**said.payload, "text": truncate(text, _TEXT_LIMIT)} if text else said.payload
            if not payload and said.kind in _PROSE:
                continue  # its text is a part of another's
            if self._allowance.takes(said.kind, _size(payload)):
                self._items.append(TranscriptItem(sequence=said.sequence, kind=said.kind, payload=payload))

    def _end(self) -> None:
        """Keep what waits, and say what was not kept."""
        self._admit(self._joined.close())
        for kind, text in self._joined.rest():
            self._admit([(self._next(AgentEventKind(kind)), text)])
        if self._allowance.note:
            said = self._next(AgentEventKind.TEXT)
            payload = {"text": self._allowance.note}
            self._items.append(TranscriptItem(sequence=said.sequence, kind=said.kind, payload=payload))

    def _next(self, kind: AgentEventKind) -> "_Said":
        self._sequence += 1
        return _Said(self._sequence, kind, {})

    @property
    def progress(self) -> AgentProgress:
        """How far the agent is, in figures."""
        return AgentProgress(
            events=self._sequence,
            tools=self._tools,
            input_tokens=self.spent.input_tokens,
            output_tokens=self.spent.output_tokens,
            cost_usd=self.spent.cost_usd,
            last=self._last,
        )

    async def converse(self, conversation: str) -> None:
        """Keep which session of its own the agent's program is in, so that the next attempt can go on."""
        self._conversation = conversation
        await self._write(
            lambda tx: tx.attempts.converse(
                self._session_id, self._attempt.attempt, self._attempt.token, conversation
            )
        )

    async def _use(self, event: AgentEvent) -> None:
        dollars = event.cost_usd or 0.0
        if not any((dollars, *(getattr(event, name) for name in _TOKENS))):
            return
        self._usages += 1
        self.spent += Spent(
            input_tokens=event.input_tokens,
            output_tokens=event.output_tokens,
            cache_read_tokens=event.cache_read_tokens,
            cache_write_tokens=event.cache_write_tokens,
            cost_usd=dollars,
        )
        number = self._usages

        async def add(tx: Transaction) -> tuple[float | None, float]:
            await tx.usage.add(
                self._session_id,
                self._attempt.attempt,
                self._attempt.token,
                number,
                input_tokens=event.input_tokens,
                output_tokens=event.output_tokens,
                cost_usd=dollars,
                cli_session=event.conversation or self._conversation,
                cache_read_tokens=event.cache_read_tokens,
                cache_write_tokens=event.cache_write_tokens,
            )
            return await tx.usage.budget(self._project_id)

        budget, spent = await self._write(add)
        if budget is not None and spent > budget:
            self._stop.ask(InterruptionReason.BUDGET)

    @property
    def _model(self) -> str:
        return told_model(self._agent.settings)

    async def _flush_regularly(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        self._admit(self._joined.ready(time.monotonic()))
        async with self._writing:
            items = self._items[:]
            if not items:
                return
            await self._write(
                lambda tx: tx.transcript.append(
                    self._session_id, self._attempt.attempt, self._attempt.token, items
                )
            )
            del self._items[: len(items)]  # Only now: what could not be written is nowhere else.

    async def _write(self, work: Callable[[Transaction], Awaitable[Answer]]) -> Answer:
        """One transaction, repeated while the database is away; what it writes counts once.

        Raises:
            StackError: it was away for as long as a lease lasts.
            LeaseLost: another attempt took over.
        """
        pause, give_up = _RETRY_SECONDS, time.monotonic() + self._services.settings.timings.lease
        while True:
            try:
                async with self._services.store.transaction() as tx:
                    return await work(tx)
            except (StackError, OSError) as error:
                # The lease's keeper ends the agent when it can't renew; then nobody waits for this.
                ended = self._stop.reason is InterruptionReason.INFRASTRUCTURE
                if ended or time.monotonic() + pause > give_up:
                    raise
                log.warning("what an agent says can't be written now, and is kept: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY_SECONDS)


class _Said(NamedTuple):
    """An event without its text."""

    sequence: int
    kind: AgentEventKind
    payload: dict[str, Any]


def _size(payload: dict[str, Any]) -> int:
    return len(json.dumps(payload, ensure_ascii=False).encode())
