"""Who is told of the ends of tasks, and what was told."""

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import Base, Code, Count, Moment, Now


class WebhookTable(Base):
    """An address that is told of the ends of tasks.

    Attributes:
        endpoint: a digest of it.
        since: of all tasks that ended before, it was told or need not be.
    """

    __tablename__ = "webhooks"

    endpoint: Mapped[Code] = mapped_column(primary_key=True)
    since: Mapped[Now]


class TaskNoticeTable(Base):
    """The end of a task, as one address is told of it.

    Attributes:
        attempts: how often it was tried.
        due_at: when it is to be tried next, unless it was told by then.
        delivered_at: when the address took it.
    """

    __tablename__ = "task_notices"
    __table_args__ = (
        Index("ix_task_notices_due_at", "due_at", postgresql_where=text("delivered_at IS NULL")),
        Index("ix_task_notices_task_id", "task_id"),
    )

    endpoint: Mapped[str] = mapped_column(
        ForeignKey("webhooks.endpoint", ondelete="CASCADE"), primary_key=True
    )
    task_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    attempts: Mapped[Count]
    due_at: Mapped[Now]
    delivered_at: Mapped[Moment | None]
