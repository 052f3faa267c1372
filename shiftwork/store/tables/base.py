"""The declarative base and the column shapes that the tables share."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, MetaData, Numeric, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, mapped_column

from shiftwork.store.types import ExactJson, ExactProse, Prose

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of all tables; constraints have predictable names, so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMES)


Identifier = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
Big = Annotated[int, mapped_column(BigInteger)]
Count = Annotated[int, mapped_column(BigInteger, server_default=text("0"))]
Flag = Annotated[bool, mapped_column(server_default=text("false"))]
Code = Annotated[str, mapped_column(Text)]
"""A word or id of our own making: a status, a commit, a kind."""
Words = Annotated[str, mapped_column(Prose)]
"""Text of any origin."""
WordsOrEmpty = Annotated[str, mapped_column(Prose, server_default=text("''"))]
ExactWords = Annotated[str, mapped_column(ExactProse)]
"""Text of any origin that must stay as it is: a name, a path."""
Json = Annotated[Any, mapped_column(JSONB(none_as_null=True))]
Names = Annotated[list[str], mapped_column(ARRAY(Prose), server_default=text("'{}'"))]
ExactValue = Annotated[Any, mapped_column(ExactJson)]
ExactNames = Annotated[list[str], mapped_column(ARRAY(ExactProse), server_default=text("'{}'"))]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=text("clock_timestamp()"))]
Dollars = Annotated[float, mapped_column(Numeric(18, 8, asdecimal=False), server_default=text("0"))]

# Rows go when what they belong to goes: deleting a project deletes everything about it.
ProjectId = Annotated[str, mapped_column(UUID(as_uuid=False), ForeignKey("projects.id", ondelete="CASCADE"))]
FeatureId = Annotated[int, mapped_column(BigInteger, ForeignKey("features.id", ondelete="CASCADE"))]
SessionId = Annotated[int, mapped_column(BigInteger, ForeignKey("sessions.id", ondelete="CASCADE"))]
