"""What answers about tasks, agents, schedules and this machine hold."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, JsonValue

from client.schedules import ScheduleInfo
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.resources import ResourceUsage
from shiftwork.store.agents import AgentRow
from shiftwork.store.handoffs import HandoffArtifact
from shiftwork.store.task_rows import TaskLine, TaskRow


class Task(TaskLine):
    """A task: what was asked for, where it stands, and what came of it."""

    parameters: dict[str, JsonValue]
    trace: dict[str, JsonValue] = Field(description="What happened to it when.")

    @classmethod
    def of(cls, row: TaskRow) -> "Task":
        """The row, without what is its worker's alone."""
        return cls.model_validate(row.model_dump())


class TaskState(BaseModel):
    """Where a task stands, as its stream tells it."""

    id: int
    uuid: str
    status: str
    attempt: int
    error: str | None
    error_kind: str | None
    duration: float | None
    trace: dict[str, JsonValue]

    @classmethod
    def of(cls, row: TaskRow) -> "TaskState":
        """The row, without what may be long."""
        return cls.model_validate(row.model_dump(include=set(cls.model_fields)))


class AgentLine(BaseModel):
    """A registered agent, without its code and settings."""

    id: int
    name: str
    version: int
    kind: str
    description: str
    config: AgentConfiguration
    created_at: datetime
    updated_at: datetime

    @classmethod
    def line(cls, row: AgentRow) -> "AgentLine":
        """The row's line."""
        return AgentLine.model_validate(row.model_dump())


class Agent(AgentLine):
    """A registered agent in one of its versions."""

    code: str | None
    settings: dict[str, JsonValue]

    @classmethod
    def of(cls, row: AgentRow) -> "Agent":
        """The row."""
        return cls.model_validate(row.model_dump())


class Schedule(BaseModel):
    """A schedule of an agent."""

    id: str
    agent_id: int
    agent_version: int = Field(description="The version of the agent whose configuration says so.")
    schedule: str
    timezone: str
    paused: bool
    note: str
    next_runs: list[datetime] = Field(description="The next ten at most; none while it is paused.")
    recent: list[datetime] = Field(description="When each of the last occurrences was due.")
    runs: int
    skipped: int = Field(description="Occurrences that met a run that went on.")
    missed: int = Field(description="Occurrences that were too late to be made up for.")

    @classmethod
    def of(cls, info: ScheduleInfo) -> "Schedule":
        """What Temporal tells."""
        return cls.model_validate(info, from_attributes=True)


class Runs(BaseModel):
    """Moments at which a schedule has its agent run."""

    schedule: str
    timezone: str
    paused: bool = Field(description="Then nothing runs at them, unless it goes on before.")
    next_runs: list[datetime]


class Handoff(BaseModel):
    """What a run of an agent, or a session of a project, left for the next one."""

    id: int
    agent_id: int | None
    task_id: int | None
    session_id: int | None
    context: dict[str, Any] = Field(
        description='Its observations, actions, state and metadata; `{"$datetime": …}` stands for a moment.'
    )
    summary: str
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, row: HandoffArtifact) -> "Handoff":
        """The row; raises `UnreadableRow`."""
        return cls(**row.model_dump(include=set(cls.model_fields)), context=row.parts())


class CleanedUp(BaseModel):
    """What was deleted."""

    deleted: int = Field(description="How many handoffs had expired.")


class Free(BaseModel):
    """What of a machine is free. MB are millions of bytes."""

    memory_mb: float
    gpu_memory_mb: float | None = Field(description="Of the GPU that has most; null where there is none.")


class Resources(BaseModel):
    """What of the server's machine, or of its container, is used. MB are millions of bytes."""

    memory_mb: float
    memory_percent: float
    cpu_percent: float = Field(description="Of all processors, since the last time that somebody asked.")
    gpu_memory_mb: float | None = Field(description="Of all GPUs; null where there is none.")
    free: Free
    running_tasks: int = Field(description="Of the whole stack, on whichever machine they run.")

    @classmethod
    def of(cls, usage: ResourceUsage, running: int) -> "Resources":
        """What was measured."""
        assert usage.room is not None  # it is that of a machine
        return cls(
            memory_mb=usage.memory_mb,
            memory_percent=usage.memory_percent,
            cpu_percent=usage.cpu_percent,
            gpu_memory_mb=usage.gpu_memory_mb,
            free=Free.model_validate(usage.room, from_attributes=True),
            running_tasks=running,
        )
