"""Keeping an attempt's lease, and ending the agent when that is not possible."""

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from activities.services import Services
from activities.stop import Stop
from shiftwork.contracts.session import InterruptionReason
from shiftwork.errors import LeaseLost, StackError


class LeaseKeeper:
    """Renews a lease until left; when it is lost, or can't be renewed in time, it stops the agent.

    A worker that is cut off from the database so ends its agents itself, before another takes their session.
    """

    def __init__(self, services: Services, session_id: int, token: int, stop: "Stop") -> None:
        self._services = services
        self._session_id = session_id
        self._token = token
        self._stop = stop
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise `LeaseLost` if another attempt took over."""
        if self._lost:
            raise LeaseLost("another attempt of this session took over; nothing of this one counts")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        timings = self._services.settings.timings
        good_until = time.monotonic() + timings.lease
        while not self._lost:
            await asyncio.sleep(timings.lease_renewal)
            started = time.monotonic()
            try:
                async with asyncio.timeout(max(0.1, good_until - started)):
                    self._lost = not await self._renew(timings.lease)
                good_until = started + timings.lease
            except (StackError, OSError):
                # The database is away: it may come back before the lease is over.
                self._lost = time.monotonic() >= good_until
        self._stop.ask(InterruptionReason.INFRASTRUCTURE)

    async def _renew(self, ttl: float) -> bool:
        async with self._services.store.transaction() as tx:
            return await tx.leases.renew(self._session_id, self._token, ttl)
