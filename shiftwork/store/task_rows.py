"""What tasks are to the store: as rows, as lines of lists, as they are made and ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, JsonValue, ValidationInfo, field_validator
from sqlalchemy import ColumnElement

from shiftwork.contracts.base import Message
from shiftwork.contracts.task import TaskErrorKind, TaskStatus, TaskUsage
from shiftwork.store.agents import AgentRow
from shiftwork.store.tables import TaskTable

MOST_OF_A_LINE = 1_000
"""Characters of an instruction, a result and an error that are in a line of a list."""


def _usage(told: object) -> TaskUsage | None:
    return told if isinstance(told, TaskUsage) else TaskUsage.told_by({"usage": told})


class TaskLine(Message):
    """A task as a list has it.

    Attributes:
        duration: seconds that its last attempt took.
        usage: what its models cost; None: nobody told of any.
    """

    id: int
    uuid: str
    agent_id: int | None
    agent_version: int | None
    user_id: str
    provider: str
    instruction: str
    scheduled_at: datetime | None
    status: TaskStatus
    result: str | None
    error: str | None
    error_kind: TaskErrorKind | None
    worker: str
    attempt: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration: float | None
    usage: Annotated[TaskUsage | None, BeforeValidator(_usage)] = None


class TaskRow(TaskLine):
    """A task.

    Attributes:
        trace: what happened to it when, and what was told of its progress; of one that an attempt has begun
            with `worker` and `attempts`, which stand in columns of their own.
    """

    parameters: dict[str, JsonValue]
    request_key: str | None
    trace: dict[str, JsonValue]
    token: int | None

    @field_validator("trace")
    @classmethod
    def _with_attempts(cls, trace: dict[str, JsonValue], known: ValidationInfo) -> dict[str, JsonValue]:
        attempts = known.data.get("attempt")
        return {**trace, "worker": known.data.get("worker"), "attempts": attempts} if attempts else trace

    @property
    def state(self) -> TaskStatus:
        """The status, by its other name."""
        return self.status


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks: of any of these statuses, of this agent, provider and user; None, or none: of every."""

    statuses: Sequence[TaskStatus] = ()
    agent_id: int | None = None
    provider: str | None = None
    user_id: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for the database."""
        columns = {name: getattr(self, name) for name in ("agent_id", "provider", "user_id")}
        found = [getattr(TaskTable, name) == value for name, value in columns.items() if value is not None]
        return [*found, *([TaskTable.status.in_(self.statuses)] if self.statuses else [])]


class NewTask(Message):
    """What a task is made of; see `TaskRow`.

    Attributes:
        at_once: whoever makes it has it run; no runner does.
    """

    provider: str
    agent_id: int | None = None
    agent_version: int | None = None
    user_id: str = ""
    at_once: bool = False
    instruction: str = ""
    parameters: dict[str, JsonValue] = {}
    request_key: str | None = None
    scheduled_at: datetime | None = None


class TaskOutcome(Message):
    """How an attempt ended a task."""

    status: TaskStatus
    result: str | None = None
    error: str | None = None
    error_kind: TaskErrorKind | None = None
    duration: float | None = None
    trace: dict[str, JsonValue] = {}


@dataclass(frozen=True, slots=True)
class Begun:
    """A task whose attempt begins, and what it is run with.

    Attributes:
        agent: in the version that the task names; None: it has none.
        handoff: the context of the agent's latest that has not expired, as JSON; None: there is none.
    """

    task: TaskRow
    agent: AgentRow | None
    handoff: str | None
