"""What the maintenance does: each step by itself, so that one that fails keeps none of the others from it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from activities.alive import heartbeating
from activities.clearing import Clearing
from activities.left_projects import LeftProjects
from activities.lost_evaluations import LostEvaluations
from activities.lost_tasks import LostTasks
from activities.names import (
    BEGIN_LEFT_PROJECTS,
    CLEAR_PROJECT_FOLDERS,
    CLEAR_REFERENCES,
    CLEAR_TASK_FOLDERS,
    END_LOST_EVALUATIONS,
    END_LOST_TASKS,
    FIND_PLACES,
    REMOVE_HANDOFFS,
    REMOVE_REQUESTS,
    REMOVE_TRANSCRIPTS,
)
from activities.services import Services
from shiftwork.contracts.maintenance import Places
from shiftwork.handoffs import HandoffManager
from shiftwork.stack.place import place_in, place_of
from shiftwork.store.store import Transaction
from shiftwork.temporal import TASK_QUEUE

_BATCH = 10_000
"""Items of transcripts, or steps, that one transaction removes."""


class MaintenanceActivities:
    """Each may run at any time, twice at once, and again after any crash. They tell how much they removed."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clearing = Clearing(services)

    # Rows -------------------------------------------------------------------------------------------------

    @activity.defn(name=REMOVE_HANDOFFS)
    async def remove_handoffs(self) -> int:
        """Remove the handoffs that have expired."""
        return await HandoffManager(self._services.store).cleanup_expired()

    @activity.defn(name=REMOVE_TRANSCRIPTS)
    async def remove_transcripts(self) -> int:
        """Remove what agents said longer ago than the settings keep it; nothing if they keep it for ever.

        And what they did in episodes that have ended.
        """
        days = self._services.settings.transcript_days
        if not days:
            return 0
        before = datetime.now(UTC) - timedelta(days=days)
        async with heartbeating(self._services.record):
            count = await self._forget(lambda tx: tx.transcript.forget(before, limit=_BATCH))
            return count + await self._forget(lambda tx: tx.episodes.forget_steps(before, _BATCH))

    async def _forget(self, forget: Callable[[Transaction], Awaitable[int]]) -> int:
        count = 0
        while True:
            async with self._services.store.transaction() as tx:
                removed = await forget(tx)
            count += removed
            if removed < _BATCH:
                return count

    @activity.defn(name=REMOVE_REQUESTS)
    async def remove_requests(self) -> int:
        """Remove the idempotency keys that are no longer remembered."""
        async with self._services.store.transaction() as tx:
            return await tx.requests.forget()

    @activity.defn(name=END_LOST_TASKS)
    async def end_lost_tasks(self) -> int:
        """Have the tasks fail whose workflow ended without them: nobody else will."""
        async with heartbeating(self._services.record):
            return await LostTasks(self._services.store, activity.client()).end()

    @activity.defn(name=END_LOST_EVALUATIONS)
    async def end_lost_evaluations(self) -> int:
        """Have the evaluations fail whose workflow was ended from outside: only who watches one does so.

        Start those, too, whose workflow nobody has started.
        """
        services = self._services
        async with heartbeating(services.record):
            return await LostEvaluations(services.store, activity.client(), services.settings).settle_all()

    @activity.defn(name=BEGIN_LEFT_PROJECTS)
    async def begin_left_projects(self) -> int:
        """Start the projects whose maker ended before it could."""
        services = self._services
        async with heartbeating(services.record):
            return await LeftProjects(services.store, activity.client(), services.settings).begin_all()

    # Places -----------------------------------------------------------------------------------------------

    @activity.defn(name=FIND_PLACES)
    async def find_places(self) -> Places:
        """The state folders whose workers asked for work lately."""
        client = activity.client()
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=TASK_QUEUE),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
        found = {place for poller in described.pollers if (place := place_in(poller.identity)) is not None}
        return Places(names=tuple(sorted({place_of(self._services.settings.state), *found})))

    @activity.defn(name=CLEAR_TASK_FOLDERS)
    async def clear_task_folders(self) -> int:
        """Remove the folders of attempts at tasks and episodes that are over, and those of deleted agents."""
        async with heartbeating(self._services.record):
            return await self._clearing.tasks()

    @activity.defn(name=CLEAR_PROJECT_FOLDERS)
    async def clear_project_folders(self) -> int:
        """Remove the workspaces, run folders and homes of sessions that are over."""
        async with heartbeating(self._services.record):
            return await self._clearing.projects()

    @activity.defn(name=CLEAR_REFERENCES)
    async def clear_references(self) -> int:
        """Remove the candidates of sessions that are over, from the private repositories."""
        async with heartbeating(self._services.record):
            return await self._clearing.references()
