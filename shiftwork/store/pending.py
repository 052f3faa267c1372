"""Tasks that wait to be run: which, and in which order."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Select, all_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from shiftwork.contracts.task import TaskStatus
from shiftwork.store.tables import TaskTable

REQUESTED = "run_requested_at"
"""Where the trace of a task says since when it was to be run: at once, by whoever made it."""

_AT_ONCE = TaskTable.trace.has_key(REQUESTED)
_MOMENT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PendingTask:
    """A task that is to be run, and whose run it is: an agent's, or None's."""

    id: int
    agent_id: int | None


def pending(limit: int, without: Collection[int], newest: int | None) -> Select[Any]:
    """Ids and agents of what nothing has run yet; see `Tasks.pending`."""
    columns = TaskTable.__table__.c
    by_hand = ((columns.status == TaskStatus.RUNNING) & (columns.worker == "")).label("by_hand")
    waiting = (columns.status == TaskStatus.CREATED) & columns.scheduled_at.is_(None) & ~_AT_ONCE
    turn = func.row_number().over(partition_by=columns.agent_id, order_by=(by_hand.desc(), columns.id))
    found = select(columns.id, columns.agent_id, by_hand).where(by_hand.element | waiting)
    if without:
        found = found.where(columns.id != all_(literal(list(without), ARRAY(BigInteger))))
    if newest is not None:
        found = found.where(columns.id <= newest)
    first = found.order_by(turn, columns.id).limit(limit).subquery()
    return select(first.c.id, first.c.agent_id).order_by(first.c.by_hand.desc(), first.c.id)


def left(limit: int) -> Select[Any]:
    """Ids of what was to be run at once and was not begun; see `Tasks.left`."""
    long_ago = TaskTable.created_at < func.clock_timestamp() - _MOMENT
    found = select(TaskTable.id).where(TaskTable.status == TaskStatus.CREATED, _AT_ONCE, long_ago)
    return found.order_by(TaskTable.id).limit(limit)
