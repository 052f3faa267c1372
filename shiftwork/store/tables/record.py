"""What is remembered: progress, decisions, checkpoints, evidence and transcripts."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import (
    Base,
    Big,
    Code,
    Count,
    FeatureId,
    Identifier,
    Json,
    Moment,
    Names,
    Now,
    ProjectId,
    SessionId,
    Words,
    WordsOrEmpty,
)

SEARCHED = """
setweight(to_tsvector('english'::regconfig, coalesce(lesson, '')), 'A')
|| setweight(to_tsvector('english'::regconfig, decision), 'B')
|| setweight(to_tsvector('english'::regconfig, context), 'C')
|| setweight(to_tsvector('english'::regconfig, reasoning), 'D')
"""
"""What full-text search sees of a decision, and the weight it gives to a word there."""


class ProgressTable(Base):
    """A step of work, as an agent or a person tells it."""

    __tablename__ = "progress"
    __table_args__ = (
        UniqueConstraint("session_id", "attempt", "sequence"),
        Index(None, "project_id", "id"),
    )

    id: Mapped[Identifier]
    project_id: Mapped[ProjectId]
    session_id: Mapped[SessionId | None]
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    sequence: Mapped[int] = mapped_column(server_default=text("0"))
    action: Mapped[Words]
    outcome: Mapped[WordsOrEmpty]
    files_changed: Mapped[Names]
    commit: Mapped[Code | None]
    tokens: Mapped[Count]
    created_at: Mapped[Now]


class DecisionTable(Base):
    """A choice and its reasons; later its outcome, a score from -1 to 1, a lesson, and whose they are.

    `outcome_before` and `score_before` are those that a revert took from it, which another may give back.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("session_id", "attempt", "sequence"),
        Index(None, "project_id", "id"),
        Index(None, "search", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index(None, "tags", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        CheckConstraint("score BETWEEN -1 AND 1", name="score"),
    )

    id: Mapped[Identifier]
    project_id: Mapped[ProjectId]
    session_id: Mapped[SessionId | None]
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    sequence: Mapped[int] = mapped_column(server_default=text("0"))
    context: Mapped[WordsOrEmpty]
    decision: Mapped[Words]
    reasoning: Mapped[WordsOrEmpty]
    tags: Mapped[Names]
    outcome: Mapped[Code | None]
    score: Mapped[float | None]
    lesson: Mapped[Words | None]
    created_at: Mapped[Now]
    judged_at: Mapped[Moment | None]
    judged_by: Mapped[Code | None]
    lesson_by: Mapped[Code | None]
    outcome_before: Mapped[Code | None]
    score_before: Mapped[float | None]
    search: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCHED, persisted=True))


class CheckpointTable(Base):
    """A landing, with the features that passed there."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("project_id", "commit"),
        Index(None, "session_id"),
    )

    id: Mapped[Identifier]
    project_id: Mapped[ProjectId]
    commit: Mapped[Code]
    session_id: Mapped[SessionId | None]
    passing: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    created_at: Mapped[Now]


class EvidenceTable(Base):
    """What came of executing one verification step on one commit; no session: commits of people."""

    __tablename__ = "evidence"
    __table_args__ = (
        UniqueConstraint(
            "session_id", "round", "feature_id", "step", "commit", postgresql_nulls_not_distinct=True
        ),
        Index(None, "feature_id", "id"),
    )

    id: Mapped[Identifier]
    session_id: Mapped[SessionId | None]
    round: Mapped[int]
    feature_id: Mapped[FeatureId]
    step: Mapped[int]
    commit: Mapped[Code]
    command: Mapped[Words | None]
    exit_status: Mapped[int | None]
    output_digest: Mapped[Code]
    output_tail: Mapped[WordsOrEmpty]
    duration_seconds: Mapped[float]
    verdict: Mapped[Code]
    created_at: Mapped[Now]


class TranscriptTable(Base):
    """What an agent said and did, redacted before it gets here, kept for a time."""

    __tablename__ = "transcript"
    __table_args__ = (
        PrimaryKeyConstraint("session_id", "attempt", "sequence"),
        Index(None, "at"),
    )

    session_id: Mapped[SessionId]
    attempt: Mapped[int]
    sequence: Mapped[Big]
    kind: Mapped[Code]
    payload: Mapped[Json]
    at: Mapped[Now]
