"""How tests start the MCP server, over pipes and over HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

LONGEST = 150.0
"""Seconds that an answer may take on a busy machine, or one that stands still for a while. The first one
waits for what the server imports."""
COMMAND = ["-P", "-m", "client", "mcp"]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": types.LATEST_PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def environment(state: Path) -> dict[str, str]:
    """The environment of a server for the stack in this state folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "TEMPORAL_"))}
    return {**inherited, "SHIFTWORK_STATE": str(state), "PYTHONWARNINGS": "error::ResourceWarning"}


@pytest.fixture(scope="module")
def served(stack) -> AsyncIterator[dict]:
    """What `shiftwork mcp --http --json` printed; SIGINT ends it."""
    process = subprocess.Popen(
        [sys.executable, *COMMAND, "--http", "--json"],
        env=environment(stack.state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
        assert (process.returncode, out, err) == (0, "", "")


def bearer(served: dict) -> dict[str, str]:
    """The headers of who knows the token."""
    token = Path(served["token_file"]).read_text().strip()
    return {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def over_http(served: dict, timeout: httpx.Timeout | None = None) -> AsyncIterator[ClientSession]:
    """A client of the server that was started; an answer that gets lost is an error.

    Args:
        timeout: how long it waits for the next word; None: as long as for a whole answer.
    """
    longest = timedelta(seconds=LONGEST)
    async with (
        httpx.AsyncClient(headers=bearer(served), timeout=timeout or httpx.Timeout(LONGEST)) as http,
        streamable_http_client(served["url"], http_client=http) as (read, write, _),
        ClientSession(read, write, read_timeout_seconds=longest) as session,
    ):
        await session.initialize()
        yield session
