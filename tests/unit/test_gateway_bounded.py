"""Answers that are large, or made to be hard to read: they are read in short turns, and not kept."""

import asyncio
import gzip
import json
import time

import pytest

from shiftwork.gateway import Tokens, Upstream, Wire
from shiftwork.gateway.metering import Meter
from tests.unit.gateway_support import SECRET, played, request, running, send

EVENTS = "text/event-stream"
JSON = "application/json"
MEGABYTE = 1024 * 1024
AT_ONCE = 0.3
"""Seconds: far above what is aimed at, for machines that have much else to do, and far below what it was."""

TOKEN = json.dumps({"token": " a", "top": [{"token": " a", "logprob": -0.1, "bytes": [32, 97]}] * 20})
LOGPROBS = f'{{"model":"m","choices":[{",".join([TOKEN] * 20_000)}],"usage":{{"prompt_tokens":5,'
HARD = {
    "newlines": (EVENTS, "", b"\n" * MEGABYTE),
    "comments": (EVENTS, "", b":\n" * MEGABYTE),
    "empty events": (EVENTS, "", b"data:{}\n\n" * 100_000),
    "events with figures": (EVENTS, "", b'data:{"usage":{}}\n\n' * 50_000),
    "an event without end": (EVENTS, "", b'data: {"x":"' + b"a" * 20 * MEGABYTE),
    "compressed newlines": (EVENTS, "gzip", gzip.compress(b"\n" * 64 * MEGABYTE)),
    "compressed letters": (EVENTS, "gzip", gzip.compress(b"a" * 100 * MEGABYTE)),
    "more behind what is compressed": (EVENTS, "gzip", gzip.compress(b"data: {}\n\n") + bytes(20 * MEGABYTE)),
    "much compressed apart": (EVENTS, "gzip", gzip.compress(b"data: {}\n\n") * 50_000),
    "numbers": (JSON, "", LOGPROBS.encode()),
    "nested": (JSON, "", b'{"error":' * 500_000),
    "figures that don't end": (JSON, "", b'"usage":{"a":[0,0,0],' * 20_000),
    "a list of figures": (JSON, "", b"[" + b'{"usage":{"prompt_tokens":1}},' * 18_000),
    "a text without end": (JSON, "", b'"text":"' + b"\\a" * 250_000),
    "lines": ("application/x-ndjson", "", b'{"message":{"content":"a"}}\n' * 50_000),
}


@pytest.mark.parametrize("name", HARD)
def test_reading_an_answer_holds_nobody_up_and_keeps_little(name):
    """If it failed, one odd answer would stop all sessions of a worker, or fill its memory."""
    kind, encoding, data = HARD[name]
    meter, longest = Meter(Wire.OPENAI, kind, encoding), 0.0
    started = time.process_time()
    for at in range(0, len(data), 128 * 1024):
        for _ in meter._steps(data[at : at + 128 * 1024]):
            now = time.process_time()
            longest, started = max(longest, now - started), now
    started = time.process_time()
    meter.finish()
    assert max(longest, time.process_time() - started) < AT_ONCE


async def test_others_have_their_turn_while_an_answer_is_read():
    """If it failed, a compressed answer could become so much that the worker's leases are lost."""
    meter = Meter(Wire.OPENAI, EVENTS, "gzip")
    hearing = asyncio.create_task(meter.hear(gzip.compress(b"data:{}\n\n" * 200_000)))
    turns = 0
    while not hearing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 5


@pytest.mark.parametrize("kind", [JSON, EVENTS])
async def test_a_large_answer_is_counted_by_what_its_provider_told(kind):
    """If it failed, large answers would be free, or be charged by a guess."""
    whole = f'{LOGPROBS}"completion_tokens":20000}}}}'.encode()
    body = b"data: %b\n\n" % whole if kind == EVENTS else whole

    async def answer(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        )
        writer.write(body)
        await reader.read()

    async with (
        played(answer) as server,
        running(upstream=Upstream(Wire.OPENAI, server.url, SECRET)) as run,
    ):
        assert (await send(run, request(run, "chat"))).body == body
    (call,) = run.calls
    assert (call.tokens, call.estimated) == (Tokens(5, 20_000), False)


