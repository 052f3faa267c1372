"""Lists come in pages."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

MOST = 200
Item = TypeVar("Item")
Other = TypeVar("Other")


class Window(BaseModel):
    """Which part of a list."""

    limit: int
    offset: int

    @property
    def end(self) -> int:
        """Before which item it ends."""
        return self.offset + self.limit


def _window(
    limit: Annotated[int, Query(ge=1, le=MOST, description="The most items to return.")] = 50,
    offset: Annotated[
        int, Query(ge=0, le=100_000, description="How many to skip: `next_offset` of the page before.")
    ] = 0,
) -> Window:
    return Window(limit=limit, offset=offset)


Paged = Annotated[Window, Depends(_window)]
"""The parameters `limit` and `offset`."""


class Page(BaseModel, Generic[Item]):
    """Some items of a list."""

    items: list[Item]
    next_offset: int | None = Field(description="`offset` of the page after this one; null: it is the last.")
    total: int | None = Field(description="How many items there are; null where nobody counts them.")

    @classmethod
    def of(cls, rows: Sequence[Item], window: Window) -> "Page[Item]":
        """The page of a list that is there in full."""
        more = window.end < len(rows)
        return cls(
            items=list(rows[window.offset : window.end]),
            next_offset=window.end if more else None,
            total=len(rows),
        )

    @classmethod
    def of_newest(cls, rows: Sequence[Item], window: Window) -> "Page[Item]":
        """The page of a list that was read up to one item after the page's end, which tells of more."""
        more = window.end < len(rows)
        return cls(
            items=list(rows[window.offset : window.end]),
            next_offset=window.end if more else None,
            total=None if more else len(rows),
        )
