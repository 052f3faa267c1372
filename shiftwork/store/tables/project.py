"""Projects, their features, and the events of both."""

from sqlalchemy import CheckConstraint, Numeric, PrimaryKeyConstraint, UniqueConstraint, false, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import (
    Base,
    Big,
    Code,
    Count,
    Dollars,
    ExactNames,
    ExactValue,
    ExactWords,
    Identifier,
    Json,
    Moment,
    Now,
    ProjectId,
    Words,
    WordsOrEmpty,
)


class ProjectTable(Base):
    """A goal, a repository, a budget.

    `revision` orders the changes of control state, `event_sequence` is the sequence of the newest event. The
    totals are kept by whoever inserts a usage row, in the same transaction.
    """

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    name: Mapped[ExactWords]
    description: Mapped[WordsOrEmpty]
    spec: Mapped[WordsOrEmpty]
    working_directory: Mapped[ExactWords | None]
    repository: Mapped[ExactWords | None]
    branch: Mapped[ExactWords | None]
    status: Mapped[Code]
    status_reason: Mapped[WordsOrEmpty]
    options: Mapped[ExactValue]
    budget_usd: Mapped[float | None] = mapped_column(Numeric(18, 8, asdecimal=False))
    not_before: Mapped[Moment | None]
    revision: Mapped[Count]
    event_sequence: Mapped[Count]
    total_tokens: Mapped[Count]
    total_cost_usd: Mapped[Dollars]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class ProjectStartTable(Base):
    """A project whose workflow is to be started; it goes as soon as somebody has started it."""

    __tablename__ = "project_starts"
    __table_args__ = (PrimaryKeyConstraint("project_id"),)

    project_id: Mapped[ProjectId]
    created_at: Mapped[Now]


class FeatureTable(Base):
    """A piece of a project: its definition, which people and plans write, and its control state."""

    __tablename__ = "features"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("priority BETWEEN 1 AND 10", name="priority"),
    )

    id: Mapped[Identifier]
    project_id: Mapped[ProjectId]
    name: Mapped[ExactWords]
    description: Mapped[WordsOrEmpty]
    category: Mapped[Code]
    priority: Mapped[int]
    depends_on: Mapped[ExactNames]
    verification_steps: Mapped[ExactValue]
    status: Mapped[Code]
    revision: Mapped[Count]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    runs: Mapped[int] = mapped_column(server_default=text("0"))
    kept_commit: Mapped[Code | None]
    candidate: Mapped[Code | None]
    waiting: Mapped[bool] = mapped_column(server_default=false())
    question: Mapped[Words | None]
    last_error: Mapped[Words | None]
    last_failure: Mapped[Json | None]
    blocked_reason: Mapped[Words | None]
    passed_commit: Mapped[Code | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class EventTable(Base):
    """What happened to a project, in order. A trigger refuses every update and lone delete.

    `key` makes an event that may be reported twice appear once.
    """

    __tablename__ = "events"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "sequence"),
        UniqueConstraint("project_id", "key"),
    )

    project_id: Mapped[ProjectId]
    sequence: Mapped[Big]
    key: Mapped[Words | None]
    kind: Mapped[Code]
    actor: Mapped[WordsOrEmpty]
    reference: Mapped[WordsOrEmpty]
    data: Mapped[Json]
    at: Mapped[Now]
