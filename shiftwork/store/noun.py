"""What the nouns share: one connection, and rows out of statements."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Executable, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shiftwork.contracts.base import Message
from shiftwork.errors import UnreadableRow
from shiftwork.text import one_line, truncate

Row = TypeVar("Row", bound=Message)

_LARGEST_ID = 2**63 - 1

_MOST_SAID = 300
"""Characters of what is wrong with a row."""


class Noun:
    """Statements about one kind of thing, in the transaction that the connection is in."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def _first(
        self, statement: Executable, row: type[Row], values: Mapping[str, Any] | None = None
    ) -> Row | None:
        result = await self._connection.execute(statement, values)
        found = result.mappings().first()
        return None if found is None else read_row(row, dict(found))

    async def _all(self, statement: Executable, row: type[Row]) -> list[Row]:
        result = await self._connection.execute(statement)
        return [read_row(row, dict(found)) for found in result.mappings()]

    async def _readable(self, statement: Executable, row: type[Row]) -> tuple[list[Row], list[UnreadableRow]]:
        """The same; what can't be read is told of, and keeps nobody from the others."""
        result = await self._connection.execute(statement)
        rows: list[Row] = []
        unreadable: list[UnreadableRow] = []
        for found in result.mappings():
            try:
                rows.append(read_row(row, dict(found)))
            except UnreadableRow as error:
                unreadable.append(error)
        return rows, unreadable

    async def _value(self, statement: Executable) -> Any:
        return (await self._connection.execute(statement)).scalar()

    async def _number_of(self, statement: Select[Any]) -> int:
        """How many rows a statement without a limit has."""
        return int(await self._value(select(func.count()).select_from(statement.subquery())))

    async def _hits(self, statement: Executable) -> bool:
        """Whether a statement with RETURNING touched a row."""
        return (await self._connection.execute(statement)).first() is not None

    async def _run(self, sql: str, *arguments: Any) -> list[Mapping[str, Any]]:
        """Rows of plain SQL with `$1` placeholders, as asyncpg takes it."""
        result = await self._connection.exec_driver_sql(sql, arguments)
        return [dict(found) for found in result.mappings()]


def read_row(row: type[Row], found: Mapping[str, Any]) -> Row:
    """A row as its model; raises `UnreadableRow`."""
    try:
        return row.model_validate(found)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "it"
        row_id, name = found.get("id"), found.get("name")
        called = "" if name is None else f" ({name!r:.80})"
        what = f"{row.__name__.removesuffix('Row').removesuffix('Line').lower()} {row_id}{called}"
        number = row_id if isinstance(row_id, int) else None
        raise unreadable(what, f"{where}: {problem['msg']}", number) from None


def unreadable(what: str, said: str, row_id: int | None) -> UnreadableRow:
    """The error for a row that this version can't take, and why."""
    return UnreadableRow(
        f"What is stored of {what} can't be read by this version of Shiftwork "
        f"({truncate(one_line(said), _MOST_SAID)}): use the version that wrote it, or put it right in the "
        "database.",
        row_id,
    )


def is_id(value: int) -> bool:
    """Whether this can be an id at all: PostgreSQL refuses to compare with what does not fit.

    To Python `True` is 1, which is somebody's id.
    """
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ID


def dump(value: object) -> Any:
    """A column's value as the driver takes it: models and tuples of models become JSON values."""
    if isinstance(value, Message):
        return value.model_dump(mode="json")
    return value
