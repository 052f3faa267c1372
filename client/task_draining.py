"""Tasks that a runner has workers run: so many at once, those of one agent one after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from client.api import Shiftwork
from client.wording import sentence
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import Conflict, NotFound, UnreadableRow
from shiftwork.store.pending import PendingTask
from shiftwork.store.task_rows import TaskRow
from shiftwork.text import one_line, truncate

_AT_ONCE = 8
"""So many tasks are waited for at once; workers decide how many they run."""

_COUNTS = ("tasks_started", "tasks_completed", "tasks_failed", "tasks_skipped")

_MOST_SHOWN = 200
"""Characters of an instruction that the log shows."""

log = logging.getLogger("shiftwork.runner")


@dataclass(slots=True)
class RunSummary:
    """What came of some tasks."""

    enabled: bool = True
    tasks_started: int = 0
    tasks_completed: int = 0
    tasks_failed: int = 0
    tasks_skipped: int = 0
    not_started: list[int] = field(default_factory=list)
    """Of those that were skipped, what an error kept from being started."""

    def add(self, other: "RunSummary") -> None:
        """Count others too."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def facts(self) -> dict[str, Any]:
        """With the keys that programs rely on, and the present moment."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {"enabled": self.enabled, **counts, "timestamp": datetime.now(UTC).isoformat()}


class Draining:
    """Has tasks run, and counts what came of them; more may be added while others run.

    Args:
        shiftwork: an open connection.
        stop: when it is set, nothing more is started or waited for; what runs goes on in its worker.
        told: ids of tasks of which the log says already that they can't be read.
    """

    def __init__(self, shiftwork: Shiftwork, stop: asyncio.Event, told: set[int] | None = None) -> None:
        self._shiftwork = shiftwork
        self._stop = stop
        self._told = set() if told is None else told
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting: dict[object, deque[PendingTask]] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._ids: set[int] = set()
        self.summary = RunSummary()

    @property
    def rests(self) -> bool:
        """Whether nothing is left to be run or waited for."""
        return not self._work

    def add(self, tasks: Iterable[PendingTask]) -> None:
        """Have these run too; those that are being run, or wait for it, do so already."""
        for task in tasks:
            if task.id in self._ids:
                continue
            self._ids.add(task.id)
            # Runs of one agent follow each other.
            key = ("task", task.id) if task.agent_id is None else task.agent_id
            if key in self._waiting:
                self._waiting[key].append(task)
                continue
            self._waiting[key] = deque([task])
            work = asyncio.create_task(self._drain(key))
            self._work.add(work)
            work.add_done_callback(self._work.discard)

    async def ended(self) -> None:
        """Wait until nothing is left, or until it is to stop."""
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            while self._work and not stopped.done():
                await asyncio.wait((*self._work, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()

    async def close(self) -> None:
        """Wait for nothing any more."""
        work = tuple(self._work)
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    async def _drain(self, key: object) -> None:
        group = self._waiting[key]
        while group:
            async with self._places:  # given back in between, so that no agent keeps the others from it
                if self._stop.is_set():
                    break
                task = group.popleft()
                if (row := await self._read(task.id)) is not None:
                    await self._run(row)
                self._ids.discard(task.id)
        del self._waiting[key]

    async def _read(self, task_id: int) -> TaskRow | None:
        """The task; None if it is not to be run, which the log tells of."""
        try:
            return await self._shiftwork.task(task_id)
        except UnreadableRow as error:
            if task_id not in self._told:
                self._told.add(task_id)
                log.warning("It is not run: %s", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are run
            self._not_started(task_id, error)
        return None

    async def _run(self, task: TaskRow) -> None:
        summary = self.summary
        try:
            _, ours = await self._shiftwork.claim_task(task.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._not_started(task.id, error)
            return
        if not ours:
            log.warning("Task %s was started by somebody else", task.id)
            summary.tasks_skipped += 1
            return
        summary.tasks_started += 1
        log.info("Auto-started task %s (%s)", task.id, task.uuid)
        log.info("Processing task %s: %s", task.id, one_line(truncate(task.instruction, _MOST_SHOWN)))
        try:
            ended = await self._shiftwork.wait_task(task.id)
        except Exception as error:  # noqa: BLE001 - as above
            log.error("The end of task %s can't be told: %s", task.id, sentence(error))  # noqa: TRY400
            return
        if ended.status is TaskStatus.COMPLETED:
            summary.tasks_completed += 1
            log.info("Task %s completed successfully", task.id)
        else:
            summary.tasks_failed += 1
            log.error("Task %s failed: %s", task.id, ended.error)

    def _not_started(self, task_id: int, error: Exception) -> None:
        self.summary.tasks_skipped += 1
        if isinstance(error, Conflict | NotFound):
            # Another runner was quicker, or its agent runs for somebody else: a later look sees.
            log.warning("Invalid transition: %s", error)
            return
        log.error("Task %s could not be started: %s", task_id, sentence(error))
        self.summary.not_started.append(task_id)
