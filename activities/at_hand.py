"""Runs that begin in the worker of their workflow: most are over before the server could hand them on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.alive import heartbeating, is_cancelled
from activities.error_types import NOT_HERE
from activities.names import ATTEND_TASK, RUN_AT_HAND
from activities.orphans import WorkerRecord
from activities.runs_here import RunHere, RunsHere, Wish
from activities.tasks import TaskActivities
from shiftwork.contracts.task import RunAtHand, TaskEnd, TaskStart

log = logging.getLogger("shiftwork.worker")

Room = Callable[[], Callable[[], None] | None]
"""Takes a place on this host, if there is room for another process, and returns what gives it back."""

_LONGEST: Final = 1.0
"""Seconds after which a run is no longer waited for by the step of the workflow that began it."""

_OF_STEP: Final = 1 / 4
"""The same, as a part of the time that the server gives a step."""


class RunsAtHand:
    """What the workflow of a task does before it asks the server for a worker.

    A run is waited for by the step that began it for a moment. If it lasts longer, an activity on a queue of
    this process alone attends it: that has the heartbeats, and hears of cancellations.

    Args:
        here: keeps the runs that last longer.
        room: see `Room`.
        queue: of this process.
        step: seconds after which the server gives a step up that was not answered.
    """

    def __init__(
        self,
        tasks: TaskActivities,
        here: RunsHere,
        record: WorkerRecord,
        *,
        room: Room,
        queue: str,
        step: float,
    ) -> None:
        self._tasks = tasks
        self._here = here
        self._record = record
        self._room = room
        self.queue: Final = queue
        self._patience = min(_LONGEST, step * _OF_STEP)

    @activity.defn(name=RUN_AT_HAND)
    async def run_at_hand(self, start: TaskStart) -> RunAtHand:
        """Begin the run here, if there is room, and wait for its end for a moment.

        One that goes on here already is waited for: the step that began it was taken again.
        """
        run = await self._here.wanted(start.task_id) or self._begun(start)
        if run is None:
            return RunAtHand()
        stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait(
                (run.attempt, stopping), timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
            )
            if stopping.done():
                run.tell(Wish.STOPPING)
                await asyncio.wait((run.attempt,))
        finally:
            # Also where this step does not count any more: whoever takes it again may find the run here.
            run.leave()
            stopping.cancel()
        if not run.attempt.done():
            return RunAtHand(queue=self.queue)
        self._here.forget(start.task_id)
        if error := run.attempt.exception():
            log.info("task %d is begun once more, from the queue: %s", start.task_id, error)
            return RunAtHand()
        return RunAtHand(end=run.attempt.result())

    @activity.defn(name=ATTEND_TASK)
    async def attend_task(self, start: TaskStart) -> TaskEnd:
        """Wait for the end of a run that was begun here, and hear who wants it to end."""
        async with heartbeating(self._record):
            run = await self._here.wanted(start.task_id)
            if run is None:
                raise _not_here(start.task_id)
            run.attended = True
            stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
            try:
                await asyncio.wait((run.attempt, stopping), return_when=asyncio.FIRST_COMPLETED)
                run.tell(Wish.STOPPING)  # harmless where the work is done
                await asyncio.wait((run.attempt,))
            except asyncio.CancelledError:
                run.tell(Wish.CANCELLED if await is_cancelled() else Wish.OVER)
                await asyncio.wait((run.attempt,))
            finally:
                stopping.cancel()
            return run.attempt.result()

    def _begun(self, start: TaskStart) -> RunHere | None:
        leave = self._room()
        if leave is None:
            return None
        run = RunHere()
        run.attempt = asyncio.create_task(self._tasks.attempt(start, run.until_told))
        run.attempt.add_done_callback(lambda _: leave())
        self._here.add(start.task_id, run)
        return run


def _not_here(task_id: int) -> ApplicationError:
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(f"task {task_id} is not run here any more", type=NOT_HERE, category=benign)
