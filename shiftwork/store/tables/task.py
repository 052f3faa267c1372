"""Registered agents, their runs, and what one run leaves for the next."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import (
    Base,
    Big,
    Code,
    Count,
    ExactValue,
    ExactWords,
    Identifier,
    Json,
    Moment,
    Now,
    Words,
    WordsOrEmpty,
)


class AgentTable(Base):
    """A registered agent; what it is stands in its versions. A deleted one stays for its tasks."""

    __tablename__ = "agents"
    # A name is free again once its agent is deleted.
    __table_args__ = (
        Index("uq_agents_name", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[Identifier]
    name: Mapped[ExactWords]
    version: Mapped[int]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]
    deleted_at: Mapped[Moment | None]


class AgentVersionTable(Base):
    """An agent as it was registered or changed; never altered."""

    __tablename__ = "agent_versions"
    __table_args__ = (PrimaryKeyConstraint("agent_id", "version"),)

    agent_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("agents.id", ondelete="CASCADE"))
    version: Mapped[int]
    kind: Mapped[Code]
    description: Mapped[WordsOrEmpty]
    code: Mapped[ExactWords | None]
    settings: Mapped[ExactValue]
    config: Mapped[ExactValue]
    created_at: Mapped[Now]


class TaskTable(Base):
    """One run of an agent, or one instruction for a provider. `token` fences the attempt that runs it."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("uuid"),
        UniqueConstraint("request_key"),
        Index("ix_tasks_agent_id", "agent_id", text("id DESC")),
        Index(
            "ix_tasks_scheduled",
            "request_key",
            postgresql_ops={"request_key": "text_pattern_ops"},
            postgresql_where=text("scheduled_at IS NOT NULL"),
        ),
        Index("ix_tasks_ended_at", "ended_at"),
        Index("ix_tasks_open", "status", "id", postgresql_where=text("status IN ('created', 'running')")),
    )

    id: Mapped[Identifier]
    uuid: Mapped[str] = mapped_column(UUID(as_uuid=False), server_default=text("gen_random_uuid()"))
    agent_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("agents.id", ondelete="CASCADE"))
    agent_version: Mapped[int | None]
    user_id: Mapped[WordsOrEmpty]
    provider: Mapped[Code]
    instruction: Mapped[WordsOrEmpty]
    parameters: Mapped[ExactValue]
    request_key: Mapped[ExactWords | None]
    scheduled_at: Mapped[Moment | None]
    status: Mapped[Code]
    trace: Mapped[Json]
    # Processors write it into the trace, as it is spent.
    usage: Mapped[Json | None] = mapped_column(Computed("trace -> 'usage'", persisted=True))
    result: Mapped[Words | None]
    error: Mapped[Words | None]
    error_kind: Mapped[Code | None]
    worker: Mapped[WordsOrEmpty]
    attempt: Mapped[Count]
    token: Mapped[Big | None]
    created_at: Mapped[Now]
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    duration: Mapped[float | None]


class HandoffTable(Base):
    """What a run of an agent, or a session, leaves for the next one."""

    __tablename__ = "handoff_artifacts"
    __table_args__ = (
        CheckConstraint("num_nonnulls(agent_id, session_id) = 1", name="one_owner"),
        CheckConstraint("char_length(summary) <= 2000", name="summary_length"),
        Index("ix_handoff_artifacts_agent_id", "agent_id", text("created_at DESC")),
        Index("ix_handoff_artifacts_expires_at", "expires_at"),
        Index(None, "task_id"),
        UniqueConstraint("session_id"),
    )

    id: Mapped[Identifier]
    agent_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("agents.id", ondelete="CASCADE"))
    task_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("tasks.id", ondelete="CASCADE"))
    session_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("sessions.id", ondelete="CASCADE"))
    context_data: Mapped[Words]
    summary: Mapped[WordsOrEmpty]
    created_at: Mapped[Now]
    expires_at: Mapped[Moment | None]
