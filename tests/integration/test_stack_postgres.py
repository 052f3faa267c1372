"""The embedded PostgreSQL: its data, its doors, and what is left when it is killed."""

import asyncpg
import pytest


@pytest.mark.parametrize("run", [1, 2])
async def test_each_test_gets_an_empty_database(database_url, run):
    """Without a database of their own, tests of the store would see each other's rows."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE mine ()")
    await connection.close()