def test_what_a_model_made_up_does_not_lower_what_a_large_answer_costs():
    """If it failed, an agent could have its model write figures, and be charged by those."""
    made_up = {"usage": {"input_tokens": 0, "output_tokens": 0}, "text": '"usage": {"output_tokens": 9999}'}
    told = {"input_tokens": 50, "output_tokens": 900}
    content = [{"input": {"x": "a" * MEGABYTE}}, *[{"input": made_up}] * 100]
    for body in ({"usage": told, "content": content}, {"content": content, "usage": told}):
        meter = Meter(Wire.ANTHROPIC, JSON)
        meter.feed(json.dumps(body).encode())
        meter.finish()
        assert meter.tokens == Tokens(50, 900)


START = (
    b'data: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":50,"output_tokens":1}}}'
)
DELTA = b'data: {"type":"message_delta","usage":{"output_tokens":900}}'


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("last", [0, 1, 2])
def test_events_are_read_whatever_ends_their_lines(end, last, size):
    """If it failed, the end of a stream, where the tokens are told, would be missed."""
    data = START + 2 * end + DELTA + last * end
    meter = Meter(Wire.ANTHROPIC, EVENTS)
    for at in range(0, len(data), size):
        meter.feed(data[at : at + size])
    meter.finish()
    assert (meter.model, meter.tokens) == ("m", Tokens(50, 900))


def test_the_lines_of_one_event_belong_together():
    """If it failed, an event in several lines would not be understood when a piece ends between them."""
    meter = Meter(Wire.ANTHROPIC, EVENTS)
    for piece in (b'data: {"usage":\r', b"\ndata: ", b'{"input_tokens": 5}}\r', b"\n\r\n"):
        meter.feed(piece)
    assert meter.tokens == Tokens(5)


@pytest.mark.parametrize("value", ["50.0", "5e1", "50"])
def test_whole_numbers_are_read_in_any_form(value):
    """If it failed, servers that write numbers with a point would be free."""
    meter = Meter(Wire.OPENAI, JSON)
    meter.feed(b'{"usage":{"prompt_tokens":9,"completion_tokens":%b}}' % value.encode())
    meter.finish()
    assert meter.tokens == Tokens(9, 50)


@pytest.mark.parametrize("value", ["1e308", "1" + 400 * "0"])
def test_a_figure_beyond_all_reason_is_one(value):
    """If it failed, an answer with such a figure would end in an error, and be free."""
    for wire, kind in ((Wire.OPENAI, JSON), (Wire.OLLAMA, "application/x-ndjson")):
        meter = Meter(wire, kind)
        usage = b'"prompt_tokens":9,"completion_tokens":%b' % value.encode()
        meter.feed(b'{"usage":{%b},"prompt_eval_count":9,"eval_count":%b}' % (usage, value.encode()))
        meter.finish()
        assert meter.tokens == Tokens(9, 2**53)


@pytest.mark.parametrize("value", ["-1e308", "-1" + 400 * "0"])
def test_a_negative_figure_lowers_nothing(value):
    """If it failed, a provider's odd figure would give back what others spent."""
    meter = Meter(Wire.GEMINI, JSON)
    meter.feed(b'{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":%b}}' % value.encode())
    meter.finish()
    assert meter.tokens == Tokens(9)


@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity", "true", '"9"', "null", "[]", "9" * 5000])
def test_what_is_no_number_ends_nothing(value):
    """If it failed, an odd figure would end the call."""
    meter = Meter(Wire.OPENAI, JSON)
    meter.feed(b'{"usage":{"prompt_tokens":9,"completion_tokens":%b}}' % value.encode())
    meter.finish()
    assert meter.tokens.output == 0
