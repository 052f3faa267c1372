"""What programs asked for under a key of their own, so that asking again does nothing twice."""

from typing import Any

from sqlalchemy import JSON, Index, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import Base, Code, Moment, Now


class RequestTable(Base):
    """A request with an idempotency key, and its answer once there is one.

    Attributes:
        digest: of the key.
        asked: digest of what was asked for.
        thing: the id of what the request makes, so that a second try finds what a first one made.
        claim: who works at it; the lease lasts until `leased_until`.
    """

    __tablename__ = "requests"
    __table_args__ = (Index(None, "created_at"),)

    digest: Mapped[Code] = mapped_column(primary_key=True)
    asked: Mapped[Code]
    thing: Mapped[str] = mapped_column(UUID(as_uuid=False), server_default=text("gen_random_uuid()"))
    claim: Mapped[str] = mapped_column(UUID(as_uuid=False))
    leased_until: Mapped[Moment]
    status: Mapped[int | None]
    # Not JSONB, which would give its fields in another order the second time.
    answer: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[Now]
