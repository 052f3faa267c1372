"""A project in the profile `networked`: what its agent and its steps reach, what not, and who sees it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.api import Shiftwork
from client.telling import tell, worth_watching
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.gateway import Egress
from shiftwork.secrets import LazyRedactor
from shiftwork.stack.dev import DevStack
from tests.e2e.lab import Lab, no_process_lives
from tests.e2e.support import quick_settings, simple_attempt, simple_feature
from worker import serve

PUBLIC = "93.184.216.34"
LISTED = ("packages.example", "registry.example:8443", "inner.example")
NAMES = {
    "packages.example": PUBLIC,
    "registry.example": PUBLIC,
    "evil.example": PUBLIC,
    "inner.example": "10.0.0.1",
}

FETCH = """\
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=150).read().decode())
except urllib.error.HTTPError as error:
    print("refused", error.code, error.headers["x-shiftwork-refused"])
"""
TUNNEL = """\
import base64, os, socket, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])
credential = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
with socket.create_connection((proxy.hostname, proxy.port), 10) as door:
    target = sys.argv[1]
    head = f"CONNECT {target} HTTP/1.1", f"host: {target}", f"proxy-authorization: Basic {credential}", "", ""
    door.sendall("\\r\\n".join(head).encode())
    status = door.recv(4096).split()[1].decode()
    if status == "200":
        door.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        status += " " + door.recv(4096).decode().splitlines()[-1]
    print(status)
"""
DIRECT = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
    print("reached")
except OSError:
    print("out of reach")
"""


class Internet:
    """Names, and one server that stands for all their public addresses."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    @property
    def egress(self) -> Egress:
        return Egress(self._resolve, self._dial)

    async def _resolve(self, host: str, _: int) -> list[str]:
        self.asked.append(host)
        return [NAMES[host]]

    async def _dial(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.dialled.append((address, port))
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def internet() -> AsyncIterator[Internet]:
    """A server that answers everything with a greeting."""
    web = Internet()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    async with server:
        yield web


@asynccontextmanager
async def serving(state: Path, egress: Egress, folder: Path) -> AsyncIterator[Lab]:
    """A stack and a worker in this process, which has this way out."""
    settings, stop = quick_settings(state), asyncio.Event()
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        worker = asyncio.create_task(serve(settings, stop, LazyRedactor(os.environ), egress=egress))
        try:
            yield Lab(shiftwork, settings, folder)
        finally:
            stop.set()
            await worker


def run(script: str, *arguments: object) -> str:
    """A command that runs a script of this page, which the agent has in its workspace."""
    return " ".join(["python3", f"{script}.py", *map(str, arguments)])


@pytest.mark.slow
async def test_a_listed_host_is_reached_and_no_other_and_people_see_it(tmp_path: Path) -> None:
    """If it failed, nothing could be installed, or everything sent anywhere, or nobody would know of it."""
    folder = tmp_path / "work"
    folder.mkdir()
    async with internet() as web, serving(tmp_path / "state", web.egress, folder) as lab:
        scripts = {"fetch": FETCH, "tunnel": TUNNEL, "direct": DIRECT}
        written = [{"write": {"path": f"{name}.py", "content": text}} for name, text in scripts.items()]
        commands = (
            f"{run('fetch', 'http://packages.example/')} > listed.txt",
            f"{run('tunnel', 'registry.example:8443')} > tunnel.txt",
            f"{run('fetch', 'http://evil.example/')} > evil.txt",
            f"{run('tunnel', 'evil.example:443')} > evil-tunnel.txt",
            f"{run('tunnel', '127.0.0.1:443')} > address.txt",
            f"{run('fetch', 'http://inner.example/')} > inner.txt",
            f"{run('direct', '127.0.0.1', web.port)} > direct.txt",
        )
        steps = [*written, *({"run": {"command": command}} for command in commands)]
        # A step has the same way out.
        step = f"{run('fetch', 'http://packages.example/')} && {run('fetch', 'http://other.example/')}"
        features = [simple_feature("a", command=step)]
        project = await lab.project(
            features,
            {"a": [simple_attempt("a", *steps)]},
            sandbox=SandboxOptions(profile=Profile.NETWORKED, hosts=LISTED),
        )
        await project.completes()
        expected = {
            "listed": "hello",
            "tunnel": "200 hello",
            "evil": "refused 403 forbidden",
            "evil-tunnel": "403",
            "address": "400",
            "inner": "refused 403 forbidden",
            "direct": "out of reach",
        }
        assert {name: project.read(f"{name}.txt").strip() for name in expected} == expected
        # The step's own call comes last; what is not listed was neither asked for nor dialled.
        assert web.dialled == [(PUBLIC, 80), (PUBLIC, 8443), (PUBLIC, 80)]
        assert web.asked == ["packages.example", "registry.example", "inner.example", "packages.example"]
        refused = await project.events("host_refused")
        assert all(map(worth_watching, refused))
        assert [tell(event) for event in refused] == [
            "session 0: evil.example refused: not among the hosts that may be reached",
            "session 0: evil.example:443 refused: not among the hosts that may be reached",
            "session 0: an address refused: no plain request for a host by its name",
            "session 0: inner.example refused: it stands for an address that is not public",
        ]
        async with lab.shiftwork.store.transaction() as tx:
            (evidence,) = await tx.evidence.latest((await project.features())["a"].id)
        assert "other.example refused: not among the hosts that may be reached" in evidence.output_tail
        await no_process_lives(lab)
