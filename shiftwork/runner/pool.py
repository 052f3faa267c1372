"""Agents that are started before they are needed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from shiftwork.runner.config import AgentConfig
from shiftwork.runner.failures import AgentError, ExecutionError, InvalidContext, Timeout
from shiftwork.runner.handle import AgentHandle
from shiftwork.runner.local import AgentRunner, LocalProcessRunner
from shiftwork.runner.metrics import log_event
from shiftwork.runner.shutdown import GracefulShutdown


class AgentPool:
    """Keeps agents waiting on their standard input, and lends them.

    Idle and lent ones together are never more than `max_agents`; where there is room, `min_agents` are idle.

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
        runner: AgentRunner | None = None,
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
        self._runner: AgentRunner = runner or own
        self._shutdown = GracefulShutdown(timeout)
        self._idle: deque[AgentHandle] = deque()
        self._lent: dict[str, AgentHandle] = {}
        self._starting = 0
        self._closed = True
        self._changed = asyncio.Condition()
        self._refill: asyncio.Task[None] | None = None

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

    async def start(self) -> None:
        """Start the first agents; raises what `AgentRunner.spawn` raises, and then none is left."""
        self._closed = False
        try:
            await self._fill()
        except AgentError:
            await self.close()
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
        self._refill_soon()
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
        async with self._changed:
            self._changed.notify_all()
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
        async with self._changed:
            self._changed.notify_all()
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
            async with self._changed:
                await self._changed.wait()

    def _room(self) -> int:
        return self.max_agents - len(self._idle) - len(self._lent) - self._starting

    async def _spawn(self) -> AgentHandle:
        self._starting += 1
        try:
            return await self._runner.spawn(self.warmup_config)
        finally:
            self._starting -= 1

    async def _fill(self) -> None:
        self._idle = deque(handle for handle in self._idle if handle.exit is None)
        while not self._closed and len(self._idle) + self._starting < self.min_agents and self._room() > 0:
            handle = await self._spawn()
            handle.idle = True
            self._idle.append(handle)
            async with self._changed:
                self._changed.notify_all()

    def _refill_soon(self) -> None:
        if not self._closed and (self._refill is None or self._refill.done()):
            self._refill = asyncio.get_running_loop().create_task(self._fill_quietly())

    async def _fill_quietly(self) -> None:
        """Nobody waits for this: who needs an agent that can't be started is told by `acquire`."""
        try:
            await self._fill()
        except AgentError as error:
            log_event("not_refilled", error.agent, self.warmup_config.name, error=type(error).__name__)
