"""Tasks: one run of one registered agent, or one instruction for a provider."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shiftwork.contracts.agent import Overlap
from shiftwork.contracts.base import Message
from shiftwork.contracts.workflow import Timeouts


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
    RATE_LIMITED = "rate_limited"
    """The agent's model wants no more questions for a while."""
    UNAVAILABLE = "unavailable"
    """The provider of the agent's model is overloaded or out of reach."""
    AUTHENTICATION = "authentication"
    """That provider refuses the credentials."""
    REJECTED = "rejected"
    """That provider accepts no request, as for a model that it does not know."""
    QUESTION = "question"
    """The agent asks what only a person can answer."""


class TaskStart(Message):
    """The input of the workflow of one task; its row exists.

    Attributes:
        timeout: seconds that one attempt may take.
        max_output_bytes: so much of each output is kept; None: as the agent's configuration says.
    """

    task_id: int
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    max_output_bytes: int | None = None
    timeouts: Timeouts = Timeouts()


class TaskGivenUp(Message):
    """A task that no attempt ends any more, and why: for its row, if that is still open."""

    task_id: int
    error: str
    error_kind: TaskErrorKind


class TaskEnd(Message):
    """How a task ended; what it printed is in its row alone."""

    task_id: int
    status: TaskStatus
    error_kind: TaskErrorKind | None = None


class ScheduledRun(Message):
    """The input of the workflow of an occurrence of a schedule."""

    agent_id: int
    schedule_id: str
    overlap: Overlap = Overlap.SKIP


class Occurrence(Message):
    """A moment at which a schedule has its agent run."""

    agent_id: int
    schedule_id: str
    at: datetime


class OccurrenceTask(Message):
    """The task of an occurrence, ready to be started; `why` there is none, if `start` is None."""

    start: TaskStart | None = None
    name: str = ""
    summary: str = ""
    why: str = ""
