"""A server of the REST interface as a process of its own, and clients that know its token."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from client.api import Shiftwork
from shiftwork.settings import Settings

LONGEST = 150.0
"""Seconds that anything may take on a busy machine, or one that stands still for a while."""

COMMAND = [sys.executable, "-P", "-m", "client"]


def environment(state: Path) -> dict[str, str]:
    """The environment of a process for the stack in this state folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "TEMPORAL_"))}
    return {**inherited, "SHIFTWORK_STATE": str(state), "PYTHONWARNINGS": "error::ResourceWarning"}


@dataclass
class Served:
    """A server that runs."""

    url: str
    token: str
    process: subprocess.Popen[str]

    @property
    def host(self) -> str:
        """Its host and port."""
        return self.url.removeprefix("http://")

    def client(self, **options) -> httpx.Client:
        """A client that knows the token."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=LONGEST, **options)

    @property
    def headers(self) -> dict[str, str]:
        """What every request bears."""
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def serving(state: Path, *arguments: str) -> Iterator[Served]:
    """`shiftwork api`, ended by SIGINT at the end of the block; it must say nothing but that it is up."""
    process = subprocess.Popen(
        [*COMMAND, "api", "--json", *arguments],
        env=environment(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        told = json.loads(line)
        yield Served(told["url"], Path(told["token_file"]).read_text().strip(), process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
    if process.returncode != -signal.SIGKILL:
        assert (process.returncode, out, err) == (0, "", ""), (process.returncode, out, err)


def problem(answer: httpx.Response, status: int) -> dict:
    """The problem that an answer is, as RFC 9457 has it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:shiftwork:problem:")
    assert body["title"]
    assert body["detail"].count("\n") == 0
    assert "Traceback" not in answer.text
    return body


def wait_for_worker(stack: Settings) -> None:
    """Until the worker has asked for work."""

    async def wait() -> None:
        async with Shiftwork(stack) as shiftwork:
            assert await shiftwork.has_worker(LONGEST)

    asyncio.run(wait())
