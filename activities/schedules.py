"""The tasks of schedules: one for each occurrence, however often it is asked for."""

from datetime import UTC

from temporalio import activity

from activities.agent_tasks import PROVIDER
from activities.names import DROP_TASK, MAKE_TASK
from activities.services import Services
from shiftwork.contracts.agent import Overlap
from shiftwork.contracts.task import Occurrence, OccurrenceTask, TaskStart, TaskStatus
from shiftwork.contracts.workflow import Timeouts
from shiftwork.errors import NotFound
from shiftwork.store.agents import AgentRow
from shiftwork.store.schedules import occurrence_key
from shiftwork.store.task_rows import NewTask, TaskRow
from shiftwork.text import plain_markdown


class ScheduleActivities:
    """What the workflow of an occurrence does; local activities."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=MAKE_TASK)
    async def make_task(self, occurrence: Occurrence) -> OccurrenceTask:
        """The task of this occurrence; none if its agent is gone or has it done already, or it can't wait."""
        at = occurrence.at.astimezone(UTC)
        async with self._services.store.transaction() as tx:
            try:
                agent = await tx.agents.get(occurrence.agent_id)
            except NotFound as error:
                return OccurrenceTask(why=str(error))
            if not agent.config.enabled:
                return OccurrenceTask(why=f"agent {agent.id} is not enabled")
            task = await tx.tasks.create(
                NewTask(
                    provider=PROVIDER,
                    agent_id=agent.id,
                    agent_version=agent.version,
                    request_key=occurrence_key(occurrence.schedule_id, at),
                    scheduled_at=at,
                )
            )
            if task.status is not TaskStatus.CREATED:
                return OccurrenceTask(why=f"task {task.id} of this occurrence is {task.status} already")
            await tx.schedules.claim(task.id, activity.info().workflow_id or "")
            overlap = await tx.schedules.overlap_at(agent.id, occurrence.schedule_id, at)
            one_waits = (overlap or occurrence.overlap) is Overlap.BUFFER_ONE
            if one_waits and await tx.schedules.another_waits(agent.id, task.id):
                await tx.schedules.skip(task.id)
                return OccurrenceTask(why="skipped: another occurrence waits already")
        return self._ready(agent, task, overlap)

    def _ready(self, agent: AgentRow, task: TaskRow, overlap: Overlap | None) -> OccurrenceTask:
        timings = self._services.settings.timings
        start = TaskStart(
            task_id=task.id,
            timeout=agent.config.timeout,
            timeouts=Timeouts(heartbeat=timings.heartbeat_timeout, retry_interval=timings.retry_interval),
        )
        summary = plain_markdown(f"{agent.name}: task {task.id}")
        return OccurrenceTask(start=start, name=agent.name, summary=summary, overlap=overlap)

    @activity.defn(name=DROP_TASK)
    async def drop_task(self, task_id: int) -> None:
        """Remove the task of an occurrence that is skipped, and count it."""
        async with self._services.store.transaction() as tx:
            await tx.schedules.skip(task_id)
