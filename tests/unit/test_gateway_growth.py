"""What reads an agent's or a provider's bytes takes time, and memory, in proportion to them."""

import asyncio
import time
import timeit
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from shiftwork.gateway import Bounds, Wire
from shiftwork.gateway.forward import _ABSOLUTE
from shiftwork.gateway.head import Head, malformed, parse_head
from shiftwork.gateway.headers import request_headers
from shiftwork.gateway.hosts import split_authority
from shiftwork.gateway.incoming import Incoming
from shiftwork.gateway.metering import Meter
from shiftwork.gateway.question import model_seen, model_told
from shiftwork.gateway.refusals import Refused
from shiftwork.gateway.routes import find_route, query_tokens, split_target
from tests.unit.gateway_support import post, running, send

SIZE = 5000
TIMES = 4
"""By how much what is read grows: what takes the square of it would take 16 times as long."""
MOST = 9
"""Between the two, so that a busy machine decides nothing."""

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
END = b"\r\n\r\n"


def heard(kind: str) -> Callable[[bytes], None]:
    def hear(data: bytes) -> None:
        meter = Meter(Wire.ANTHROPIC, kind)
        meter.feed(data)
        meter.finish()

    return hear


def passed(data: bytes) -> None:
    head = parse_head(data)
    list(request_headers(head))
    assert head.keeps_alive in {True, False}


def listed(text: bytes) -> None:
    match = _ABSOLUTE.fullmatch(text.decode())
    split_authority(match[1] if match else text.decode())


def routed(target: bytes) -> None:
    path, query = split_target(target.decode())
    query_tokens(query)
    find_route(Wire.GEMINI, "POST", path)


JSON, EVENTS = heard("application/json"), heard("text/event-stream")

HOSTILE = {
    "blanks before a bad value": (passed, lambda n: HEAD + b"a:" + b" " * n + b"\x01" + END),
    "tabs before a bad value": (passed, lambda n: HEAD + b"a:" + b"\t" * n + b"\x7f" + END),
    "blanks behind a value": (passed, lambda n: HEAD + b"a: b" + b" " * n + b"\x01" + END),
    "blanks between words": (passed, lambda n: HEAD + b"a:" + b"x " * (n // 2) + b"\x01" + END),
    "nothing but blanks": (passed, lambda n: HEAD + b"a:" + b" " * n + END),
    "a name without end": (passed, lambda n: HEAD + b"a" * n + END),
    "colons": (passed, lambda n: HEAD + b":" * n + END),
    "tokens of a connection": (passed, lambda n: HEAD + b"connection:" + b"a ,\t" * (n // 4) + END),
    "a forwarded name": (passed, lambda n: HEAD + b"x-goog-cf-" * (n // 10) + b": a" + END),
    "a line without a version": (passed, lambda n: b"POST " + b"/" * n + END),
    "a line of blanks": (passed, lambda n: b"POST" + b" " * n + END),
    "a path": (routed, lambda n: b"/a" * (n // 2) + b"!"),
    "a name of a model": (routed, lambda n: b"/v1beta/models/" + b"a.-" * (n // 3) + b":x"),
    "a query": (routed, lambda n: b"/v1/messages?" + b"key=%f&" * (n // 7)),
    "an absolute target": (listed, lambda n: b"http://a" + b"/?" * (n // 2) + b"#"),
    "a host": (listed, lambda n: b"http://" + b"a-." * (n // 3) + b"@"),
    "blanks in a question": (model_told, lambda n: b'{"model"' + b" \n" * (n // 2) + b"}"),
    "digits in a question": (model_told, lambda n: b'{"model":0.' + b"1" * n + b"}"),
    "models in a question": (model_seen, lambda n: b'"model" : "aaaaaaaa' * (n // 18)),
    "texts that don't end": (JSON, lambda n: b'"text":"\\' * (n // 9)),
    "texts in texts": (JSON, lambda n: b'"text":"\\"' * (n // 10)),
    "blanks behind a text's name": (JSON, lambda n: b'"text"' + b" " * n),
    "blanks behind many names": (JSON, lambda n: (b'"usage"' + b" " * 90) * (n // 97)),
    "figures that don't end": (JSON, lambda n: b'"usage":{"a":[' * (n // 14)),
    "a list that ends too early": (JSON, lambda n: b"[" + b'{"error":0},' * (n // 12)),
    "a list of blanks": (JSON, lambda n: b'[{"usage":0}' + b" ," * (n // 2)),
    "lines of one event": (EVENTS, lambda n: b'data: "text":"\\\n' * (n // 15)),
    "ends of lines": (EVENTS, lambda n: b"\r:\n" * (n // 3)),
}


def cost(call: Callable[[bytes], object], data: bytes) -> float:
    """Seconds of computing for one call: the least of some tries, each long enough to be measured."""

    def once() -> None:
        with suppress(Refused):
            call(data)

    timer = timeit.Timer(once, timer=time.process_time)
    number = max(1, int(0.004 / max(timer.timeit(1), 1e-5)))
    return min(timer.repeat(4, number)) / number


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_read_takes_time_in_proportion_to_it(name):
    """If it failed, one request of an agent, or one answer, would stop every session of the worker."""
    call, make = HOSTILE[name]
    assert cost(call, make(SIZE * TIMES)) < MOST * cost(call, make(SIZE))


@pytest.mark.parametrize("value", ["", " ", "\t ", "b", " b\t", "b \t c", "  a:b  ", "!", "~"])
def test_a_value_is_what_lies_between_the_blanks(value):
    """If it failed, a header would reach the provider as another one than it was sent."""
    assert parse_head(HEAD + f"a:{value}".encode() + END).get("a") == value.strip(" \t")


@pytest.mark.parametrize(
    "field", ["a", ":", ": b", "a : b", "a\t: b", " a: b", "a: \x00", "a: b\x0b", "a: \x7f"]
)
def test_what_is_no_header_is_refused(field):
    """If it failed, two readers could take one header for two different ones."""
    with pytest.raises(Refused, match=str(malformed("a header is malformed."))):
        parse_head(HEAD + field.encode() + END)


async def test_others_have_their_turn_while_a_body_of_tiny_chunks_is_read():
    """If it failed, sixty connections of one agent could keep the worker's leases from being fed."""
    reader = asyncio.StreamReader(limit=2**20)
    reader.feed_data(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
    turns = 0

    async def read() -> int:
        body = Incoming(reader, Bounds()).body(Head("POST", "/", 1, (), None))
        return sum([len(piece) async for piece in body])

    reading = asyncio.create_task(read())
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert await reading == 100_000
    assert turns > 3  # one to begin, one to see the end


async def test_tiny_chunks_take_no_more_memory_than_they_are():
    """If it failed, questions within their bound could fill the worker's memory many times over."""
    number = 30_000
    async with running(Wire.OPENAI, bounds=Bounds(inspected=2 * number)) as run:
        head = post(run, "/v1/chat/completions", b"")
        head = head.replace(b"content-length: 0", b"transfer-encoding: chunked")
        data = head + b"2\r\n{,\r\n" * number + b"0\r\n\r\n"
        tracemalloc.start()
        try:
            assert (await send(run, data)).status == 400
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # What is on its way through the connection's buffers comes on top.
    assert peak < len(data) + 20 * 2 * number
