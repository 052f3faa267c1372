"""What workers publish of the secrets that they know."""

from sqlalchemy import PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from shiftwork.store.tables.base import Base, Code, Now


class FingerprintTable(Base):
    """The fingerprints of the secrets that one worker knows, encrypted.

    Attributes:
        owner: the worker's process.
        place: a digest of its host and state folder: whoever starts there next succeeds it.
        content: a keyed digest of what it knows; equal if two know the same.
        body: see `shiftwork.secrets.fingerprints`; sealed.
    """

    __tablename__ = "secret_fingerprints"
    __table_args__ = (PrimaryKeyConstraint("owner"),)

    owner: Mapped[str] = mapped_column(UUID(as_uuid=False))
    place: Mapped[Code]
    content: Mapped[Code]
    body: Mapped[bytes]
    renewed_at: Mapped[Now]
