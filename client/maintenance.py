"""The schedule by which the maintenance runs."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError

from client.schedule_changes import suppress_missing, write_schedule
from shiftwork.contracts.maintenance import MaintenanceStart
from shiftwork.contracts.workflow import Timeouts
from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.temporal import MAINTENANCE_WORKFLOW, TASK_QUEUE

MAINTENANCE = "shiftwork-maintenance"
"""The id of the schedule."""

_LATE = timedelta(minutes=1)
"""How late a run may be; one that was missed is not made up for, as the next one does the same."""

_LONGEST = timedelta(hours=6)


async def schedule_maintenance(client: Client, settings: Settings) -> None:
    """Have the maintenance run as the settings say; any number of us may do this at once. A pause stays.

    Raises:
        StackError: Temporal refused, or did not answer.
    """
    try:
        if settings.maintenance_interval:
            await write_schedule(client, MAINTENANCE, _wanted(settings))
        else:
            await _remove(client)
    except RPCError as error:
        raise StackError(f"The maintenance could not be scheduled: {error.message}; try again.") from error


async def _remove(client: Client) -> None:
    with suppress_missing():
        await client.get_schedule_handle(MAINTENANCE).delete()


def _wanted(settings: Settings) -> Schedule:
    timings = settings.timings
    timeouts = Timeouts(heartbeat=timings.heartbeat_timeout, retry_interval=timings.retry_interval)
    return Schedule(
        action=ScheduleActionStartWorkflow(
            MAINTENANCE_WORKFLOW,
            MaintenanceStart(timeouts=timeouts),
            id="maintenance",
            task_queue=TASK_QUEUE,
            run_timeout=_LONGEST,
            task_timeout=timedelta(seconds=timings.workflow_task),
            static_summary="Remove what nobody needs any more",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(seconds=settings.maintenance_interval))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_LATE),
        state=ScheduleState(note="Removes what expired and what dead attempts left behind."),
    )
