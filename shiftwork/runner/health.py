"""Looking after the agents of a runner: whether those that count as alive still are."""

import asyncio
import time
from collections.abc import Callable, Collection

from shiftwork.runner.handle import AgentHandle
from shiftwork.runner.process import Process
from shiftwork.runner.tree import Seen, table

_FRESH = 0.25
"""Seconds for which a look at the process table serves."""


class Health:
    """One look at the process table for all agents of a runner, again and again, while there are any.

    Args:
        live: gives the agents that count as alive.
        interval: seconds between two looks.
    """

    def __init__(self, live: Callable[[], Collection[tuple[AgentHandle, Process]]], interval: float) -> None:
        self._live = live
        self._interval = interval
        self._missing: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look from now on; harmless if it does."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_after())

    async def end(self) -> None:
        """Look no more."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if agents := list(self._live()):
                self._judge(agents, await asyncio.to_thread(table))

    def _judge(self, agents: Collection[tuple[AgentHandle, Process]], processes: dict[int, Seen]) -> None:
        gone = {handle.id: process for handle, process in agents if not process.look(processes)}
        for agent in self._missing & gone.keys():
            # Gone in two looks, and its end was not noticed: the kernel's word was lost.
            gone[agent].kill_from_outside()
        self._missing = set(gone)


class Table:
    """The processes of this machine, looked at once for all who ask at about the same time."""

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._at = float("-inf")

    def __call__(self) -> dict[int, Seen]:
        """All of them, by pid."""
        now = time.monotonic()
        if now - self._at > _FRESH:
            self._seen, self._at = table(), now
        return self._seen
