"""Hosts and providers that never come to an end: sessions do all the same."""

import asyncio

import pytest

from shiftwork.gateway import Bounds, Outcome, Upstream, Wire
from tests.unit.gateway_support import (
    PUBLIC,
    SECRET,
    internet,
    played,
    proxy_credential,
    request,
    running,
    send,
    until,
)


async def stuffed(run, form: str) -> asyncio.StreamWriter:
    """A client that sends to a listed host as much as the gateway takes."""
    if form == "tunnel":
        head = "CONNECT pkg.example:443 HTTP/1.1\r\nhost: pkg.example:443\r\n"
    else:
        head = "POST http://pkg.example/ HTTP/1.1\r\nhost: pkg.example\r\ncontent-length: 60000000\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
    writer.write(f"{head}proxy-authorization: {proxy_credential(run)}\r\n\r\n".encode())
    if form == "tunnel":
        await reader.readuntil(b"\r\n\r\n")
    try:
        while True:
            writer.write(b"x" * 65536)
            async with asyncio.timeout(0.3):
                await writer.drain()
    except TimeoutError:
        return writer


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
@pytest.mark.parametrize("form", ["tunnel", "plain"])
async def test_a_session_ends_although_a_host_takes_nothing(form, leaves):
    """If it failed, a host that stops reading would hold a session, and its worker, for ever."""

    async def deaf(reader, writer, seen):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with played(deaf) as server:
        egress, _ = internet({"pkg.example": [PUBLIC]}, server.port)
        async with running(egress=egress, hosts=("pkg.example",)) as run:
            writer = await stuffed(run, form)
            if leaves:
                writer.transport.abort()
            async with asyncio.timeout(40):  # a host may stall for a minute
                await run.session.close()
            writer.transport.abort()
        assert [call.outcome for call in run.calls] == [Outcome.ABANDONED]


async def test_a_host_that_takes_nothing_is_given_up():
    """If it failed, an agent could hold connections to hosts open for as long as it likes."""

    async def deaf(reader, writer, seen):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with played(deaf) as server, asyncio.timeout(100):
        egress, _ = internet({"pkg.example": [PUBLIC]}, server.port)
        async with running(egress=egress, hosts=("pkg.example",), bounds=Bounds(stall=0.4)) as run:
            writer = await stuffed(run, "tunnel")
            await until(lambda: run.calls)
            writer.transport.abort()


async def test_a_provider_that_asks_to_go_on_for_ever_is_given_up():
    """If it failed, a provider could keep the gateway busy without ever answering."""

    async def going_on(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    bounds = Bounds(silence=0.4)
    async with (
        played(going_on) as server,
        running(upstream=Upstream(Wire.ANTHROPIC, server.url, SECRET), bounds=bounds) as run,
    ):
        assert (await send(run, request(run))).status == 504
        assert [call.outcome for call in run.calls] == [Outcome.FAILED]
