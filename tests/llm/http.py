"""As much of HTTP/1.1 as the model server needs."""

import asyncio
import json
from typing import Any

from tests.llm.script import Request, Response

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream", "cache-control": "no-cache"}


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {**JSON, **(headers or {})}, (json.dumps(content).encode(),))


def event(data: Any, name: str = "") -> bytes:
    """One server-sent event; `data` is JSON, or text as it is."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request of this connection; None at its end."""
    line = (await reader.readline()).decode("latin-1").split()
    if len(line) < 3:
        return None
    headers = await _headers(reader)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        data = await _chunked(reader)
    else:
        data = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = line[1].partition("?")
    return Request(line[0], path, query, headers, _parsed(data))


async def write_response(writer: asyncio.StreamWriter, response: Response, chunks: int | None = None) -> None:
    """Send a response, or its head and this many chunks; several chunks go out one by one."""
    length = sum(map(len, response.chunks))
    headers = {**response.headers, "content-length": str(length)}
    if len(response.chunks) > 1:
        del headers["content-length"]
        headers["transfer-encoding"] = "chunked"
    head = f"HTTP/1.1 {response.status} Scripted\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    writer.write(head.encode("latin-1") + b"\r\n")
    for chunk in response.chunks[:chunks]:
        writer.write(chunk if len(response.chunks) == 1 else b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await writer.drain()
    if chunks is None and len(response.chunks) > 1:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        data += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return data


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError:  # Telemetry and the like; a question to a model is always JSON.
        return {}
    return parsed if isinstance(parsed, dict) else {}
