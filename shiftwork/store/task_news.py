"""What PostgreSQL tells of each task that changed, as `run_statements.told_of` has it do."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shiftwork.store.noun import read_row
from shiftwork.store.tables import TaskTable
from shiftwork.store.task_rows import TaskRow

_DIGITS: Final = 19
"""Of the largest id."""


@dataclass(frozen=True, slots=True)
class TaskNews:
    """A change of a task.

    Attributes:
        status: the new one; '' of whom an older version tells.
        row: as JSON; '' for one that is long, or goes on.
    """

    task_id: int
    status: str
    row: str

    @classmethod
    def read(cls, text: str) -> "TaskNews | None":
        """What was told; None if that is none."""
        task_id, _, rest = text.partition(" ")
        status, _, row = rest.partition(" ")
        told = task_id.isascii() and task_id.isdigit() and len(task_id) <= _DIGITS
        return cls(int(task_id), status, row) if told else None

    def task(self) -> TaskRow:
        """The task as it is by now.

        Raises:
            ValueError: its row was not told, or is none.
            UnreadableRow: it can't be read by this version.
        """
        try:
            found = json.loads(self.row)
            given = [name for name in _MOMENTS if found.get(name) is not None]
            moments = {name: datetime.fromisoformat(str(found[name])).astimezone(UTC) for name in given}
        except (AttributeError, OverflowError, RecursionError) as error:
            raise ValueError("what was told of a task is no row") from error
        return read_row(TaskRow, {**found, **moments})


_MOMENTS: Final = tuple(
    column.name for column in TaskTable.__table__.columns if column.type.python_type is datetime
)
