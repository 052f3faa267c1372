"""Running what is pending, and the task functions by the names that programs know."""

import asyncio
import logging
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from client.api import Shiftwork
from client.task_draining import Draining, RunSummary
from client.task_refs import find_task
from client.wording import sentence
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.settings import is_enabled
from shiftwork.storable import check_mapping
from shiftwork.store.pending import PendingTask
from shiftwork.store.task_rows import TaskOutcome, TaskRow

DISABLED = "Agent runner is disabled"
INTERVAL = 5.0
"""Seconds between two looks for what is pending."""

log = logging.getLogger("shiftwork.runner")


class InvalidTransition(Conflict, ValueError):  # noqa: N818 - the tree names what happened
    """A status that can't follow the one that a task has."""


class UnknownTask(NotFound, ValueError):  # noqa: N818
    """A task that there is not."""


def is_runner_enabled(environ: Mapping[str, str] | None = None) -> bool:
    """Whether what is pending may be run: `SHIFTWORK_AGENT_RUNNER_ENABLED` is `true`."""
    return is_enabled(os.environ if environ is None else environ)


class TaskRunner:
    """Has workers run what is pending. Any number of them may: a task is run once.

    Args:
        shiftwork: an open connection.
        enabled: whether it may; None: as the connection's settings say.
    """

    def __init__(self, shiftwork: Shiftwork, *, enabled: bool | None = None) -> None:
        self._shiftwork = shiftwork
        self.enabled = shiftwork.settings.agent_runner_enabled if enabled is None else enabled
        self._told: set[int] = set()  # ids of tasks that can't be read
        self._trouble = ""
        """What the last look of a loop met, which is logged once for as long as it lasts."""

    async def run_once(self, stop: asyncio.Event | None = None) -> dict[str, Any]:
        """Run everything that is pending now, and wait for it; the summary.

        Returns:
            `enabled`, `tasks_started`, `tasks_completed`, `tasks_failed`, `tasks_skipped`, `timestamp`.

        Args:
            stop: when it is set, nothing more is started or waited for; what runs goes on in its worker.
        """
        stop = stop or asyncio.Event()
        found = await self._round(stop) if self._may() else RunSummary(enabled=False)
        if found.not_started:
            numbers = ", ".join(map(str, sorted(found.not_started)))
            log.error("Could not be started, and stay as they are: tasks %s", numbers)
        return found.facts()

    async def run_loop(self, interval: float = INTERVAL, stop: asyncio.Event | None = None) -> dict[str, Any]:
        """Look for what is pending again and again until `stop` is set; the summary of all that was run.

        What is new is run beside what runs. An error of a look, whatever it is, is logged, once while it
        lasts, and the next one tries again.

        Args:
            interval: seconds from one look to the next.

        Raises:
            InvalidInput: the interval is none.
        """
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1e9:
            raise InvalidInput(f"interval is {interval!r}; it must be a number of seconds above 0.")
        stop = stop or asyncio.Event()
        total = RunSummary(enabled=self.enabled)
        draining = Draining(self._shiftwork, stop, self._told)
        try:
            while not stop.is_set():
                began = time.monotonic()
                await self._look(draining)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(0.05, interval - (time.monotonic() - began)))
                if draining.rests:
                    _close_account(draining, total)
        finally:
            await draining.close()
        total.add(draining.summary)
        return total.facts()

    async def process(self, task_id: int) -> TaskRow | None:
        """Have a task that was moved to `running` by hand be processed, and wait for its end.

        Returns:
            The task, ended. None: there is none, or it is not running; a warning says which.
        """
        try:
            task = await self._shiftwork.task(task_id)
        except NotFound:
            log.warning("Task %s not found", task_id)
            return None
        if task.status is not TaskStatus.RUNNING:
            log.warning("Task %s is %s, not running", task_id, task.status)
            return None
        if not task.worker:
            with suppress(Conflict):  # somebody else has it begun; its end is waited for all the same
                await self._shiftwork.start_task(task_id)
        return await self._shiftwork.wait_task(task_id)

    def _may(self) -> bool:
        if not self.enabled:
            log.warning("%s", DISABLED)
        return self.enabled

    async def _look(self, draining: Draining) -> None:
        """Have what is pending run too."""
        if not self._may():
            return
        try:
            found = await self._waiting()
        except Exception as error:  # noqa: BLE001 - whatever a look meets, the next one is begun
            trouble = sentence(error)
            level = logging.DEBUG if trouble == self._trouble else logging.ERROR
            log.log(level, "Error in runner loop: %s", trouble)
            self._trouble = trouble
            return
        if self._trouble:
            log.info("The runner loop goes on; it had met: %s", self._trouble)
            self._trouble = ""
        log.debug("%d tasks are pending", len(found))
        draining.add(found)

    async def _round(self, stop: asyncio.Event) -> RunSummary:
        """Run what is pending now, to its end."""
        draining = Draining(self._shiftwork, stop, self._told)
        tried: set[int] = set()
        try:
            async with self._shiftwork.store.transaction() as tx:
                newest = await tx.tasks.newest()
            while not stop.is_set():
                # What comes while we work is for the next round, so that this one ends.
                found = await self._waiting(tried, newest)
                log.debug("%d tasks are pending", len(found))
                if not found:
                    break
                tried |= {task.id for task in found}
                draining.add(found)
                await draining.ended()
        finally:
            await draining.close()
        return draining.summary

    async def _waiting(self, without: Collection[int] = (), newest: int | None = None) -> list[PendingTask]:
        """What nobody has run yet; see `shiftwork.store.tasks.Tasks.pending`."""
        async with self._shiftwork.store.transaction() as tx:
            return await tx.tasks.pending(without=without, newest=newest)


