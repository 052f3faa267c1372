"""What became of the occurrences of agents' schedules, and by which policy they are made up for."""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.agent import Overlap
from shiftwork.contracts.base import Message
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import UnreadableRow
from shiftwork.store.noun import Noun
from shiftwork.store.tables import ScheduleBackfillTable, ScheduleSkipTable, TaskTable
from shiftwork.store.task_rows import TaskRow

MOST_RECENT = 10

OCCURRENCE = "occurrence"
"""Where the trace of an occurrence's task says which workflow has it run."""

OCCURRENCE_KEYS = "schedule/"
"""With this the request keys of occurrences' tasks begin, and no others."""


class Tally(Message):
    """What became of a schedule's occurrences.

    Attributes:
        runs: how many have been run, or are.
        skipped: how many began, but met a run that went on.
        recent: when each of the last ten that have a task was due; the newest task is the last.
    """

    runs: int
    skipped: int
    recent: tuple[datetime, ...]


class Schedules(Noun):
    """The rows of `schedule_backfills` and `schedule_skips`, and the tasks of occurrences."""

    async def add_backfill(
        self, agent_id: int, schedule_id: str, start: datetime, end: datetime, overlap: Overlap
    ) -> None:
        """What is due from `start` to `end` is to be made up for by this policy."""
        values = {"agent_id": agent_id, "schedule_id": schedule_id, "start_at": start, "end_at": end}
        await self._connection.execute(insert(ScheduleBackfillTable).values(**values, overlap=overlap.value))

    async def overlap_at(self, agent_id: int, schedule_id: str, at: datetime) -> Overlap | None:
        """The policy of the newest backfill of a time with this moment in it; None: nobody asked for one."""
        table = ScheduleBackfillTable
        of_it = (table.agent_id == agent_id) & (table.schedule_id == schedule_id)
        with_it = (table.start_at <= at) & (table.end_at >= at)
        newest = select(table.overlap).where(of_it & with_it).order_by(table.id.desc()).limit(1)
        found = await self._value(newest)
        return None if found is None else Overlap(found)

    async def claim(self, task_id: int, workflow_id: str) -> None:
        """Let the task of an occurrence say which workflow has it run."""
        noted = TaskTable.trace.op("||")(literal({OCCURRENCE: workflow_id}, TaskTable.trace.type))
        claimed = update(TaskTable).where(TaskTable.id == task_id).values(trace=noted)
        await self._connection.execute(claimed)

    async def waiting(self, after: int = 0, limit: int = 500) -> tuple[list[TaskRow], list[UnreadableRow]]:
        """Tasks of occurrences that nothing has begun, by their ids, which come after this one.

        And what is wrong with those that can't be read.
        """
        mine = TaskTable.scheduled_at.is_not(None) & (TaskTable.id > after)
        waiting = select(TaskTable.__table__).where(TaskTable.status == TaskStatus.CREATED, mine)
        return await self._readable(waiting.order_by(TaskTable.id).limit(limit), TaskRow)

    async def another_waits(self, agent_id: int, task_id: int) -> bool:
        """Whether an older occurrence's task waits already while a run of the agent goes on."""
        older = (TaskTable.agent_id == agent_id) & (TaskTable.id < task_id)
        waiting = (TaskTable.status == TaskStatus.CREATED) & TaskTable.scheduled_at.is_not(None)
        open_ones = older & (waiting | (TaskTable.status == TaskStatus.RUNNING))
        return await self._number_of(select(TaskTable.id).where(open_ones)) > 1

    async def skip(self, task_id: int) -> None:
        """Remove the task of an occurrence, which nothing has run, and count that; otherwise do nothing."""
        waiting = (TaskTable.id == task_id) & (TaskTable.status == TaskStatus.CREATED)
        removed = delete(TaskTable).where(waiting).returning(TaskTable.agent_id, TaskTable.request_key)
        row = (await self._connection.execute(removed)).first()
        if row is None or row.agent_id is None or row.request_key is None:
            return
        schedule_id = row.request_key.split("/")[1]
        values = {"agent_id": row.agent_id, "schedule_id": schedule_id, "skipped": 1}
        await self._connection.execute(
            insert(ScheduleSkipTable)
            .values(values)
            .on_conflict_do_update(
                constraint="pk_schedule_skips", set_={"skipped": ScheduleSkipTable.skipped + 1}
            )
        )

    async def tally(self, agent_id: int, schedule_id: str) -> Tally:
        """What became of the occurrences of this schedule."""
        mine = (TaskTable.agent_id == agent_id) & _of(schedule_id)
        begun = mine & (TaskTable.status != TaskStatus.CREATED)
        table = ScheduleSkipTable
        skips = select(table.skipped).where(table.agent_id == agent_id, table.schedule_id == schedule_id)
        newest = select(TaskTable.scheduled_at).where(mine).order_by(TaskTable.id.desc()).limit(MOST_RECENT)
        recent = (await self._connection.execute(newest)).scalars().all()
        return Tally(
            runs=await self._value(select(func.count()).select_from(TaskTable).where(begun)),
            skipped=await self._value(skips) or 0,
            recent=tuple(reversed(recent)),
        )


def occurrence_key(schedule_id: str, at: datetime) -> str:
    """The request key of an occurrence's task: there is one, however often it is asked for."""
    return f"{OCCURRENCE_KEYS}{schedule_id}/{at.astimezone(UTC).isoformat()}"


def _of(schedule_id: str) -> ColumnElement[bool]:
    prefix = f"{OCCURRENCE_KEYS}{schedule_id}/"
    return TaskTable.scheduled_at.is_not(None) & TaskTable.request_key.startswith(prefix, autoescape=True)
