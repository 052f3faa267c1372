"""What calls cost whose provider did not tell, or whose client did not wait for it."""

import asyncio
import gzip
import json
import socket
import struct
import zlib

import pytest

from shiftwork.gateway import Bounds, Outcome, Tokens, Upstream, Wire
from shiftwork.gateway.metering import Meter
from tests.unit.gateway_support import (
    QUESTIONS,
    SECRET,
    chunks,
    played,
    read_head,
    request,
    running,
    send,
    until,
)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORDS = "word " * 2000

SAID = {
    "messages": [
        {"type": "message_start", "message": {"usage": {"input_tokens": 50, "output_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": WORDS}},
    ],
    "chat": [{"choices": [{"delta": {"content": WORDS}}]}],
    "responses": [
        {"type": "response.created", "response": {"model": "m", "usage": None}},
        {"type": "response.output_text.delta", "delta": WORDS},
        {"type": "response.output_text.done", "text": WORDS},
    ],
    "generate": [{"candidates": [{"content": {"parts": [{"text": WORDS}]}}]}],
}
TOLD = {
    "messages": {"type": "message_delta", "usage": {"output_tokens": 2100}},
    "chat": {"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 2100}},
    "responses": {
        "type": "response.completed",
        "response": {"usage": {"input_tokens": 50, "output_tokens": 2100}},
    },
    "generate": {"usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 2100}},
}


def event(said: dict) -> bytes:
    text = f"data: {json.dumps(said)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)


def telling(kind: str, gone: asyncio.Event, *, tells: bool):
    """A provider that tells what an answer costs only after the client has gone, if at all."""

    async def play(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"".join(map(event, SAID[kind])))
        await gone.wait()
        if tells:
            await asyncio.sleep(0.1)
            writer.write(event(TOLD[kind]) + b"0\r\n\r\n")
        while await reader.read(4096):
            pass
        seen.ended.set()

    return play


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("kind", SAID)
async def test_an_answer_costs_also_when_its_reader_hangs_up(kind, tells, how):
    """If it failed, an agent that hangs up before the end would spend the provider's money unseen."""
    gone = asyncio.Event()
    async with (
        played(telling(kind, gone, tells=tells)) as server,
        running(
            upstream=Upstream(QUESTIONS[kind][0], server.url, SECRET),
            bounds=Bounds(read_on=5 if tells else 0.3),
        ) as run,
        asyncio.timeout(100),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, kind, stream=True))
        await read_head(reader)
        heard = b""
        async for piece in chunks(reader):
            heard += piece
            if b'word word "' in heard:
                break
        if how == "reset":
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        writer.close()
        gone.set()
        await until(lambda: run.calls)
    (call,) = run.calls
    assert call.estimated == (not tells)
    # What only closed its side is still answered for a moment.
    assert call.outcome is Outcome.ABANDONED or (tells and how == "close")
    if tells:
        assert call.tokens == Tokens(50, 2100)
    else:
        told = kind == "messages"
        assert call.tokens.input == (50 if told else -(-call.received // 4))
        assert call.tokens.output == len(WORDS) // 4 + told


@pytest.mark.parametrize("kind", SAID)
async def test_an_answer_without_figures_costs_what_is_guessed(kind):
    """If it failed, a provider that does not tell tokens would be free of any budget."""
    last = json.dumps(SAID[kind][-1])

    async def silent(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event(json.loads(last)) + b"0\r\n\r\n")

    # Its last event only repeats; where no word is new, the whole answer counts.
    said = -(-len(f"data: {last}\n\n") // 4) if kind == "responses" else len(WORDS) // 4
    async with (
        played(silent) as server,
        running(upstream=Upstream(QUESTIONS[kind][0], server.url, SECRET)) as run,
    ):
        assert (await send(run, request(run, kind, stream=True))).status == 200
        (call,) = run.calls
    assert (call.outcome, call.estimated) == (Outcome.ANSWERED, True)
    assert call.tokens == Tokens(-(-call.received // 4), said)


async def test_what_a_provider_refuses_costs_nothing():
    """If it failed, errors and limits of the provider would use up the budget."""

    async def refusing(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad\r\ncontent-length: 2\r\n\r\n{}")

    async with played(refusing) as server, running(upstream=Upstream(Wire.OPENAI, server.url, SECRET)) as run:
        assert (await send(run, request(run, "chat"))).status == 400
        (call,) = run.calls
    assert (call.tokens, call.estimated) == (Tokens(), False)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", QUESTIONS)
async def test_a_call_is_counted_before_its_client_can_ask_again(kind, stream):
    """If it failed, a question could be let through although the one before has spent the budget."""
    async with running(QUESTIONS[kind][0]) as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        counted = []
        task = asyncio.create_task(reader.read(1))
        task.add_done_callback(lambda _: counted.append(len(run.calls)))
        writer.write(request(run, kind, stream=stream))
        rest = await task + await reader.read()
        writer.close()
    assert rest.startswith(b"HTTP/1.1 200")
    assert len(run.calls) == 1
    if not stream:
        assert counted == [1]


def test_an_answer_that_is_cut_off_is_guessed_by_what_it_said():
    """If it failed, half an answer that does not stream would be free."""
    meter = Meter(Wire.OPENAI, "application/json")
    meter.feed(json.dumps({"choices": [{"message": {"content": "x" * 400}}], "usage": {}}).encode()[:-15])
    meter.finish()
    assert meter.estimate(40) == Tokens(10, 100)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/x-protobuf", b"\x0a\x80word " * 1000),
        ("application/json", json.dumps({"candidates": [{"inlineData": {"data": "A" * 8000}}]}).encode()),
        ("text/event-stream", b": nothing\n\n" * 1000),
    ],
)
def test_an_answer_without_figures_and_words_costs_by_its_size(kind, data):
    """If it failed, whoever gets a provider to leave its tokens out would be answered for nothing."""
    meter = Meter(Wire.GEMINI, kind)
    meter.feed(data)
    meter.finish()
    assert meter.estimate(40) == Tokens(10, -(-len(data) // 4))


ITERATIONS = [
    {"type": "message", "input_tokens": 50, "output_tokens": 99},
    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 7},
    {"type": "advisor_message", "model": "claude-big", "input_tokens": 800, "output_tokens": 500},
    {"type": "advisor_message", "model": "claude-big", "input_tokens": 200, "output_tokens": 5},
    "no iteration",
]
STARTED = {
    "type": "message_start",
    "message": {
        "model": "claude-small",
        "usage": {
            "input_tokens": 50,
            "output_tokens": 1,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 10},
        },
    },
}
ENDED = {
    "type": "message_delta",
    "usage": {"output_tokens": 99, "iterations": ITERATIONS, "server_tool_use": {"web_search_requests": 3}},
}


async def test_what_is_told_beside_the_sums_costs_too():
    """If it failed, an agent's compactions, advisors, searches and hours in the cache would pass a budget."""

    async def play(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event(STARTED) + event(ENDED) + event(ENDED) + b"0\r\n\r\n")
        seen.ended.set()

    async with (
        played(play) as server,
        running(upstream=Upstream(Wire.ANTHROPIC, server.url, SECRET)) as run,
    ):
        await send(run, request(run, stream=True))
        await until(lambda: run.calls)

    own, advisor = run.calls[0].parts()
    assert own.tokens == Tokens(180_050, 3_599, 7, 30, cache_write_hour=20, searches=3)
    assert own.model == "claude-small"
    assert advisor.tokens == Tokens(1_000, 505)
    assert (advisor.model, advisor.requested) == ("claude-big", "claude-big")
    assert not own.estimated


TELLS = {"prompt_tokens": 50, "completion_tokens": 99}


@pytest.mark.parametrize(
    "said",
    [{"choices": [{"delta": {}, "usage": TELLS}]}, {"choices": [], "x_groq": {"usage": TELLS}}],
    ids=["in a choice", "beside a name"],
)
def test_tokens_are_read_where_other_servers_tell_them(said):
    """If it failed, what some servers say of their tokens would be guessed instead."""
    meter = Meter(Wire.OPENAI, "text/event-stream")
    meter.feed(b"\xef\xbb\xbfdata: " + json.dumps(said).encode() + b"\n\n")

    assert meter.tokens == Tokens(50, 99)


def raw(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("deflate", zlib.compress),
        ("deflate", raw),
    ],
    ids=["gzip", "x-gzip", "members", "zlib", "raw"],
)
def test_tokens_are_read_in_whatever_is_packed(coding, packed, size):
    """If it failed, a provider's own figures would be guessed for how it packs them."""
    meter = Meter(Wire.OPENAI, "application/json", coding)
    data = packed(json.dumps({"usage": TELLS, "padding": "x" * 100_000}).encode())
    for at in range(0, len(data), size):
        meter.feed(data[at : at + size])
    meter.finish()

    assert meter.tokens == Tokens(50, 99)


def test_parts_without_end_are_given_up():
    """If it failed, an answer of very many packed parts would take the worker's time."""
    meter = Meter(Wire.OPENAI, "application/json", "gzip")
    meter.feed(gzip.compress(b"") * 100_000)

    assert meter.estimate(0).output > 0
