"""Which tasks a worker takes of the queue of processes: those that its host has room for."""

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Awaitable, Callable

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import (
    CustomSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
)

from activities.queue import is_alone, oldest_waiting
from shiftwork.resources.limits import ResourceLimits
from shiftwork.resources.machine import Machine
from shiftwork.resources.manager import Place, ResourceManager
from shiftwork.settings import Settings

PATIENCE = 2.0
"""Seconds that a task must have waited before a host without room takes it, if it runs none."""

BUSY_PATIENCE = 30.0
"""The same where tasks run, and nothing but processor time is short."""

ALONE = 4
"""Tasks that a host takes however busy its processors are, if no other worker is there to leave them to."""

WAITING = 2
"""Slots that may wait for tasks at once, for a minute at most. Whatever they wait for is taken even if the
host has no room any more; two, so that the next task is at hand while the first begins."""

_LOOK = 0.25
"""Seconds between two looks at a host without room."""

_REFRESH = 1.0
"""Seconds between two looks otherwise, so that processors are always judged by a short time."""

_REMIND = 300.0
"""Seconds after which the log says again why no task is taken."""

_ALONE_SECONDS = 5.0
"""For how long it counts that other workers are there, or are not."""

_ORDINARY = 60.0
"""Seconds for which it says nothing while agents run here: that they have begun may be all there is to it."""

_MB = 1_000_000

log = logging.getLogger("shiftwork.worker")


class Permit(SlotPermit):
    """One slot; given back once: by the worker, or by the garbage collector if that forgot it."""

    def __init__(self, manager: ResourceManager, place: Place) -> None:
        self.place = place
        self.give_back = weakref.finalize(self, manager.leave, place)
        self.give_back.atexit = False


class ProcessSlots(CustomSlotSupplier):
    """Hands out slots while the manager's limits allow. They live in this process alone, and end with it.

    Few wait for a task at a time: what the host had room for when a slot was handed out should still be true
    when the task comes. A host without room takes a task only if it runs none and the task has
    waited for so long that nobody else seems to take it; so none waits for ever. Where only processor time is
    short, it takes one more after a longer wait, and a few at once if there is nobody else.

    Args:
        manager: counts the slots, and looks at the host.
        waiting: tells for how many seconds the oldest task of the queue has waited.
        alone: tells whether no other worker takes tasks of the queue; None: nobody knows.
        patience: see `PATIENCE`.
        busy_patience: see `BUSY_PATIENCE`.
    """

    def __init__(
        self,
        manager: ResourceManager,
        *,
        waiting: Callable[[], Awaitable[float]],
        alone: Callable[[], Awaitable[bool]] | None = None,
        patience: float = PATIENCE,
        busy_patience: float = BUSY_PATIENCE,
    ) -> None:
        self._manager = manager
        self._waiting = waiting
        self._ask_alone = alone
        self._alone = (-_ALONE_SECONDS, False)
        self._patience = patience
        self._busy_patience = busy_patience
        self._turn = asyncio.Lock()
        self._change: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Looked at by the loop and by threads of the worker.
        self._lock = threading.Lock()
        self._idle: list[weakref.ref[Permit]] = []
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
        place, _ = self._manager.admit()
        return None if place is None else Permit(self._manager, place)

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """Its task came: another slot may wait for the next."""
        if isinstance(ctx.permit, Permit):
            ctx.permit.place.begin()
        self._no_longer_idle(ctx.permit)

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """Its task is done, or will not come."""
        if isinstance(ctx.permit, Permit):
            ctx.permit.give_back()
        self._no_longer_idle(ctx.permit)

    def place(self) -> Callable[[], None] | None:
        """Room for what begins here at once, if there is some; what is returned gives it back."""
        place, _ = self._manager.admit()
        if place is None:
            return None
        place.begin()

        def leave() -> None:
            self._manager.leave(place)
            self._wake()

        return leave

    # --------------------------------------------------------------------------------------------------------

    async def _next(self) -> Permit | None:
        """A slot that is to wait for a task; None if enough of them do, or there is no room."""
        if self._waiting_for_tasks() >= WAITING:
            self._manager.get_usage()
            return None
        full = self._manager.active_agents >= self._manager.limits.max_concurrent_agents
        place, why_not = self._manager.admit()
        if place is None and self._manager.active_agents < ALONE and await self._is_alone():
            place, why_not = self._manager.admit(though_busy=True)
        running = self._manager.active_agents > 0
        self._refused.tell("" if full else why_not, patiently=running)
        if place is None and not full:
            place = await self._what_nobody_else_takes(running=running)
        if place is None:
            return None
        permit = Permit(self._manager, place)
        with self._lock:
            self._idle.append(weakref.ref(permit))
        return permit

    def _waiting_for_tasks(self) -> int:
        with self._lock:
            self._idle = [one for one in self._idle if one() is not None]
            return len(self._idle)

    async def _what_nobody_else_takes(self, *, running: bool) -> Place | None:
        """A place although there is no room, for a task that has waited for too long."""
        if not self._refused.may_ask():
            return None
        waited = await self._longest_wait()
        if running:
            late = waited >= self._busy_patience
            return self._manager.admit(though_busy=True)[0] if late else None
        if waited < self._patience:
            return None
        log.warning("a task is taken all the same, because nobody else takes it, and nothing runs here")
        return self._manager.admit(anyway=True)[0]

    async def _is_alone(self) -> bool:
        """Whether nobody else is there for the tasks, as far as is known; looked up now and then."""
        asked, alone = self._alone
        if self._ask_alone is None or time.monotonic() - asked < _ALONE_SECONDS:
            return alone
        try:
            alone = await self._ask_alone()
        except RPCError as error:
            log.debug("whether there are other workers is not known: %s", error)
        self._alone = time.monotonic(), alone
        return alone

    async def _longest_wait(self) -> float:
        try:
            return await self._waiting()
        except RPCError as error:
            # A server that can't tell is no reason for never taking any.
            log.debug("whether tasks wait is not known: %s", error)
            return self._refused.seconds

    async def _changed(self, seconds: float) -> None:
        assert self._change is not None
        try:
            async with asyncio.timeout(seconds):
                await self._change.wait()
        except TimeoutError:
            pass

    def _no_longer_idle(self, permit: SlotPermit) -> None:
        with self._lock:
            self._idle = [one for one in self._idle if one() is not permit]
        self._wake()

    def _wake(self) -> None:
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

    def tell(self, why: str, *, patiently: bool) -> None:
        """There is no room, or there is (the empty string).

        Args:
            patiently: agents run here.
        """
        now = time.monotonic()
        if why and not self.now:
            self._since, self._told = now, 0.0
        if why and now - (self._told or self._since) >= self._silence(patiently=patiently):
            self._told = now
            log.warning("no task is taken here while this lasts: %s", why)
        elif self._told and not why:
            self._told = 0.0
            log.info("tasks are taken again")
        self.now = why

    def _silence(self, *, patiently: bool) -> float:
        if self._told:
            return _REMIND
        return _ORDINARY if patiently else 0.0

    def may_ask(self) -> bool:
        """Whether it is time to ask the server again."""
        now = time.monotonic()
        if now - self._asked < _REFRESH:
            return False
        self._asked = now
        return True


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
    return ProcessSlots(
        manager, waiting=oldest_waiting(client, task_queue), alone=is_alone(client, task_queue)
    )
