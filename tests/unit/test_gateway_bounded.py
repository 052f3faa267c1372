"""Answers that are large, or made to be hard to read: they are read in short turns, and not kept."""

import asyncio
import gc
import gzip
import json
import sys
import tracemalloc
from collections.abc import Iterator

import pytest

from shiftwork.gateway import Tokens, Upstream, Wire
from shiftwork.gateway.metering import Meter
from shiftwork.gateway.words import Words
from tests.unit.gateway_support import SECRET, played, request, running, send

EVENTS = "text/event-stream"
JSON = "application/json"
MEGABYTE = 1024 * 1024
CALLS = 20_000
"""Of functions, within one step: a few milliseconds of theirs, of which a busy machine may make any time."""
HELD = 16 * MEGABYTE
"""What is read of an answer, and what becomes of it; the endless ones here have more, or become it."""

TOKEN = json.dumps({"token": " a", "top": [{"token": " a", "logprob": -0.1, "bytes": [32, 97]}] * 20})
LOGPROBS = f'{{"model":"m","choices":[{",".join([TOKEN] * 20_000)}],"usage":{{"prompt_tokens":5,'
HARD = {
    "newlines": (EVENTS, "", b"\n" * MEGABYTE),
    "comments": (EVENTS, "", b":\n" * 100_000),
    "empty events": (EVENTS, "", b"data:{}\n\n" * 4_000),
    "events with figures": (EVENTS, "", b'data:{"usage":{}}\n\n' * 4_000),
    "an event without end": (EVENTS, "", b'data: {"x":"' + b"a" * 20 * MEGABYTE),
    "compressed newlines": (EVENTS, "gzip", gzip.compress(b"\n" * 20 * MEGABYTE)),
    "compressed letters": (EVENTS, "gzip", gzip.compress(b"a" * 100 * MEGABYTE)),
    "more behind what is compressed": (EVENTS, "gzip", gzip.compress(b"data: {}\n\n") + bytes(20 * MEGABYTE)),
    "much compressed apart": (EVENTS, "gzip", gzip.compress(b"data: {}\n\n") * 50_000),
    "numbers": (JSON, "", LOGPROBS.encode()),
    "nested": (JSON, "", b'{"error":' * 500_000),
    "figures that don't end": (JSON, "", b'"usage":{"a":[0,0,0],' * 20_000),
    "a list of figures": (JSON, "", b"[" + b'{"usage":{"prompt_tokens":1}},' * 18_000),
    "a text without end": (JSON, "", b'"text":"' + b"\\a" * 250_000),
    "a list of nothing": (JSON, "", b"[" + b"{}," * 50_000 + b'{"usage":{}}]'),
    "a list of blanks": (JSON, "", b'[{"usage":0}' + b" ," * 250_000),
    "answers without a word": (JSON, "", b'{"choices":[' + b"{}," * 50_000 + b"{}]}"),
    "texts of no letters": (JSON, "", b'{"content":[' + b'{"text":""},' * 40_000 + b"{}]}"),
    "lines": ("application/x-ndjson", "", b'{"message":{"content":"a"}}\n' * 3_000),
}


def steps_of(meter: Meter, data: bytes) -> Iterator[None]:
    for at in range(0, len(data), 128 * 1024):
        yield from meter._steps(data[at : at + 128 * 1024])
    yield from meter._ending


class Calls:
    """Counts the calls of functions, Python's own included, while it is entered; steps part them.

    Attributes:
        most: in one step.
    """

    def __init__(self):
        self.most = self._calls = 0

    def __enter__(self):
        self._before = sys.getprofile()
        gc.disable()  # What others left to be collected is none of these calls.
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(self._before)
        gc.enable()
        self.step()

    def step(self):
        self.most, self._calls = max(self.most, self._calls), 0

    def _count(self, _frame, event, _arg):
        self._calls += event in {"call", "c_call"}


@pytest.mark.parametrize("heard", [False, True], ids=["", "its words too"])
@pytest.mark.parametrize("name", HARD)
def test_reading_an_answer_holds_nobody_up(name, heard):
    """If it failed, one odd answer would stop all sessions of a worker."""
    kind, encoding, data = HARD[name]
    for wire in (Wire.OPENAI, Wire.ANTHROPIC, Wire.GEMINI) if heard else (Wire.OPENAI,):
        meter = Meter(wire, kind, encoding, Words(wire) if heard else None)
        with Calls() as calls:
            for _ in steps_of(meter, data):
                calls.step()
        assert 0 < calls.most < CALLS


@pytest.mark.parametrize("name", HARD)
def test_reading_an_answer_keeps_little(name):
    """If it failed, one odd answer would fill the memory of a worker."""
    kind, encoding, data = HARD[name]
    tracemalloc.start()
    try:
        for _ in steps_of(Meter(Wire.OPENAI, kind, encoding), data):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < HELD


async def test_others_have_their_turn_while_an_answer_is_read():
    """If it failed, a compressed answer could become so much that the worker's leases are lost."""
    meter = Meter(Wire.OPENAI, EVENTS, "gzip")
    hearing = asyncio.create_task(meter.hear(gzip.compress(b"data:{}\n\n" * 50_000)))
    turns = 0
    while not hearing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 5


async def test_others_have_their_turn_while_the_end_of_an_answer_is_read():
    """If it failed, an answer that breaks off within a list would keep the worker's leases from being fed."""
    kind, _, data = HARD["a list of figures"]

    async def answer(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await reader.read()

    async def watch(calls):
        while True:
            await asyncio.sleep(0)
            calls.step()

    async with (
        played(answer) as server,
        running(upstream=Upstream(Wire.OPENAI, server.url, SECRET)) as run,
    ):
        with Calls() as calls:
            watching = asyncio.create_task(watch(calls))
            assert (await send(run, request(run, "chat"))).body == data
        watching.cancel()
    assert [call.tokens.input for call in run.calls] == [1]
    # Ten milliseconds of steps, of which a fast machine does many; all of them are ten times the calls.
    assert 0 < calls.most < 5 * CALLS


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
