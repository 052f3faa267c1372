"""Lists come in pages."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from shiftwork.errors import UnreadableRow

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
    total: int = Field(description="How many items there are.")

    @classmethod
    def of(cls, rows: Sequence[Item], window: Window) -> "Page[Item]":
        """The page of a list that is there in full."""
        return cls.of_newest(rows, window, len(rows))

    @classmethod
    def of_newest(cls, rows: Sequence[Item], window: Window, total: int) -> "Page[Item]":
        """The page of a list of so many, which was read up to the page's end."""
        return cls.of_part(rows[window.offset : window.end], window, total)

    @classmethod
    def of_part(cls, items: Sequence[Item], window: Window, total: int) -> "Page[Item]":
        """The page that has these items, of a list of so many."""
        return cls(items=list(items), next_offset=window.end if window.end < total else None, total=total)


class ReadablePage(Page[Item], Generic[Item]):
    """Some items of a list, and what is left out of it."""

    unreadable: list[str] = Field(
        description="What is wrong with those whose stored definition this version can't read, one sentence "
        "each: they are no items, on no page."
    )

    @classmethod
    def but(cls, page: Page[Item], unreadable: Sequence[UnreadableRow]) -> "ReadablePage[Item]":
        """The page of a list without these."""
        return cls(**dict(page), unreadable=[str(each) for each in unreadable])


class PartlyReadablePage(Page[Item], Generic[Item]):
    """Some items of a list that may be long, and what is left out of these."""

    unreadable: list[str] = Field(
        description="What is wrong with those of this page whose stored definition this version can't read, "
        "one sentence each: they are no items, but `limit`, `offset` and `total` count them."
    )

    @classmethod
    def with_left_out(
        cls, page: Page[Item], unreadable: Sequence[UnreadableRow]
    ) -> "PartlyReadablePage[Item]":
        """The page without these, which it counts."""
        return cls(**dict(page), unreadable=[str(each) for each in unreadable])
