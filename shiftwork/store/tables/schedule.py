"""What is known of agents' schedules beside what Temporal keeps."""

from sqlalchemy import BigInteger, ForeignKey, Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import Base, Code, Count, Identifier, Moment, Now


class ScheduleBackfillTable(Base):
    """A time that somebody had made up for. Temporal does not tell an occurrence by which policy it came."""

    __tablename__ = "schedule_backfills"
    __table_args__ = (Index("ix_schedule_backfills_agent_id", "agent_id", "schedule_id"),)

    id: Mapped[Identifier]
    agent_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("agents.id", ondelete="CASCADE"))
    schedule_id: Mapped[Code]
    start_at: Mapped[Moment]
    end_at: Mapped[Moment]
    overlap: Mapped[Code]
    asked_at: Mapped[Now]


class ScheduleSkipTable(Base):
    """How many occurrences met a run that went on, and were dropped once they had begun."""

    __tablename__ = "schedule_skips"
    __table_args__ = (PrimaryKeyConstraint("agent_id", "schedule_id"),)

    agent_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("agents.id", ondelete="CASCADE"))
    schedule_id: Mapped[Code]
    skipped: Mapped[Count]
