"""What a session's agent spends and is refused, as the gateway saw it: written while it works."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from activities.ending import AttemptRows
from activities.purse import FRESH
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.prices import Beside, cost, told_model
from shiftwork.contracts.sandbox import Profile
from shiftwork.contracts.session import InterruptionReason, Spent
from shiftwork.errors import StackError
from shiftwork.gateway import Call, Tokens
from shiftwork.gateway.denied import DeniedHosts
from shiftwork.store.store import Transaction

log = logging.getLogger("shiftwork.activities")

METERED = "gateway"
"""What the rows of `usage` name as the conversation of calls that the gateway counted."""


class Meter:
    """Counts the calls of one attempt. Every write is fenced by the attempt's lease.

    Attributes:
        spent: what was counted so far, whether written or not.
    """

    def __init__(self, services: Services, rows: AttemptRows, stop: Stop) -> None:
        project = rows.project
        self._services = services
        self._agent = rows.agent
        self._project = project
        self._session_id = rows.session.id
        self._session_number = rows.session.number
        sandbox = project.options.sandbox
        self._denied = DeniedHosts(sandbox.hosts if sandbox.profile is Profile.NETWORKED else ())
        self._attempt = rows.attempt
        self._stop = stop
        self._purse = services.purses.of(services.store, project.id)
        self._waiting: deque[tuple[Call, float]] = deque()
        self._news = asyncio.Event()
        self._saved = asyncio.Condition()
        self._closing = False
        self._blind = False
        self._counted = self._written = 0
        self._gave_up = False
        self._task: asyncio.Task[None] | None = None
        self.spent = Spent()

    async def __aenter__(self) -> Self:
        await self._purse.look()
        self._task = asyncio.create_task(self._write_all(), name="metering")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._closing = True
        self._news.set()
        try:
            await self._task
        except BaseException:  # the error that is on its way says more than this one, whatever it is
            if error is None:
                raise
            log.warning("the end of what a session spent was not written", exc_info=True)
        finally:
            self._purse.drop(sum(dollars for _, dollars in self._waiting))

    def count(self, call: Call) -> None:
        """Take in one call; returns at once."""
        for part in call.parts():
            if part.tokens != Tokens():
                self._spend(part, self._dollars(part))
                self._news.set()
        self._denied.note(call)
        if self._denied.news:
            self._news.set()

    async def settle(self) -> None:
        """Return once all that was counted until now is written, or never will be: the lease is lost."""
        last = self._counted
        async with self._saved:
            await self._saved.wait_for(lambda: self._gave_up or self._written >= last)

    def over(self) -> str | None:
        """A sentence once the budget is spent, by whichever of the project's sessions; asks nobody."""
        return self._purse.spent_up()

    async def _write_all(self) -> None:
        try:
            await self._write_until_closed()
        finally:
            self._gave_up = True
            async with self._saved:
                self._saved.notify_all()

    async def _write_until_closed(self) -> None:
        while True:
            self._news.clear()
            while self._waiting:
                await self._write([*self._waiting])
            for host, why in self._denied.take():
                await self._tell(host, why)
            if self._closing:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), FRESH)
            await self._look()

    def _spend(self, call: Call, dollars: float) -> None:
        self._waiting.append((call, dollars))
        self._counted += 1
        self._purse.count(dollars)
        self.spent += Spent(
            input_tokens=call.tokens.input,
            output_tokens=call.tokens.output,
            cache_read_tokens=call.tokens.cache_read,
            cache_write_tokens=call.tokens.cache_write,
            cost_usd=dollars,
        )

    async def _tell(self, host: str, why: str) -> None:
        """Let people see a refusal, which an agent may keep to itself."""
        try:
            async with self._services.store.transaction() as tx:
                await tx.events.append(
                    self._project.id,
                    "host_refused",
                    key=f"host_refused:{self._session_number}:{self._attempt.attempt}:{host}",
                    reference=f"session:{self._session_number}",
                    data={"host": host, "why": why},
                )
        except StackError:
            log.warning("the refusal of a host was not written: the database is away", exc_info=True)

    async def _write(self, calls: Sequence[tuple[Call, float]]) -> None:
        """Write what has come together meanwhile, in one transaction; whoever waits for it goes on then."""
        first = self._written + 1

        async def add(tx: Transaction) -> None:
            for number, (call, dollars) in enumerate(calls, first):
                await self._add(tx, number, call, dollars)

        await self._purse.write(add, sum(dollars for _, dollars in calls))
        for _ in calls:
            self._waiting.popleft()
        if self._purse.overdrawn:
            self._stop.ask(InterruptionReason.BUDGET)
        async with self._saved:
            self._written += len(calls)
            self._saved.notify_all()

    async def _add(self, tx: Transaction, number: int, call: Call, dollars: float) -> None:
        await tx.usage.add(
            self._session_id,
            self._attempt.attempt,
            self._attempt.token,
            number,
            input_tokens=call.tokens.input,
            output_tokens=call.tokens.output,
            cost_usd=dollars,
            cli_session=METERED,
            cache_read_tokens=call.tokens.cache_read,
            cache_write_tokens=call.tokens.cache_write,
            estimated=call.estimated,
        )

    async def _look(self) -> None:
        try:
            await self._purse.look()
            self._blind = False
        except StackError as error:
            if not self._blind:
                log.warning("what others spend of the budget can't be seen now: %s", error)
            self._blind = True

    def _dollars(self, call: Call) -> float:
        agent, tokens = self._agent, call.tokens
        usage = AgentEvent(
            kind=AgentEventKind.USAGE,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
            model=call.model,
        )
        told = told_model(agent.settings)
        more = Beside(tokens.cache_write_hour, tokens.searches)
        return cost(usage, agent.prices, model=told, asked=call.requested, beside=more) or 0.0
