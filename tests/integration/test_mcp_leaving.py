"""Clients of the MCP server that go away in the midst of a call, and a server that is ended meanwhile."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from client.api import Shiftwork
from client.mcp.web import PATH
from tests.integration.connections import blocked, connected
from tests.integration.mcp_support import COMMAND, INITIALIZE, LONGEST, bearer, environment

INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.fixture
def server(stack) -> Iterator[subprocess.Popen[str]]:
    """A server of this test's own over HTTP, which says nothing but where it is."""
    process = subprocess.Popen(
        [sys.executable, *COMMAND, "--http", "0", "--json"],
        env=environment(stack.state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.fixture
async def http(server) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    served = json.loads(await asyncio.to_thread(server.stdout.readline))
    async with httpx.AsyncClient(
        headers=bearer(served), timeout=LONGEST, base_url=served["url"].removesuffix(PATH)
    ) as http:
        yield http


@pytest.fixture
async def project(stack) -> str:
    """A project of which nothing runs."""
    async with Shiftwork(stack) as shiftwork, shiftwork.store.transaction() as tx:
        return (await tx.projects.create(f"m{uuid.uuid4().hex}")).id


async def begin(http: httpx.AsyncClient) -> dict[str, str]:
    """The header of a new session."""
    answer = await http.post(PATH, json=INITIALIZE)
    header = {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
    await http.post(PATH, json=INITIALIZED, headers=header)
    return header


async def call(http: httpx.AsyncClient, header: dict[str, str], project: str) -> str:
    """What the server answers to somebody who asks where the project stands."""
    params = {"name": "get_project_status", "arguments": {"project_id": project}}
    asked = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    return (await http.post(PATH, json=asked, headers=header)).text


@pytest.mark.parametrize("how", ["drop", "cancel", "delete", "end"])
async def test_who_goes_during_a_look_costs_no_connection(
    server, http, project: str, postgres, how: str
) -> None:
    """If it failed, clients that come and go would use up the database, or fill the log with tracebacks."""
    async with connection(postgres.url()) as look, connection(postgres.url()) as other:
        assert project in await call(http, await begin(http), project)
        sessions = [await begin(http) for _ in range(3)]
        async with other.transaction():
            await other.execute("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE")
            calls = [asyncio.create_task(call(http, each, project)) for each in sessions]
            deadline = time.monotonic() + LONGEST
            while len(looking := await blocked(look)) < len(calls):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            for each, session in zip(calls, sessions, strict=True):
                match how:
                    case "drop":
                        each.cancel()
                    case "cancel":
                        params = {"requestId": 7, "reason": "another way was found"}
                        given = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
                        assert (await http.post(PATH, json=given, headers=session)).status_code == 202
                    case "delete":
                        assert (await http.delete(PATH, headers=session)).status_code == 200
            if how == "end":
                server.send_signal(signal.SIGINT)
                assert await asyncio.to_thread(server.wait, LONGEST) == 0
            await asyncio.sleep(0.5)
        await asyncio.gather(*calls, return_exceptions=True)
        while looking & await connected(look):
            assert time.monotonic() < deadline + LONGEST
            await asyncio.sleep(0.05)
        if how != "end":
            assert project in await call(http, await begin(http), project)


async def test_a_session_that_ends_while_somebody_asks_leaves_no_traceback(http, project: str) -> None:
    """If it failed, the log would tell of failures whenever clients are quick to leave."""

    async def asked(session: dict[str, str]) -> None:
        async with httpx.AsyncClient(headers=http.headers, timeout=LONGEST, base_url=http.base_url) as own:
            await asyncio.gather(
                call(own, session, project), own.delete(PATH, headers=session), return_exceptions=True
            )

    assert project in await call(http, await begin(http), project)
    for _ in range(10):
        await asyncio.gather(*[asked(await begin(http)) for _ in range(5)])


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of this test's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
