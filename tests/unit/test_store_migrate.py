"""Migrations against a real PostgreSQL: once, together, and exactly to the tables of the code."""

import asyncio
import sys

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from shiftwork.errors import Conflict
from shiftwork.store import migrations
from shiftwork.store.migrate import head, migrate
from shiftwork.store.tables import Base

RACER = """
import asyncio, sys
from shiftwork.store.migrate import migrate
sys.stdin.readline()
asyncio.run(migrate(sys.argv[1]))
"""


async def test_migrations_make_the_tables_of_the_code(database_url):
    """If it failed, a column of the code would be missing in every database, or the reverse."""
    await migrate(database_url)
    await migrate(database_url)
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))

    def compare(connection):
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()
    connection = await asyncpg.connect(database_url)
    checks = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname ~ '^ck_' ORDER BY 1"
    )
    assert [row["conname"] for row in checks] == [
        "ck_decisions_score",
        "ck_features_priority",
        "ck_handoff_artifacts_one_owner",
        "ck_handoff_artifacts_summary_length",
    ]
    assert await connection.fetchval("SELECT nextval('lease_tokens')") == 1
    await connection.close()


def test_head_is_the_newest_revision():
    """If it failed, a new migration would be skipped as if it were applied."""
    assert ScriptDirectory(str(migrations.__path__[0])).get_current_head() == head()


async def test_two_processes_migrate_one_database(database_url):
    """If it failed, two workers started at once on an empty database would fail or do it twice."""
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, database_url,
            stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    results = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    assert [racer.returncode for racer in racers] == [0, 0], results
    connection = await asyncpg.connect(database_url)
    assert [tuple(row) for row in await connection.fetch("TABLE alembic_version")] == [(head(),)]
    await connection.close()


async def test_newer_database_is_refused(database_url):
    """If it failed, an old version would write into tables it does not know."""
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match=r"9999.*upgrade Shiftwork"):
        await migrate(database_url)
    await connection.close()


async def test_failed_migration_leaves_nothing(database_url):
    """If it failed, a database with a table in the way would be left half migrated."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE usage (mine int)")
    with pytest.raises(Exception, match="usage"):
        await migrate(database_url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert [row["tablename"] for row in tables] == ["usage"]
    await connection.close()
