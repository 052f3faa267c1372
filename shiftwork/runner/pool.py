"""Agents that are started before they are needed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol, Self

from shiftwork.runner.config import AgentConfig
from shiftwork.runner.failures import AgentError, ExecutionError, InvalidContext, Timeout
from shiftwork.runner.handle import AgentHandle
from shiftwork.runner.local import LocalProcessRunner
from shiftwork.runner.metrics import log_event
from shiftwork.runner.shutdown import GracefulShutdown, uninterrupted

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
"""Seconds until an idle agent that ended is replaced; doubled each time as long as they end young."""

_CALM = 0.1
"""Seconds after which one that was lent is replaced while others wait: a start takes the processor that
long, and must not take it from what has just been given work."""

_OLD = 10.0
"""Seconds after which an idle agent that ends is not young any more."""


class StartsAgents(Protocol):
    """What a pool needs of a runner."""

    async def spawn(self, config: AgentConfig) -> AgentHandle: ...


class AgentPool:
    """Keeps agents waiting on their standard input, and lends them.

    Idle and lent ones together are never more than `max_agents`; where there is room, `min_agents` are idle.
    One that is lent is replaced, after a moment if another still waits. An idle one that ends is replaced
    after a moment, which grows if its successors end at once.

    Args:
        min_agents: how many wait, once it has started.
        max_agents: how many may live at once.
        warmup_config: how each is started.
        runner: what starts them; None: one of its own.
        timeout: seconds that an agent gets to end by itself.

    Raises:
        InvalidContext: the numbers don't fit together.
    """

    def __init__(
        self,
        min_agents: int,
        max_agents: int,
        warmup_config: AgentConfig,
        *,
        runner: StartsAgents | None = None,
        timeout: float = 5.0,
    ) -> None:
        if not 0 <= min_agents <= max_agents or max_agents < 1:
            raise InvalidContext(
                f"A pool of {min_agents} to {max_agents} agents can't be; min_agents must be at most "
                "max_agents, and that at least 1.",
                field="max_agents",
            )
        self.min_agents = min_agents
        self.max_agents = max_agents
        self.warmup_config = warmup_config
        own = LocalProcessRunner()
        self._own = own if runner is None else None
        self._runner: StartsAgents = runner or own
        self._shutdown = GracefulShutdown(timeout)
        self._idle: deque[AgentHandle] = deque()
        self._lent: dict[str, AgentHandle] = {}
        self._starting = 0
        self._closed = True
        self._waiters: list[asyncio.Future[None]] = []
        self._refill: asyncio.Task[None] | None = None
        self._pause = _FIRST_PAUSE
        self._losses = 0
        """Idle agents that ended, and starts of such that failed."""

    @property
    def idle(self) -> int:
        """How many wait."""
        return sum(handle.exit is None for handle in self._idle)

    @property
    def lent(self) -> int:
        """How many are in use."""
        return len(self._lent)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self, *, wait: bool = True) -> None:
        """Start the first agents.

        Args:
            wait: return when they wait, and raise what `AgentRunner.spawn` raises, and then none is left;
                else they are started meanwhile, and a start that fails is tried again.
        """
        self._closed = False
        if not wait:
            self._refill_soon()
            return
        try:
            await self._fill()
        except BaseException:  # a cancellation, too
            await uninterrupted(self.close())
            raise

    async def acquire(self, timeout: float | None = None) -> AgentHandle:
        """An agent for the caller alone, until it is released; waits while all are lent.

        Raises:
            Timeout: none became free in that many seconds.
            ExecutionError: the pool is closed.
            AgentError: none was idle, and no other could be started.
        """
        try:
            async with asyncio.timeout(timeout):
                handle = await self._take()
        except TimeoutError as error:
            raise Timeout(
                f"No agent of the pool became free in {timeout:g} s; release some, or raise max_agents.",
                seconds=timeout or 0.0,
            ) from error
        handle.idle = False
        self._lent[handle.id] = handle
        if self._closed:  # while it was started
            await self.release(handle)
            raise ExecutionError("The pool was closed; start it, or make another one.")
        self._refill_soon(_CALM if self.idle else 0.0)
        return handle

    async def release(self, handle: AgentHandle, *, reuse: bool = True) -> None:
        """Give an agent back: it waits again if it lives and may be used again, else it is ended.

        Raises:
            InvalidContext: it is not one of those that were lent.
        """
        if handle.id not in self._lent:
            raise InvalidContext(f"Agent {handle.id!r} was not lent by this pool.", field="handle")
        if not reuse or self._closed:
            await self._shutdown.shutdown(handle)
        self._lent.pop(handle.id, None)
        if handle.exit is None:
            handle.idle = True
            self._idle.append(handle)
        self._wake()
        self._refill_soon()

    @asynccontextmanager
    async def borrow(self, timeout: float | None = None, *, reuse: bool = True) -> AsyncIterator[AgentHandle]:
        """`acquire`, and `release` on leaving."""
        handle = await self.acquire(timeout)
        try:
            yield handle
        finally:
            await self.release(handle, reuse=reuse)

    async def close(self) -> None:
        """End all agents, the lent ones too; whoever waits for one is told."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        self._wake()
        handles = [*self._idle, *self._lent.values()]
        await asyncio.gather(*(self._shutdown.shutdown(handle) for handle in handles))
        self._idle.clear()
        if self._own is not None:
            await self._own.shutdown_all(self._shutdown.timeout)

    async def _take(self) -> AgentHandle:
        while True:
            if self._closed:
                raise ExecutionError("The pool is closed; start it, or make another one.")
            while self._idle:
                handle = self._idle.popleft()
                if handle.exit is None:
                    return handle
            if self._room() > 0:
                return await self._spawn()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        """Have all who wait look again: an agent became idle, or there is room for another one."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():  # else who waited was cancelled
                waiter.set_result(None)

    def _room(self) -> int:
        return self.max_agents - len(self._idle) - len(self._lent) - self._starting

    async def _spawn(self) -> AgentHandle:
        self._starting += 1
        try:
            handle = await self._runner.spawn(self.warmup_config)
        except BaseException:  # a cancellation, too
            self._starting -= 1
            self._wake()
            raise
        self._starting -= 1
        handle.when_over(lambda: self._over(handle))
        return handle

    def _over(self, handle: AgentHandle) -> None:
        """Take in that an agent ended; one that was lent counts until it is released."""
        if handle not in self._idle:
            return
        self._idle.remove(handle)
        self._losses += 1
        self._wake()
        ended_at = handle.ended_at or handle.started_at
        if (ended_at - handle.started_at).total_seconds() > _OLD:
            self._pause = _FIRST_PAUSE
        self._refill_soon(self._longer())

    def _longer(self) -> float:
        """The pause before the next try, which is half of the one after that."""
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def _is_short(self) -> bool:
        """Whether fewer wait than should, although there is room."""
        return not self._closed and self._room() > 0 and len(self._idle) + self._starting < self.min_agents

    async def _fill(self) -> None:
        # So many and no more: agents that end at once would be replaced for ever.
        for _ in range(self.min_agents - len(self._idle) - self._starting):
            if not self._is_short():
                return
            handle = await self._spawn()
            handle.idle = handle.exit is None
            if handle.idle:
                self._idle.append(handle)
            self._wake()

    def _refill_soon(self, pause: float = 0.0) -> None:
        if not self._closed and (self._refill is None or self._refill.done()):
            self._refill = asyncio.get_running_loop().create_task(self._fill_quietly(pause))

    async def _fill_quietly(self, pause: float) -> None:
        """Nobody waits for this: who needs an agent that can't be started is told by `acquire`."""
        await asyncio.sleep(pause)
        while self._is_short():
            losses = self._losses
            try:
                await self._fill()
            except AgentError as error:
                self._losses += 1
                log_event("not_refilled", error.agent, self.warmup_config.name, error=type(error).__name__)
            if self._is_short() and losses != self._losses:  # else they were lent meanwhile
                await asyncio.sleep(self._longer())
