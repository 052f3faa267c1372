"""Tasks: one run of one registered agent, or one instruction for a provider."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, ValidationError

from shiftwork.contracts.agent import Overlap
from shiftwork.contracts.base import Message
from shiftwork.contracts.session import Spent
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
    BUDGET = "budget"
    """It spent what it may."""
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


class TaskUsage(Spent):
    """What a task spent on models, by all its attempts.

    Attributes:
        calls: how many questions were asked, as far as somebody counts them.
        estimated: whether some of it is a guess, since the provider did not tell.
    """

    calls: int = 0
    estimated: bool = False

    def __add__(self, other: Spent) -> "TaskUsage":
        """Both together."""
        mine, theirs = self.model_dump(), other.model_dump()
        total = {name: value + theirs.get(name, 0) for name, value in mine.items()}
        total["cost_usd"] = round(total["cost_usd"], 8)
        return TaskUsage(**{**total, "estimated": self.estimated or bool(theirs.get("estimated"))})

    @property
    def tokens(self) -> int:
        """Those of every class together."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens

    @classmethod
    def told_by(cls, trace: Mapping[str, object]) -> "TaskUsage | None":
        """What a task's trace tells of it; None if that is nothing, or no usage: anybody may write there."""
        try:
            return cls.model_validate(trace.get("usage"))
        except ValidationError:
            return None


class TaskStart(Message):
    """The input of the workflow of one task; its row exists.

    Attributes:
        timeout: seconds that one attempt may take.
        max_output_bytes: so much of each output is kept; None: as the agent's configuration says.
        at_hand: it may be over in a moment, so it begins in the worker that takes its workflow, given room.
    """

    task_id: int
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    max_output_bytes: int | None = None
    timeouts: Timeouts = Timeouts()
    at_hand: bool = False


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


class RunAtHand(Message):
    """What became of a run in the worker that has its workflow.

    Attributes:
        end: None: it goes on, or was not begun there.
        queue: of the worker where it goes on; empty: it does not.
    """

    end: TaskEnd | None = None
    queue: str = ""


class ScheduledRun(Message):
    """The input of the workflow of an occurrence of a schedule."""

    agent_id: int
    schedule_id: str
    overlap: Overlap = Overlap.SKIP


class Occurrence(Message):
    """A moment at which a schedule has its agent run. `overlap`: the schedule's policy."""

    agent_id: int
    schedule_id: str
    at: datetime
    overlap: Overlap = Overlap.SKIP


class OccurrenceTask(Message):
    """The task of an occurrence, ready to be started; `why` there is none, if `start` is None.

    Attributes:
        overlap: the policy of the backfill that asked for the occurrence; None: nobody asked, and it is the
            schedule's.
    """

    start: TaskStart | None = None
    name: str = ""
    summary: str = ""
    why: str = ""
    overlap: Overlap | None = None
