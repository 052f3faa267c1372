"""Streams through the gateway: at once, both ways, metered also when cut, and ended with their client."""

import asyncio
import json

import pytest

from shiftwork.gateway import Bounds, Gateway, Outcome, Policy, Tokens, Upstream, Wire
from shiftwork.gateway.metering import Meter
from tests.unit.gateway_support import (
    SECRET,
    chunks,
    played,
    post,
    read_head,
    request,
    running,
    send,
    until,
    until_end,
)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
START = {
    "type": "message_start",
    "message": {"model": "m-1", "usage": {"input_tokens": 50, "output_tokens": 1}},
}
DELTA = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 20}}


def event(data: dict) -> bytes:
    text = f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)


def upstream(url: str) -> Upstream:
    return Upstream(Wire.ANTHROPIC, url, SECRET)


async def test_each_piece_of_an_answer_arrives_before_the_next_is_sent():
    """If it failed, an agent would wait for whole answers."""
    arrived = asyncio.Event()

    async def slow(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event(START))
        await arrived.wait()
        writer.write(event(DELTA) + b"0\r\n\r\n")
        await until_end(reader, seen)

    async with played(slow) as server, running(upstream=upstream(server.url)) as run, asyncio.timeout(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, stream=True))
        assert (await read_head(reader))[0] == 200
        pieces = chunks(reader)
        assert b"message_start" in await anext(pieces)
        arrived.set()
        assert b"message_delta" in b"".join([piece async for piece in pieces])
        writer.close()
    assert (run.calls[0].tokens, run.calls[0].model) == (Tokens(50, 20), "m-1")


@pytest.mark.parametrize("framing", ["transfer-encoding: chunked", "content-length: 600000"])
async def test_each_piece_of_a_large_question_arrives_before_the_next_is_sent(framing):
    """If it failed, large questions would be held back, and held in memory."""

    async def count(reader, writer, seen):
        await until_end(reader, seen)

    async with played(count) as server, running(upstream=upstream(server.url)) as run, asyncio.timeout(100):
        _, writer = await asyncio.open_connection("127.0.0.1", run.port)
        head = post(run, "/v1/messages", b"").replace(b"content-length: 0", framing.encode())
        first = b"x" * 1000
        writer.write(head + (b"3e8\r\n%b\r\n" % first if "chunked" in framing else first))
        await until(lambda: server.received.count(b"x" * 1000))
        assert framing.encode() in server.received.lower()
        writer.transport.abort()
        await server.ended.wait()
    assert run.calls[0].outcome is Outcome.ABANDONED


async def test_a_client_that_waits_for_a_word_is_given_it():
    """If it failed, programs that send `Expect: 100-continue` would stand still, or send what is refused."""
    async with running() as run, asyncio.timeout(100):
        data = request(run, expect="100-continue")
        head, _, body = data.partition(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(head + b"\r\n\r\n")
        assert (await read_head(reader))[0] == 100
        writer.write(body)
        assert (await read_head(reader))[0] == 200
        writer.close()
        refused = head.replace(run.session.token.encode(), b"wrong")
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(refused + b"\r\n\r\n")
        assert (await read_head(reader))[0] == 401
        writer.close()


@pytest.mark.parametrize("how", ["abort", "close", "half"])
@pytest.mark.parametrize("when", ["waiting", "streaming"])
async def test_a_client_that_goes_away_ends_its_call(how, when):
    """If it failed, answers would be made and paid for that nobody reads, and their tokens be forgotten."""

    async def endless(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        if when == "streaming":
            writer.write(HEAD + event(START))
        await until_end(reader, seen)

    bounds = Bounds(read_on=0.2)
    async with (
        played(endless) as server,
        running(upstream=upstream(server.url), bounds=bounds) as run,
        asyncio.timeout(100),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, stream=True))
        if when == "streaming":
            await read_head(reader)
            await anext(chunks(reader))
        else:
            await until(lambda: server.connections)
        {"abort": writer.transport.abort, "close": writer.close, "half": writer.write_eof}[how]()
        await server.ended.wait()
        await until(lambda: run.calls)
        writer.close()
    (call,) = run.calls
    assert call.outcome is Outcome.ABANDONED
    guessed = Tokens(-(-call.received // 4))
    assert call.tokens == (Tokens(50, 1) if when == "streaming" else guessed)
    assert call.estimated == (when == "waiting")


async def test_a_client_that_takes_nothing_ends_its_call():
    """If it failed, an agent could hold the provider, and our memory, for ever."""

    async def flood(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event(START))
        for _ in range(1000):
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    bounds = Bounds(stall=0.3)
    async with (
        played(flood) as server,
        running(upstream=upstream(server.url), bounds=bounds) as run,
        asyncio.timeout(100),
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, stream=True))
        await server.ended.wait()
        await until(lambda: run.calls)
        writer.transport.abort()
    assert (run.calls[0].outcome, run.calls[0].tokens) == (Outcome.ABANDONED, Tokens(50, 1))


async def test_an_answer_that_breaks_off_breaks_off():
    """If it failed, half an answer would look whole to the agent, or cost nothing."""

    async def half(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event(START) + event(DELTA))
        await writer.drain()

    async with played(half) as server, running(upstream=upstream(server.url)) as run, asyncio.timeout(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, stream=True))
        await read_head(reader)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ValueError)):
            [piece async for piece in chunks(reader)]
        writer.close()
    assert (run.calls[0].outcome, run.calls[0].tokens) == (Outcome.FAILED, Tokens(50, 20))


