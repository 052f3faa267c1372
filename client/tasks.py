"""Tasks, as people and programs make, run and end them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from pydantic import JsonValue

from client.connection import Connection
from client.task_inputs import check_limits, check_page, check_parameters, check_wait, new_task
from client.task_workflows import (
    begin,
    cancel,
    occurrence_goes_on,
    start_workflow,
    workflow_of,
)
from client.waiting import TaskWatch
from shiftwork.contracts.agent import PYTHON, AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStart, TaskStatus
from shiftwork.contracts.workflow import Timeouts
from shiftwork.errors import Conflict, InvalidInput, ShiftworkError, StackError, UnreadableRow
from shiftwork.stack.file import database_url
from shiftwork.store.agents import AgentRow
from shiftwork.store.pending import REQUESTED
from shiftwork.store.task_rows import NewTask, TaskFilter, TaskOutcome, TaskRow

AGENT_PROVIDER = "agent"
"""The provider of tasks that are runs of registered agents."""

CANCEL_SECONDS = 60.0
"""For how long the end of a task that was cancelled is waited for."""

_DROP_SECONDS = 5.0
"""For how long a caller waits that is told of an error; transactions may rest for twice as long."""


log = logging.getLogger("shiftwork.tasks")


class NotRunnable(InvalidInput, ValueError):  # noqa: N818 - the tree names what happened
    """An agent that there is not, or that has no code."""


class TaskControl(Connection):
    """The tasks of a stack."""

    _watch: TaskWatch | None = None

    async def create_task(
        self,
        provider: str = AGENT_PROVIDER,
        instruction: str = "",
        *,
        agent: str | int | None = None,
        user_id: str = "",
        parameters: Mapping[str, JsonValue] | None = None,
        request_key: str | None = None,
    ) -> TaskRow:
        """Make a task that nothing runs yet.

        Args:
            agent: of provider `agent`: whose run it is, by name or id.
            request_key: the same one again finds the same task.

        Raises:
            NotFound: there is no such agent.
            Conflict: under that key another agent's task, or another provider's, was made.
            InvalidInput: an agent is named without need, or is missing; or what is given can't be kept as it
                is. Only workers know which providers there are: of another one a task fails when it is run.
        """
        if (agent is not None) != (provider == AGENT_PROVIDER):
            raise InvalidInput("A task of the provider 'agent' names an agent; those of others name none.")
        new = new_task(provider, instruction, parameters, request_key, user_id)
        return (await self._created(new, agent))[0]

    async def start_task(
        self, task_id: int, *, timeout: float | None = None, max_output_bytes: int | None = None
    ) -> TaskRow:
        """Have a task run now that nothing has run yet; does not wait for its end.

        One that was moved to `running` by hand, which no worker has begun, is such a task too.

        Args:
            timeout: seconds that it may take; None: what its agent's configuration says.
            max_output_bytes: so much of each output is kept; None: the same.

        Raises:
            NotFound: there is no such task.
            Conflict: it ran already, or its agent runs now, or its schedule has it run; nothing was changed.
            InvalidInput: a limit can't be one; nothing was changed.
        """
        return (await self.claim_task(task_id, timeout=timeout, max_output_bytes=max_output_bytes))[0]

    async def claim_task(
        self, task_id: int, *, timeout: float | None = None, max_output_bytes: int | None = None
    ) -> tuple[TaskRow, bool]:
        """The same, and whether it was this call that has it run: of many that do so at once, one is told so.

        Args and errors are those of `start_task`.
        """
        check_limits(timeout, max_output_bytes)
        async with self.store.transaction() as tx:
            # Held until its workflow is started: who comes next looks before a worker can have ended it.
            task = await tx.tasks.hold(task_id)
            agent = None if task.agent_id is None else await tx.agents.get(task.agent_id, task.agent_version)
            by_hand = task.status is TaskStatus.RUNNING and not task.worker
            if task.status is not TaskStatus.CREATED and not by_hand:
                raise Conflict(f"Task {task.id} is {task.status} already; make another one.")
            if task.scheduled_at is not None and await occurrence_goes_on(await self.temporal(), task):
                raise Conflict(
                    f"Task {task.id} is an occurrence of a schedule, which has it run when its turn comes; "
                    "wait for it, or cancel it."
                )
            return task, await self._begin(task, agent, timeout, max_output_bytes, look=tx.tasks.get)

    async def run_agent(
        self,
        agent: str | int,
        *,
        parameters: Mapping[str, JsonValue] | None = None,
        instruction: str = "",
        timeout: float | None = None,
        max_output_bytes: int | None = None,
        request_key: str | None = None,
    ) -> TaskRow:
        """Have an agent run now; its task, which runs. See `start_task`.

        Until it is begun no runner takes it. Who is cancelled in this call has no task made, unless it has
        been begun: then it runs on.

        Raises:
            Conflict: it runs already, or under that key another agent's task was made; then no task was made.
            InvalidInput: no agent is named, it has no code, a limit can't be one, or what is given can't be
                kept as it is; then neither.
        """
        if agent is None:
            raise NotRunnable("Which agent is to run? Give its name or its id.")
        check_limits(timeout, max_output_bytes)
        new = new_task(AGENT_PROVIDER, instruction, parameters, request_key)
        making = asyncio.ensure_future(self._created(new.model_copy(update={"at_once": True}), agent))
        try:
            # Whoever no longer waits may have had a row made all the same.
            task, found = await asyncio.shield(making)
            if task.status is TaskStatus.CREATED:  # else it is of the same request
                await self._begin(task, found, timeout, max_output_bytes)
        except BaseException:  # a cancellation, too: nobody is left who would have it run
            await asyncio.shield(self._drop(making))
            raise
        return task

    async def task(self, task_id: int) -> TaskRow:
        """The task; raises `NotFound`."""
        async with self.store.statements() as tx:
            return await tx.tasks.get(task_id)

    async def tasks(
        self,
        *,
        statuses: Sequence[TaskStatus] = (),
        agent: str | int | None = None,
        provider: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[TaskRow]:
        """Tasks like this (of each, any), newest first; the log tells of those that can't be read.

        Args:
            before: only those with a smaller id, which is how the next page is had.
        """
        found, unreadable = await self.readable_tasks(
            statuses=statuses, agent=agent, provider=provider, before=before, limit=limit
        )
        for each in unreadable:
            log.warning("left out of a list: %s", each)
        return found

    async def readable_tasks(
        self,
        *,
        statuses: Sequence[TaskStatus] = (),
        agent: str | int | None = None,
        provider: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[list[TaskRow], list[UnreadableRow]]:
        """The same, and what is wrong with those that can't be read, which count for the limit."""
        check_page(before, limit)
        async with self.store.transaction() as tx:
            agent_id = None if agent is None else (await tx.agents.identify(str(agent))).id
            wanted = TaskFilter(statuses, agent_id, provider)
            return await tx.tasks.readable(wanted, before=before, limit=limit)

    async def wait_task(self, task_id: int, *, begun: bool = False) -> TaskRow:
        """The task, once it has ended; raises `NotFound`.

        Args:
            begun: it has just been begun; it is not looked at before it has had a moment to end.
        """
        return await self._watching().ended(task_id, begun=begun)

    def task_changes(self, task_id: int) -> AsyncGenerator[TaskRow]:
        """The task as it is, and at each change of it, until it has ended; raises `NotFound`."""
        return self._watching().changes(task_id)

    async def cancel_task(self, task_id: int, *, timeout: float = CANCEL_SECONDS) -> TaskRow:
        """End a task; it fails as cancelled. One that has ended stays as it is.

        Args:
            timeout: seconds for which its end is waited for.

        Raises:
            NotFound: there is no such task.
            StackError: it has not ended in that time; it stays cancelled, and ends once a worker answers.
            InvalidInput: that is no time.
        """
        check_wait(timeout)
        task = await self.task(task_id)
        if task.status.ended:
            return task
        workflow = await workflow_of(await self.temporal(), task)
        if workflow is not None:
            await cancel(workflow)
        if workflow is None or task.status is TaskStatus.CREATED:
            why = "The task was cancelled."
            outcome = TaskOutcome(status=TaskStatus.FAILED, error=why, error_kind=TaskErrorKind.CANCELLED)
            with suppress(Conflict):  # it ended meanwhile
                async with self.store.transaction() as tx:
                    await tx.tasks.move(task_id, outcome)
            # Ended here and now, however short the time is.
            task = await self.task(task_id)
            if task.status.ended:
                return task
        try:
            async with asyncio.timeout(timeout):
                return await self.wait_task(task_id)
        except TimeoutError:
            raise StackError(
                f"Task {task_id} is cancelled, but no worker has ended it within {timeout:g} seconds: it "
                "ends as soon as one answers; `shiftwork status` tells whether one runs."
            ) from None

    async def _created(self, new: NewTask, ref: str | int | None) -> tuple[TaskRow, AgentRow | None]:
        """The task, and its agent; what is to be run at once must have something to run."""
        async with self.store.statements() as tx:  # one of them writes
            if new.at_once and ref is not None and not new.parameters:  # as nearly every run
                created = await tx.tasks.create_of_agent(new, str(ref))
                if created is not None:
                    return created
            agent = None
            if ref is not None:
                agent = await tx.agents.find(str(ref))
                if new.at_once and agent.kind == PYTHON and agent.code is None:
                    raise NotRunnable(f"Agent {agent.name!r} has no code; give it some before it is run.")
                of_agent = {"agent_id": agent.id, "agent_version": agent.version}
                check_parameters(agent, new.parameters)
                new = new.model_copy(update=of_agent)
            task = await tx.tasks.create(new)
        if (task.provider, task.agent_id) != (new.provider, new.agent_id):
            raise Conflict(
                f"The request_key {new.request_key!r:.80} is task {task.id}'s already, which is "
                "another agent's or provider's; give each request a key of its own."
            )
        return task, agent

    async def _begin(
        self,
        task: TaskRow,
        agent: AgentRow | None,
        timeout: float | None,
        max_output_bytes: int | None,
        *,
        look: Callable[[int], Awaitable[TaskRow]] | None = None,
    ) -> bool:
        """Start the task's workflow, unless somebody did; whether it was we. `look` reads another task."""
        config = agent.config if agent else AgentConfiguration()
        timings = self.settings.timings
        start = TaskStart(
            task_id=task.id,
            timeout=config.timeout if timeout is None else timeout,
            max_output_bytes=max_output_bytes,
            timeouts=Timeouts(heartbeat=timings.heartbeat_timeout, retry_interval=timings.retry_interval),
            at_hand=agent is not None and agent.kind == PYTHON,
        )
        name = agent.name if agent else task.provider
        client = await self.temporal()

        async def start_one() -> bool:
            return await start_workflow(client, task, start, name, timings.workflow_task)

        return await begin(client, task, name, start_one, look or self.task)

    async def _drop(self, making: "asyncio.Future[tuple[TaskRow, AgentRow | None]]") -> None:
        """Remove a task that was to be run at once and was not begun after all.

        Where nobody can tell whether a workflow has it, the maintenance does, later.
        """
        with suppress(ShiftworkError, TimeoutError):
            async with asyncio.timeout(_DROP_SECONDS):
                task, _ = await making
                async with self.store.transaction() as tx:
                    # Held: who has it begun by hand does so before this, and is seen, or finds none.
                    held = await tx.tasks.hold(task.id)
                    if REQUESTED in held.trace and await workflow_of(await self.temporal(), held) is None:
                        await tx.tasks.remove_unbegun(held.id)

    def _watching(self) -> TaskWatch:
        if self._watch is None:
            self._watch = TaskWatch(self.store, partial(database_url, self.settings))
            self._stack.push_async_callback(self._stop_watching)
        return self._watch

    async def _stop_watching(self) -> None:
        if self._watch is not None:
            await self._watch.close()
            self._watch = None
