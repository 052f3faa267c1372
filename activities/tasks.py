"""Running a task: begun by one attempt at a time, ended in one transaction with what it leaves."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.alive import heartbeating
from activities.attempts import Lease, Result, UntilTold, end_earlier, until_told
from activities.names import GIVE_UP_TASK, RUN_TASK
from activities.patience import patiently
from activities.processors import Processors
from activities.runs_here import RunsHere, Wish
from activities.services import Services
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskEnd, TaskErrorKind, TaskGivenUp, TaskStart, TaskStatus
from shiftwork.errors import Conflict, LeaseLost, ShiftworkError, StackError
from shiftwork.handoffs import HandoffContext
from shiftwork.repository.files import remove_tree
from shiftwork.store.agents import AgentRow
from shiftwork.store.store import Store, Transaction
from shiftwork.store.task_rows import TaskOutcome, TaskRow
from shiftwork.tasks.processing import Assignment, Processed
from shiftwork.text import one_line, truncate

_MOST_ERROR = 4_000
"""Characters of an error that are kept."""

_AWAY = 15.0
"""Seconds for which a database is waited for that is away as a run is over: else that would be run again."""

log = logging.getLogger("shiftwork.worker")


class TaskActivities:
    """What the workflow of a task does."""

    def __init__(self, services: Services, processors: Processors, here: RunsHere) -> None:
        self._services = services
        self._processors = processors
        self._here = here

    @activity.defn(name=RUN_TASK)
    async def run_task(self, start: TaskStart) -> TaskEnd:
        """Run the task to its end, and keep what came of it; cancelled, it fails as such.

        A worker that is told to stop gives it back: another begins it anew.
        """
        async with heartbeating(self._services.record):
            # Here it is known that the one before was not lost, as long as this one has not begun.
            await self._here.end(start.task_id, Wish.OVER)
            return await self.attempt(start, _until_told)

    async def attempt(self, start: TaskStart, until: UntilTold) -> TaskEnd:
        """One attempt at the task, to its end."""
        attempt = _Attempt(self._services, self._processors, start, until)
        try:
            return await attempt.execute()
        except LeaseLost as error:
            return await attempt.superseded(error)

    @activity.defn(name=GIVE_UP_TASK)
    async def give_up_task(self, given_up: TaskGivenUp) -> TaskEnd:
        """Have a task fail that no attempt ends any more; one that has ended stays as it is."""
        await self._here.end(given_up.task_id, Wish.CANCELLED)
        outcome = TaskOutcome(
            status=TaskStatus.FAILED,
            error=one_line(truncate(given_up.error, _MOST_ERROR)),
            error_kind=given_up.error_kind,
            trace={f"{TaskStatus.FAILED}_at": _now()},
        )
        async with self._services.store.transaction() as tx:
            with suppress(Conflict):
                await tx.tasks.move(given_up.task_id, outcome)
            row = await tx.tasks.get(given_up.task_id)
        return TaskEnd(task_id=row.id, status=row.status, error_kind=row.error_kind)


class _Attempt:
    """One attempt at one task."""

    def __init__(
        self, services: Services, processors: Processors, start: TaskStart, until: UntilTold
    ) -> None:
        self._services = services
        self._processors = processors
        self._start = start
        self._until = until

    async def execute(self) -> TaskEnd:
        try:
            row, agent, handoff = await self._begin()
        except Conflict:
            return await self._as_it_is()
        if _lost(row) > (agent.config.retries if agent else AgentConfiguration().retries):
            why = f"{_lost(row)} of its workers were lost; the task is not begun again."
            return await self._finish(row, agent, _failed(TaskErrorKind.LOST, why), 0.0)
        if agent and agent.deleted_at and row.attempt == 1:  # what ran when it was deleted runs on
            why = f"Agent {agent.name!r} was deleted before the task was begun; nothing of it was run."
            return await self._finish(row, agent, _failed(TaskErrorKind.INVALID, why), 0.0)
        began = time.monotonic()
        processed = await self._processed(row, agent, handoff)
        return await self._finish(row, agent, processed, time.monotonic() - began)

    async def superseded(self, error: LeaseLost) -> TaskEnd:
        """How the task ended without this attempt: somebody cancelled it, or moved it by hand.

        Raises:
            ApplicationError: it has not ended, and another attempt runs it; nothing of this one counts.
        """
        log.info("an attempt at task %d is over: %s", self._start.task_id, error)
        end = await self._as_it_is()
        if end.status.ended:
            return end
        benign = ApplicationErrorCategory.BENIGN
        raise ApplicationError(str(error), type=LeaseLost.__name__, category=benign) from None

    async def _begin(self) -> tuple[TaskRow, AgentRow | None, HandoffContext | None]:
        async with self._services.store.statements() as tx:  # nearly always a single one
            trace = {"auto_started_at": _now(), "sandbox": self._services.sandbox.level}
            begun = await tx.tasks.begin(self._start.task_id, self._worker, trace)
            row = begun.task
            if row.agent_id is None:
                return row, None, None
            agent = begun.agent or await tx.agents.get(row.agent_id, row.agent_version)
            held = self._services.held_by(agent.config.sandbox)
            if row.trace.get("sandbox") != held:  # as an earlier attempt was, or as most are
                await tx.tasks.note(row.id, row.token or 0, {"sandbox": held})
        handoff = None if begun.handoff is None else HandoffContext.from_json(begun.handoff)
        return row, agent, handoff

    @property
    def _worker(self) -> str:
        return f"{self._services.host}:{os.getpid()}"

    async def _processed(
        self, row: TaskRow, agent: AgentRow | None, handoff: HandoffContext | None
    ) -> Processed:
        folder = self._services.settings.task_folder(row.id, row.attempt)
        config = agent.config if agent else AgentConfiguration()

        async def tell(trace: Mapping[str, JsonValue]) -> None:
            async with self._services.store.statements() as tx:
                await tx.tasks.note(row.id, row.token or 0, trace)

        assignment = Assignment(
            task=row,
            agent=agent,
            handoff=handoff,
            parameters={**config.parameters, **row.parameters},
            timeout=self._start.timeout,
            max_output_bytes=self._start.max_output_bytes or config.max_output_bytes,
            folder=folder,
            tell=tell,
        )
        try:
            await self._end_earlier(row)
            processor = self._processors.of(row.provider)
            return await self._cancellable(asyncio.ensure_future(processor.process(assignment)), row)
        except (StackError, LeaseLost):
            raise  # the task itself did not fail
        except ShiftworkError as error:
            return _failed(TaskErrorKind.INVALID, str(error))
        finally:
            if os.path.lexists(folder):  # few providers need it; a thread for nothing takes as long as a row
                await asyncio.to_thread(remove_tree, folder, ignore_errors=True)

    async def _end_earlier(self, row: TaskRow) -> None:
        folder = self._services.settings.task_folder
        await end_earlier(folder(row.id, attempt) for attempt in range(1, row.attempt))

    async def _cancellable(self, work: "asyncio.Future[Processed]", row: TaskRow) -> Processed:
        left = await self._until(work, _Lease(self._services.store, row))
        return left or _failed(TaskErrorKind.CANCELLED, "The task was cancelled.")

    async def _finish(
        self, row: TaskRow, agent: AgentRow | None, processed: Processed, seconds: float
    ) -> TaskEnd:
        status = TaskStatus.COMPLETED if processed.success else TaskStatus.FAILED
        outcome = TaskOutcome(
            status=status,
            result=processed.result,
            error=None if processed.error is None else truncate(processed.error, _MOST_ERROR),
            error_kind=None if processed.success else processed.error_kind or TaskErrorKind.FAILED,
            duration=seconds,
            trace={**processed.trace, f"{status}_at": _now()},
        )
        # What was written although no answer came is another's the next time.
        await patiently(lambda: self._write(row, agent, processed, outcome), _AWAY)
        return TaskEnd(task_id=row.id, status=status, error_kind=outcome.error_kind)

    async def _write(
        self, row: TaskRow, agent: AgentRow | None, processed: Processed, outcome: TaskOutcome
    ) -> None:
        store = self._services.store
        # What leaves nothing is ended by one statement, which is its own transaction.
        async with store.statements() if processed.handoff is None else store.transaction() as tx:
            ended = await tx.tasks.finish(row.id, row.token or 0, outcome)
            if agent is not None:
                await _hand_over(tx, ended, agent, processed)

    async def _as_it_is(self) -> TaskEnd:
        """It had ended already: an attempt whose answer was lost, or somebody ended it by hand."""
        async with self._services.store.statements() as tx:
            row = await tx.tasks.get(self._start.task_id)
        return TaskEnd(task_id=row.id, status=row.status, error_kind=row.error_kind)


class _Lease:
    """That of an attempt at a task; see `Lease`."""

    def __init__(self, store: Store, row: TaskRow) -> None:
        self._store = store
        self._row = row

    async def give_back(self) -> None:
        stops = self._row.trace.get("worker_stops")
        with suppress(LeaseLost):
            await self._note({"worker_stops": (stops if isinstance(stops, int) else 0) + 1})

    async def check(self) -> None:
        await self._note({})

    async def _note(self, trace: Mapping[str, JsonValue]) -> None:
        async with self._store.statements() as tx:
            await tx.tasks.note(self._row.id, self._row.token or 0, trace)


async def _until_told(work: "asyncio.Future[Result]", lease: Lease) -> Result | None:
    return await until_told(work, lease.give_back)


async def _hand_over(tx: Transaction, task: TaskRow, agent: AgentRow, processed: Processed) -> None:
    if processed.handoff is None or task.agent_id is None:
        return
    await tx.handoffs.save(
        processed.handoff.to_json(),
        truncate(processed.summary, 2_000),
        agent_id=task.agent_id,
        task_id=task.id,
        ttl=agent.config.handoff_ttl,
    )


def _lost(row: TaskRow) -> int:
    """How many workers of this task were lost."""
    stops = row.trace.get("worker_stops")
    return row.attempt - 1 - (stops if isinstance(stops, int) else 0)


def _failed(kind: TaskErrorKind, why: str) -> Processed:
    return Processed(success=False, error=one_line(why), error_kind=kind)


def _now() -> str:
    return datetime.now(UTC).isoformat()
