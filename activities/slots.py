"""Which tasks a worker takes of the queue of processes: those that its host has room for."""

import asyncio
import logging
import time
import weakref
from collections.abc import Awaitable, Callable

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import (
    CustomSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
)

from shiftwork.resources.limits import ResourceLimits
from shiftwork.resources.machine import Machine
from shiftwork.resources.manager import ResourceManager
from shiftwork.settings import Settings

PATIENCE = 2.0
"""Seconds that a task must have waited before a host without room takes it, if it runs none."""

_LOOK = 0.25
"""Seconds between two looks at a host without room."""

_REFRESH = 1.0
"""Seconds between two looks otherwise, so that processors are always judged by a short time."""

_REMIND = 300.0
"""Seconds after which the log says again why no task is taken."""

_MB = 1_000_000

log = logging.getLogger("shiftwork.worker")


class Permit(SlotPermit):
    """One slot; given back once: by the worker, or by the garbage collector if that forgot it."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self.give_back = weakref.finalize(self, give_back)
        self.give_back.atexit = False


class ProcessSlots(CustomSlotSupplier):
    """Hands out slots while the manager's limits allow. They live in this process alone, and end with it.

    No more than one slot at a time waits for a task: what the host had room for when it was handed out should
    still be true when the task comes. A host without room takes a task only if it runs none and the task has
    waited for so long that nobody else seems to take it; so none waits for ever.

    Args:
        manager: counts the slots, and looks at the host.
        waiting: tells for how many seconds the oldest task of the queue has waited.
        patience: see `PATIENCE`.
    """

    def __init__(
        self,
        manager: ResourceManager,
        *,
        waiting: Callable[[], Awaitable[float]],
        patience: float = PATIENCE,
    ) -> None:
        self._manager = manager
        self._waiting = waiting
        self._patience = patience
        self._turn = asyncio.Lock()
        self._change: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: weakref.ref[Permit] | None = None
        self._refused = _Refusals()

    # What the worker calls, the last three from threads of its own ------------------------------------------

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        """Wait until there is room, one after the other."""
        del ctx
        async with self._turn:
            self._loop, self._change = asyncio.get_running_loop(), asyncio.Event()
            while True:
                self._change.clear()
                if (permit := await self._next()) is not None:
                    return permit
                await self._changed(_LOOK if self._refused.now else _REFRESH)

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        """A slot for a task that is there already, if there is room."""
        del ctx
        return None if self._manager.try_acquire() else self._permit()

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """Its task came: another slot may wait for the next."""
        self._no_longer_idle(ctx.permit)

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """Its task is done, or will not come."""
        if isinstance(ctx.permit, Permit):
            ctx.permit.give_back()
        self._no_longer_idle(ctx.permit)

    # --------------------------------------------------------------------------------------------------------

    async def _next(self) -> Permit | None:
        """A slot that is to wait for a task; None if there is one, or no room."""
        if self._idle is not None and self._idle() is not None:
            self._manager.get_usage()
            return None
        full = self._manager.active_agents >= self._manager.limits.max_concurrent_agents
        why_not = self._manager.try_acquire()
        self._refused.tell("" if full else why_not)
        if why_not:
            if self._manager.active_agents or not await self._nobody_else_takes_it():
                return None
            log.warning("a task is taken all the same, because nobody else takes it, and nothing runs here")
            self._manager.acquire_anyway()
        permit = self._permit()
        self._idle = weakref.ref(permit)
        return permit

    async def _nobody_else_takes_it(self) -> bool:
        if not self._refused.may_ask():
            return False
        try:
            return await self._waiting() >= self._patience
        except RPCError as error:
            log.warning("whether tasks wait is not known: %s", error)
            # A server that can't tell is no reason for never taking any.
            return self._refused.seconds >= self._patience

    def _permit(self) -> Permit:
        return Permit(self._manager.release_now)

    async def _changed(self, seconds: float) -> None:
        assert self._change is not None
        try:
            async with asyncio.timeout(seconds):
                await self._change.wait()
        except TimeoutError:
            pass

    def _no_longer_idle(self, permit: SlotPermit) -> None:
        if self._idle is not None and self._idle() is permit:
            self._idle = None
        if self._loop is not None and self._change is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._change.set)


class _Refusals:
    """Why no task is taken, and since when; the log is told of its beginning and end, and now and then."""

    def __init__(self) -> None:
        self.now = ""
        self._since = self._told = self._asked = 0.0

    @property
    def seconds(self) -> float:
        """For how long no task has been taken."""
        return time.monotonic() - self._since if self.now else 0.0

    def tell(self, why: str) -> None:
        """There is no room, or there is (the empty string)."""
        now = time.monotonic()
        if not why and self.now:
            log.info("tasks are taken again")
        elif why and not self.now:
            self._since, self._told = now, now
            log.warning("no task is taken here while this lasts: %s", why)
        elif why and now - self._told >= _REMIND:
            self._told = now
            log.warning("no task has been taken here for %.0f seconds: %s", now - self._since, why)
        self.now = why

    def may_ask(self) -> bool:
        """Whether it is time to ask the server again."""
        now = time.monotonic()
        if now - self._asked < _REFRESH:
            return False
        self._asked = now
        return True


def oldest_waiting(client: Client, task_queue: str) -> Callable[[], Awaitable[float]]:
    """What tells for how many seconds the oldest activity of a queue has waited; raises `RPCError`."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )

    async def ask() -> float:
        found = await client.workflow_service.describe_task_queue(request)
        return found.stats.approximate_backlog_age.ToTimedelta().total_seconds()

    return ask


def host_limits(settings: Settings, machine: Machine) -> ResourceLimits:
    """When a worker takes no further task; raises `InvalidInput` for settings that make no sense."""
    return ResourceLimits(
        max_memory_mb=settings.free_memory_mb or machine.memory().total / _MB / 10,
        max_cpu_percent=settings.max_cpu_percent,
        max_concurrent_agents=max(1, settings.process_slots),
        max_gpu_memory_mb=settings.free_gpu_memory_mb or None,
    )


def process_slots(client: Client, settings: Settings, task_queue: str) -> ProcessSlots:
    """The slots of a worker for processes on this host."""
    machine = Machine()
    manager = ResourceManager(host_limits(settings, machine), machine=machine)
    return ProcessSlots(manager, waiting=oldest_waiting(client, task_queue))
