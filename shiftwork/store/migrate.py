"""Bringing a database to this version of the code; safe to call by any number of processes at once."""

import pkgutil
from pathlib import Path

import asyncpg

from shiftwork.errors import Conflict, StackError
from shiftwork.store import migrations
from shiftwork.store.connect import answering, connect
from shiftwork.store.dsn import place
from shiftwork.store.migrations import versions

# An arbitrary constant: whoever holds this advisory lock is the one that migrates.
_LOCK = 5_407_116_930


def head() -> str:
    """The revision this code was written for, from the names of the migrations alone."""
    return max(module.name.partition("_")[0] for module in pkgutil.iter_modules(versions.__path__))


async def migrate(database_url: str) -> None:
    """Apply what is missing; one query when nothing is.

    Raises:
        StackError: the database can't be reached, or goes away.
        Conflict: the database was migrated by a newer version of Shiftwork.
    """
    connection = await connect(database_url)
    try:
        with answering():
            current = await _revision(connection)
    finally:
        await connection.close()
    if _is_behind(current, database_url):
        await _upgrade(database_url)


async def _revision(connection: asyncpg.Connection) -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    return revision


def _is_behind(current: str | None, database_url: str) -> bool:
    if current is not None and current > head():
        raise Conflict(
            f"The database at {place(database_url)} has revision {current}, newer than {head()}, which this "
            "Shiftwork understands; upgrade Shiftwork."
        )
    return current != head()


async def _upgrade(database_url: str) -> None:
    # Imported here: they take longer than the query that finds that there is nothing to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import Connection, text  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])).replace("%", "%%"))

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(database_url),
        poolclass=NullPool,
    )
    try:
        # Lock and migrations share one transaction: the next holder sees all of them or none. Alembic reads
        # the revision again once it has the lock, and finds nothing to do if another process was quicker.
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(upgrade)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise StackError(
            f"PostgreSQL at {place(database_url)} ended the connection that brought the database up to date; "
            "try again."
        ) from error
    finally:
        await engine.dispose()