def _close_account(draining: Draining, total: RunSummary) -> None:
    """Tell of what was run since nothing ran before, and add it to all the rest."""
    found, draining.summary = draining.summary, RunSummary()
    total.add(found)
    if found.tasks_started or found.tasks_skipped:
        log.info("Run completed: %s", found.facts())


async def move_task(
    shiftwork: Shiftwork, ref: int | str, state: str, trace: Mapping[str, JsonValue] | str | None = None
) -> TaskRow:
    """Give a task another status by hand.

    Args:
        trace: facts to add to its trace; a text, or its `error`, is why it failed.

    Raises:
        ValueError: there is no such task, no such status, or it can't follow the one that the task has.
        InvalidInput: the trace can't be kept as it is; nothing was changed.
    """
    try:
        status = TaskStatus(state)
    except ValueError:
        known = ", ".join(TaskStatus)
        raise InvalidTransition(f"{state!r} is no status of a task; they are {known}.") from None
    facts = _facts(trace)
    error = facts.get("error") if status is TaskStatus.FAILED else None
    now = datetime.now(UTC).isoformat()
    moment = "auto_started_at" if status is TaskStatus.RUNNING else f"{status}_at"
    outcome = TaskOutcome(
        status=status,
        error=None if error is None else str(error),
        error_kind=TaskErrorKind.FAILED if status is TaskStatus.FAILED else None,
        trace={moment: now, **facts},
    )
    try:
        task = await find_task(shiftwork.store, ref)
        async with shiftwork.store.transaction() as tx:
            return await tx.tasks.move(task.id, outcome)
    except NotFound as problem:
        raise UnknownTask(str(problem)) from problem
    except Conflict as problem:
        raise InvalidTransition(str(problem)) from problem


def _facts(trace: object) -> dict[str, Any]:
    """What is added to a task's trace; raises `InvalidInput` if it can't be kept as it is."""
    facts = {} if trace is None else {"error": trace} if isinstance(trace, str) else trace
    check_mapping("trace", facts)
    assert isinstance(facts, Mapping)
    return dict(facts)
