"""Real servers for the tests: each is started once, and only when a test asks for it."""

import uuid
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from shiftwork.stack.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def stack_state(tmp_path_factory) -> Path:
    """The state folder of the servers that all tests share."""
    return tmp_path_factory.mktemp("stack")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(stack_state):
    """The PostgreSQL server that all tests share; nothing in it outlives the run, so it need not sync."""
    server = EmbeddedPostgres(stack_state / "postgres", options={"fsync": "off"})
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def database_url(postgres):
    """The DSN of a fresh, empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres.url(name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()
