"""Evaluations, their episodes, and what was done in each."""

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
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
    Flag,
    Identifier,
    Json,
    Moment,
    Now,
    Words,
    WordsOrEmpty,
)


class EvaluationTable(Base):
    """Episodes of one kind: an environment, who plays, and the seeds; `player_key` is a secret."""

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("uuid"),
        UniqueConstraint("request_key"),
        Index("ix_evaluations_environment", "environment", text("id DESC")),
    )

    id: Mapped[Identifier]
    uuid: Mapped[str] = mapped_column(UUID(as_uuid=False), server_default=text("gen_random_uuid()"))
    environment: Mapped[ExactWords]
    player: Mapped[Code]
    spec: Mapped[ExactValue]
    status: Mapped[Code]
    request_key: Mapped[ExactWords | None]
    created_at: Mapped[Now]
    ended_at: Mapped[Moment | None]
    player_key: Mapped[bytes | None] = mapped_column(LargeBinary)


class EpisodeTable(Base):
    """One play. `token` fences the attempt that plays it."""

    __tablename__ = "episodes"
    __table_args__ = (
        UniqueConstraint("evaluation_id", "number"),
        Index("ix_episodes_open", "status", "id", postgresql_where=text("status IN ('created', 'running')")),
    )

    id: Mapped[Identifier]
    evaluation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("evaluations.id", ondelete="CASCADE"))
    number: Mapped[int]
    seed: Mapped[Big]
    status: Mapped[Code]
    ending: Mapped[Code | None]
    success: Mapped[Flag]
    terminated: Mapped[Flag]
    truncated: Mapped[Flag]
    reproducible: Mapped[Flag]
    total_reward: Mapped[float | None]
    total_steps: Mapped[Count]
    refused_actions: Mapped[Count]
    rewards: Mapped[Json | None]
    seconds: Mapped[float | None]
    usage: Mapped[Json | None]
    error: Mapped[Words | None]
    error_kind: Mapped[Code | None]
    worker: Mapped[WordsOrEmpty]
    sandbox: Mapped[WordsOrEmpty]
    attempt: Mapped[Count]
    token: Mapped[Big | None]
    created_at: Mapped[Now]
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    worker_stops: Mapped[Count]
    played_seconds: Mapped[float] = mapped_column(server_default=text("0"))


class EpisodeStepTable(Base):
    """An action that was chosen, and what came of it; never altered."""

    __tablename__ = "episode_steps"
    __table_args__ = (PrimaryKeyConstraint("episode_id", "number"),)

    episode_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("episodes.id", ondelete="CASCADE"))
    number: Mapped[int]
    agent: Mapped[ExactWords | None]
    action: Mapped[ExactWords]
    parameters: Mapped[ExactValue]
    success: Mapped[bool]
    reward: Mapped[float]
    rewards: Mapped[Json]
    error: Mapped[Words | None]
    observation: Mapped[Code]
    terminated: Mapped[bool]
    truncated: Mapped[bool]
    seconds: Mapped[float]
    created_at: Mapped[Now]
    fault: Mapped[Flag]
    broken: Mapped[Flag]