async def test_a_provider_that_says_nothing_is_given_up():
    """If it failed, a dead provider would hold an agent for ever."""

    async def silent(reader, writer, seen):
        await until_end(reader, seen)

    bounds = Bounds(silence=0.2)
    async with played(silent) as server, running(upstream=upstream(server.url), bounds=bounds) as run:
        answer = await send(run, request(run))
        assert (answer.status, answer.json["error"]["type"]) == (504, "timeout_error")
    assert run.calls[0].outcome is Outcome.FAILED


async def test_the_end_of_a_session_ends_its_calls_and_counts_them():
    """If it failed, a killed agent's call would go on, or its tokens would be lost."""

    async def endless(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event(START))
        await until_end(reader, seen)

    async with played(endless) as server, asyncio.timeout(100):
        async with running(upstream=upstream(server.url)) as run:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(request(run, stream=True))
            await read_head(reader)
            await anext(chunks(reader))
        await server.ended.wait()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", run.port)
        writer.close()
    assert (run.calls[0].outcome, run.calls[0].tokens) == (Outcome.ABANDONED, Tokens(50, 1))


async def test_sessions_are_apart():
    """If it failed, one agent's token would open another's session."""
    async with running() as run, Gateway() as gateway:
        async with gateway.open(Policy(upstream=upstream(run.model.url))) as other:
            data = request(run, x_api_key=other.token)
            assert (await send(run, data)).status == 401
        assert other.token != run.session.token


METERED = {
    "gzip": (
        Wire.ANTHROPIC,
        "application/json",
        {"model": "m", "usage": {"input_tokens": 3, "output_tokens": 2}},
    ),
    "openai details": (
        Wire.OPENAI,
        "application/json",
        {
            "model": "m",
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            },
        },
    ),
    "gemini thoughts": (
        Wire.GEMINI,
        "application/json",
        {
            "modelVersion": "m",
            "usageMetadata": {
                "promptTokenCount": 5,
                "toolUsePromptTokenCount": 2,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 1,
                "thoughtsTokenCount": 1,
            },
        },
    ),
}


@pytest.mark.parametrize("name", METERED)
def test_tokens_are_counted_as_each_provider_tells_them(name):
    """If it failed, what a call costs would be wrong."""
    wire, kind, body = METERED[name]
    data = json.dumps(body).encode()
    meter = Meter(wire, kind, "gzip" if name == "gzip" else "")
    if name == "gzip":
        import gzip

        data = gzip.compress(data)
    for at in range(0, len(data), 7):
        meter.feed(data[at : at + 7])
    meter.finish()
    expected = {
        "gzip": Tokens(3, 2),
        "openai details": Tokens(3, 2, 4, 2),
        "gemini thoughts": Tokens(3, 2, 4),
    }
    assert (meter.model, meter.tokens) == ("m", expected[name])


def test_a_list_that_breaks_off_is_counted_as_far_as_it_came():
    """If it failed, Gemini's streams without events would cost nothing once they are cut off."""
    meter = Meter(Wire.GEMINI, "application/json")
    part = {"modelVersion": "m", "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1}}
    meter.feed(b"[" + json.dumps(part).encode() + b",\r\n" + json.dumps(part).encode()[:-3])
    meter.finish()
    assert (meter.model, meter.tokens) == ("m", Tokens(5, 1))


@pytest.mark.parametrize(
    "data",
    [
        b"data: \xff\xfe\n\n",
        b'data: {"usage": []}\n\n',
        b'data: {"usage": {"input_tokens": "9", "output_tokens": -5}}\n\n',
        b'data: {"usage": {"input_tokens": true}, "model": 7}\n\n',
        b'data: {"message": "usage"}\n\n',
        b'data: "usage"\n\n',
        b'data: {"usage": ' + b"[" * 50_000 + b"\n\n",
        b"usage" * 1000,
    ],
)
def test_what_a_provider_never_says_is_counted_as_nothing(data):
    """If it failed, an odd answer would end the call instead of passing through."""
    meter = Meter(Wire.ANTHROPIC, "text/event-stream")
    meter.feed(data)
    meter.finish()
    assert meter.tokens.input in {0, 1}
    assert meter.tokens.output == 0


def test_an_endless_event_takes_no_memory():
    """If it failed, an answer without end would fill the worker's memory."""
    meter = Meter(Wire.ANTHROPIC, "text/event-stream")
    for _ in range(40):
        meter.feed(b"x" * 1024 * 1024)
    assert meter._documents._line.held < 1024 * 1024
