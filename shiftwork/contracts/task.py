"""Tasks: one run of one registered agent, or one instruction for a provider."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from shiftwork.contracts.base import Message


class TaskStatus(StrEnum):
    """Where a task stands."""

    CREATED = "created"
    """Nothing has run it yet."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether it stays like this."""
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED)


TRANSITIONS: Final = {
    TaskStatus.CREATED: frozenset({TaskStatus.RUNNING, TaskStatus.FAILED}),
    TaskStatus.RUNNING: frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED}),
    TaskStatus.COMPLETED: frozenset[TaskStatus](),
    TaskStatus.FAILED: frozenset[TaskStatus](),
}
"""What may follow what."""


class TaskErrorKind(StrEnum):
    """Why a task failed."""

    FAILED = "failed"
    """What was run failed by itself."""
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    """A person or a program ended it."""
    LOST = "lost"
    """Its worker was lost more often than it may be retried."""
    LIMIT = "limit"
    """It used more than it may."""
    INVALID = "invalid"
    """It could not be begun: no such provider, no such agent."""


class TaskStart(Message):
    """The input of the workflow of one task.

    Attributes:
        task_id: the row of a task that exists already; None: the workflow makes it.
        agent_id: whose run it is; None: a provider's task.
        request_key: makes the row be made once, whoever asks how often.
        scheduled_at: the occurrence of its schedule.
        timeout: seconds that the run may take.
        retries: how often it is begun again after its worker was lost.
    """

    task_id: int | None = None
    agent_id: int | None = None
    request_key: str | None = None
    scheduled_at: datetime | None = None
    parameters: dict[str, JsonValue] | None = None
    timeout: float = 300.0
    retries: int = 2


class TaskEnd(Message):
    """How a task ended; what it printed is in its row alone."""

    task_id: int
    status: TaskStatus
    error_kind: TaskErrorKind | None = None
