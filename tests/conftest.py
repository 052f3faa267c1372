"""Real servers, each started only when a test asks, once a worker of pytest; and how tests are shared out."""

import compileall
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import pytest_asyncio

from shiftwork.importing import uncollected
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, remove_stack, write_stack
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.stack.temporal_server import EmbeddedTemporal
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store
from shiftwork.temporal import search_attribute_types

MOST_WORKERS = 6
"""Each that runs end-to-end tests has servers and agent programs of its own, up to a gigabyte of memory."""

LONGEST = (
    "e2e/test_real_agents.py",
    "e2e/test_docs.py",
    "e2e/test_docs_agents.py",
    "e2e/test_durability.py",
    "e2e/test_langchain_takeover.py",
    "integration/test_opencode.py",
    "e2e/test_langchain.py",
    "e2e/test_langchain_refusals.py",
    "e2e/test_langchain_troubles.py",
    "integration/test_stack_dev.py",
    "e2e/test_langchain_providers.py",
    "e2e/test_project_workers.py",
    "integration/test_langchain_program.py",
    "integration/test_acp.py",
)
"""The files that take longest, in that order: about a minute or more."""

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Compile what has changed; no example of Hypothesis fails for its time, which other tests share."""
    if not hasattr(config, "workerinput"):
        # Hundreds of processes of ours are started. Agents may not keep what they compile, nor does anything
        # where PYTHONDONTWRITEBYTECODE is set: each would compile it again.
        for name in ("shiftwork", "activities", "workflows", "client"):
            compileall.compile_dir(ROOT / name, quiet=2)
        compileall.compile_file(ROOT / "worker.py", quiet=2)
    hypothesis.settings.register_profile(
        "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("busy")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage in what is collected, as all of it stays, and keep what is compiled for it.

    Each worker of pytest collects all tests, so what this costs is paid for several times.
    """
    given, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        with uncollected():
            return (yield)
    finally:
        sys.dont_write_bytecode = given


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` means: two workers a processor, as tests mostly wait; none for tests of one file."""
    if len(config.args) == 1 and ".py" in config.args[0]:
        return 0
    return min(2 * (os.cpu_count() or 1), MOST_WORKERS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse names that no second worker finds; where files are shared out, begin with the longest.

    So none of those is left to one worker at the end.
    """
    for item in items:
        if re.search(r" at 0x[0-9a-f]{6,}", item.name):
            raise pytest.UsageError(
                f"{item.nodeid} is named by an address, new in each process: give it an id."
            )

    def turn(item: pytest.Item) -> tuple[int, int]:
        file = item.path.relative_to(Path(__file__).parent).as_posix()
        folder = file.partition("/")[0]
        kinds = ("e2e", "integration")
        return (
            LONGEST.index(file) if file in LONGEST else len(LONGEST),
            kinds.index(folder) if folder in kinds else len(kinds),
        )

    if hasattr(config, "workerinput"):
        items.sort(key=turn)


@pytest.fixture(scope="session")
def stack_state(tmp_path_factory) -> Path:
    """The state folder of the servers that all tests share."""
    return tmp_path_factory.mktemp("stack")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(stack_state) -> AsyncIterator[EmbeddedPostgres]:
    """The PostgreSQL server that all tests share; nothing in it outlives the run, so it need not sync."""
    server = EmbeddedPostgres(stack_state / "postgres", options={"fsync": "off"})
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(stack_state) -> AsyncIterator[EmbeddedTemporal]:
    """The Temporal server that all tests share, with every search attribute."""
    server = EmbeddedTemporal(stack_state / "temporal", search_attributes=search_attribute_types())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def stack(stack_state, postgres, temporal):
    """Settings of a running stack: `stack.json` names the shared servers.

    Its database is shared too; a test that wants its own takes
    `dataclasses.replace(stack, database_url=database_url)`.
    """
    settings = Settings(state=stack_state)
    stack = StackFile(
        pid=os.getpid(),
        started_at="2026-01-01T00:00:00+00:00",
        namespace=settings.namespace,
        database_url=postgres.url(),
        postgres_socket=str(postgres.socket),
        temporal_address=temporal.address,
        temporal_http_address=temporal.http_address,
        temporal_http_host=temporal.http_host,
        temporal_ui=temporal.ui,
    )
    write_stack(settings, stack)
    yield settings
    remove_stack(settings)


@pytest_asyncio.fixture
async def database_url(postgres) -> AsyncIterator[str]:
    """The DSN of a fresh, empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres.url(name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest_asyncio.fixture
async def store(database_url) -> AsyncIterator[Store]:
    """A store of this test's own, with all its tables, and nothing in them."""
    await migrate(database_url)
    async with Store(database_url) as store:
        yield store
