"""Sessions, their attempts, the lease that fences an attempt, and what it used."""

from sqlalchemy import Index, PrimaryKeyConstraint, Sequence, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import (
    Base,
    Big,
    Code,
    Count,
    Dollars,
    FeatureId,
    Flag,
    Identifier,
    Json,
    Moment,
    Now,
    ProjectId,
    SessionId,
    Words,
    WordsOrEmpty,
)

LEASE_TOKENS = Sequence("lease_tokens", metadata=Base.metadata)
"""Where fencing tokens come from: a later token always is the greater one."""


class SessionTable(Base):
    """One agent, one feature, one handover; planning is session 0 and has no feature."""

    __tablename__ = "sessions"
    __table_args__ = (
        UniqueConstraint("project_id", "number"),
        Index(None, "feature_id"),
    )

    id: Mapped[Identifier]
    project_id: Mapped[ProjectId]
    number: Mapped[int]
    feature_id: Mapped[FeatureId | None]
    role: Mapped[Code]
    phase: Mapped[Code]
    working_memory: Mapped[Json | None]
    memory_expires_at: Mapped[Moment | None]
    last_action: Mapped[WordsOrEmpty]
    recommended_next_action: Mapped[WordsOrEmpty]
    outcome: Mapped[Code | None]
    error: Mapped[Words | None]
    landed_commit: Mapped[Code | None]
    sandbox: Mapped[WordsOrEmpty]
    total_tokens: Mapped[Count]
    total_cost_usd: Mapped[Dollars]
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]


class AttemptTable(Base):
    """One execution of a session's agent."""

    __tablename__ = "attempts"
    __table_args__ = (PrimaryKeyConstraint("session_id", "attempt"),)

    session_id: Mapped[SessionId]
    attempt: Mapped[int]
    host: Mapped[WordsOrEmpty]
    token: Mapped[Big] = mapped_column(unique=True)
    base: Mapped[Code | None]
    conversation: Mapped[WordsOrEmpty]
    outcome: Mapped[Code | None]
    candidate: Mapped[Code | None]
    kept_commit: Mapped[Code | None]
    outbox: Mapped[Json | None]
    started_at: Mapped[Now]
    ended_at: Mapped[Moment | None]


class LeaseTable(Base):
    """Who may write for a session. The row stays when the lease ends: it also counts the attempts."""

    __tablename__ = "leases"
    __table_args__ = (PrimaryKeyConstraint("session_id"),)

    session_id: Mapped[SessionId]
    attempt: Mapped[int]
    token: Mapped[Big]
    host: Mapped[WordsOrEmpty]
    expires_at: Mapped[Moment]


class ConversationTable(Base):
    """The latest state of the conversation that a session's agent is in, encrypted.

    Attributes:
        sequence: which state it is, counted by the attempt.
        bytes: its size, before it was compressed and encrypted.
    """

    __tablename__ = "conversations"
    __table_args__ = (PrimaryKeyConstraint("session_id"),)

    session_id: Mapped[SessionId]
    attempt: Mapped[int]
    sequence: Mapped[Big]
    body: Mapped[bytes]
    bytes: Mapped[Count]
    at: Mapped[Now]


class UsageTable(Base):
    """What an agent used since its previous usage row, by class of tokens."""

    __tablename__ = "usage"
    __table_args__ = (
        PrimaryKeyConstraint("session_id", "attempt", "sequence"),
        # There are few: so a status that asks for them stays quick.
        Index("ix_usage_estimated", "session_id", postgresql_where=text("estimated")),
    )

    session_id: Mapped[SessionId]
    attempt: Mapped[int]
    sequence: Mapped[Big]
    cli_session: Mapped[WordsOrEmpty]
    input_tokens: Mapped[Count]
    output_tokens: Mapped[Count]
    cache_read_tokens: Mapped[Count]
    cache_write_tokens: Mapped[Count]
    cost_usd: Mapped[Dollars]
    estimated: Mapped[Flag]
    created_at: Mapped[Now]
