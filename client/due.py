"""When schedules are due, as Temporal knows it: where clocks are changed, and with jitter."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, ScheduleBackfill, ScheduleOverlapPolicy

from shiftwork.schedules import Recurrence

_MOMENT = timedelta(milliseconds=1)
"""Less than lies between any two occurrences."""

MOST_RUNS = 1_000
"""Moments that are told at once: Temporal tells no more."""

_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""Beyond which no time zone can be reckoned with."""

_WIDER = (1, 2, 4)
"""How much more time is looked at where the clock leaves out some of what is expected."""


async def due_between(client: Client, named: str, start: datetime, end: datetime) -> list[datetime]:
    """When the occurrences begin, with their jitter, that are due after `start`; none begins after `end`.

    Returns:
        The first thousand, in UTC.
    """
    asked = ListScheduleMatchingTimesRequest(
        namespace=client.namespace,
        schedule_id=named,
        start_time=_timestamp(start),
        end_time=_timestamp(end),
    )
    answer = await client.workflow_service.list_schedule_matching_times(asked)
    return [at.ToDatetime(UTC) for at in answer.start_time]


async def next_due(client: Client, named: str, recurrence: Recurrence, number: int) -> list[datetime]:
    """When the next so many occurrences begin, in the schedule's own time zone; fewer where no more come."""
    now = datetime.now(UTC)
    expected = recurrence.next_runs(number, now)
    if not expected:
        return []
    # Our own reckoning knows no jitter, and other moments where clocks are changed.
    span = expected[-1].astimezone(UTC) - now + timedelta(days=2)
    found: list[datetime] = []
    for times in _WIDER:
        end = now + min(times * span, _LATEST - now)
        found = [at for at in await due_between(client, named, now, end) if at > now]
        if len(found) >= number:
            break
    return [at.astimezone(recurrence.timezone) for at in found[:number]]


async def backfill_of(
    client: Client,
    named: str,
    span: tuple[datetime, datetime],
    jitter: timedelta,
    overlap: ScheduleOverlapPolicy,
) -> ScheduleBackfill:
    """What has Temporal run what was due from the first of these moments to the last."""
    start, end = span
    until = end + jitter
    if jitter:
        # Temporal looks at when the last ones begin, which is before the next one is due.
        too_late = await due_between(client, named, end, until)
        until = min([until, *(at - _MOMENT for at in too_late)])
    # It leaves out what is due at the very start.
    return ScheduleBackfill(start_at=start - _MOMENT, end_at=until, overlap=overlap)


def _timestamp(at: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(at)
    return timestamp
