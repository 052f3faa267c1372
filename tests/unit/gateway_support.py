"""What the tests of the gateway share: raw clients, an upstream that is played by hand, requests by wire."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from shiftwork.gateway import Call, Egress, Gateway, GatewaySession, Policy, Upstream, Wire
from tests.llm.script import Reply, Script, Usage
from tests.llm.server import LlmServer

SECRET = "sk-the-real-key-0123456789"
USAGE = Usage(input=100, output=10, cache_read=7)
PUBLIC = "93.184.216.34"

QUESTIONS: dict[str, tuple[Wire, str, dict[str, Any]]] = {
    "messages": (
        Wire.ANTHROPIC,
        "/v1/messages?beta=true",
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "chat": (
        Wire.OPENAI,
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    ),
    "responses": (Wire.OPENAI, "/v1/responses", {"model": "m", "input": "hi"}),
    "generate": (
        Wire.GEMINI,
        "/v1beta/models/m:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    ),
    "ollama chat": (
        Wire.OLLAMA,
        "/api/chat",
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False},
    ),
    "ollama generate": (Wire.OLLAMA, "/api/generate", {"model": "m", "prompt": "hi", "stream": False}),
}
"""By kind of call: its wire, path and body."""


@dataclass
class Answer:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Faults(logging.Handler):
    """What the gateway tells of itself as a fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@dataclass
class Run:
    """A session under test and what it reported."""

    session: GatewaySession
    model: LlmServer
    calls: list[Call]

    @property
    def port(self) -> int:
        return int(self.session.url.rpartition(":")[2])


def says(text: str = "hello") -> Script:
    return lambda turn: Reply(text, usage=USAGE)


@asynccontextmanager
async def running(
    wire: Wire = Wire.ANTHROPIC, script: Script | None = None, egress: Egress | None = None, **policy: Any
) -> AsyncIterator[Run]:
    """A gateway with one session in front of a scripted model; fails if the gateway itself did."""
    calls: list[Call] = []
    faults = Faults()
    logging.getLogger("shiftwork.gateway").addHandler(faults)
    try:
        async with LlmServer(script or says()) as model, Gateway(egress) as gateway:
            policy.setdefault("upstream", Upstream(wire, model.url, SECRET))
            async with gateway.open(Policy(on_call=calls.append, **policy)) as session:
                yield Run(session, model, calls)
    finally:
        logging.getLogger("shiftwork.gateway").removeHandler(faults)
    assert faults.messages == []


def request(run: Run, kind: str = "messages", *, stream: bool = False, **headers: str) -> bytes:
    """A well-formed request, with the connection closed after it."""
    _, path, body = QUESTIONS[kind]
    if stream and kind == "generate":
        path = "/v1beta/models/m:streamGenerateContent?alt=sse"
    elif stream:
        body = {**body, "stream": True}
    return post(run, path, json.dumps(body).encode(), **headers)


def post(run: Run, path: str, body: bytes, **headers: str) -> bytes:
    fields = {
        "host": f"127.0.0.1:{run.port}",
        "x-api-key": run.session.token,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


async def send(run: Run, data: bytes, *, method: str = "POST") -> Answer:
    """The answer to these bytes, on a connection of their own, which it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
    try:
        writer.write(data)
        answer = await read_answer(reader, bodyless=method == "HEAD")
        async with asyncio.timeout(100):
            # The gateway closes the connection when it has told of the call.
            assert await reader.read() == b""
        return answer
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader, *, bodyless: bool = False) -> Answer:
    async with asyncio.timeout(100):
        status, headers = await read_head(reader)
        while status == 100:
            status, headers = await read_head(reader)
        if bodyless:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join([piece async for piece in chunks(reader)]))
        return Answer(status, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = [field.split(": ", 1) for field in fields if field]
    return int(line.split()[1]), {name.lower(): value for name, value in pairs}


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)


@dataclass
class Played:
    """A server whose connections a function of the test plays."""

    url: str = ""
    port: int = 0
    connections: int = 0
    received: bytearray = field(default_factory=bytearray)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Played], Awaitable[None]]


@asynccontextmanager
async def played(play: Play) -> AsyncIterator[Played]:
    """`ended` is set when the other side of a connection has gone."""
    seen = Played()
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            await play(reader, writer, seen)
        except (ConnectionError, asyncio.IncompleteReadError):
            seen.ended.set()
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(one(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    seen.url = f"http://127.0.0.1:{seen.port}"
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def until(holds: Callable[[], object]) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(100):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def until_end(reader: asyncio.StreamReader, seen: Played) -> None:
    """Keep what comes until the other side has gone."""
    while data := await reader.read(4096):
        seen.received += data
    seen.ended.set()


def internet(names: dict[str, list[str]], port: int) -> tuple[Egress, list[tuple[str, int]]]:
    """An internet of these names, all of whose addresses are one server of ours; and what was dialled."""
    dialled: list[tuple[str, int]] = []

    async def resolve(host: str, _port: int) -> list[str]:
        if host not in names:
            raise OSError("no such host")
        return names[host]

    async def dial(address: str, to: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        dialled.append((address, to))
        return await asyncio.open_connection("127.0.0.1", port)

    return Egress(resolve, dial), dialled


def proxy_credential(run: Run) -> str:
    return "Basic " + base64.b64encode(f"agent:{run.session.token}".encode()).decode()
