"""Questions that are looked at: within bounds of memory and time, and without holding up anybody."""

import asyncio
import gc
import json
import re
import time
from contextlib import asynccontextmanager

import pytest

from shiftwork.gateway import Bounds, Gateway, Policy, Upstream, Wire
from shiftwork.gateway.holding import Holding
from shiftwork.gateway.question import AT_ONCE, metered_chat
from shiftwork.gateway.refusals import Refused
from shiftwork.gateway.toplevel import read_question
from tests.unit.gateway_support import (
    QUESTIONS,
    SECRET,
    played,
    post,
    read_answer,
    request,
    running,
    send,
    until_end,
)
from tests.unit.pace_support import known_work

CHAT = "/v1/chat/completions"
STALL = 7
"""How long the loop may compute between two looks at its clock, in times of the known work."""


@asynccontextmanager
async def watched():
    """Fails if the loop computed for too long without a pause; other programs' time is not counted."""
    longest = 0.0

    async def watch():
        nonlocal longest
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    gc.collect()
    before = known_work()
    gc.freeze()  # What other tests left is not the gateway's to be searched.
    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        gc.unfreeze()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    longest /= max(before, known_work())
    print(f"the loop's longest stretch: {longest:.2f} times the known work")
    assert longest < STALL


async def give(run, body: bytes, path: str = CHAT):
    """The answer to a body that is sent as fast as it is taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
    try:
        head = post(run, path, b"", content_length=str(len(body)))
        writer.write(head)
        for at in range(0, len(body), 65536):
            writer.write(body[at : at + 65536])
            await writer.drain()
        return await read_answer(reader)
    finally:
        writer.close()


async def taking_all(reader, writer, seen):
    """A provider that looks at nothing, so that only the gateway is measured."""
    head = await reader.readuntil(b"\r\n\r\n")
    left = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
    while left:
        left -= len(await reader.read(min(left, 65536)))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    await until_end(reader, seen)


def filled(part: bytes, size: int) -> bytes:
    return b'{"model": "m", "stream": true, "messages": [' + part * (size // len(part)) + b'"end"]}'


@pytest.mark.parametrize("size", [AT_ONCE - 100, 15_000_000], ids=["small", "large"])
@pytest.mark.parametrize("part", [b"{},", b"[],", b'{"":0},', b"1.5,", b"[[[]]],", b'"\\u0000",'])
async def test_no_question_holds_up_the_worker(part, size):
    """If it failed, one request of one agent would stop every session, and the worker's leases with them."""
    async with (
        played(taking_all) as server,
        running(upstream=Upstream(Wire.OPENAI, server.url, SECRET)) as run,
        watched(),
    ):
        answer = await give(run, filled(part, size))
    assert answer.status in {200, 413}


async def test_many_small_questions_at_once_hold_up_nobody():
    """If it failed, what one request may not do could be done by sixty."""
    async with running(Wire.OPENAI) as run, watched():
        body = filled(b"{},", AT_ONCE - 100)[:-1]
        answers = await asyncio.gather(*(give(run, body) for _ in range(20)))
    assert {answer.status for answer in answers} == {400}


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_question_over_its_bound_is_refused_in_the_providers_words(framing):
    """If it failed, an agent could fill the worker's memory, or would not understand why it is refused."""
    async with running(Wire.OPENAI, bounds=Bounds(inspected=1000)) as run:
        body = json.dumps({"model": "m", "messages": ["x" * 2000]}).encode()
        data = post(run, CHAT, body)
        if framing == "chunks":
            head = post(run, CHAT, b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
            data = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        answer = await send(run, data)
        assert (answer.status, answer.headers["x-shiftwork-refused"]) == (413, "too-large")
        assert "larger than 1000 bytes" in answer.json["error"]["message"]
        assert run.model.requests == []


async def test_a_far_too_large_question_is_told_so():
    """If it failed, a program that sends all before it reads would see a broken connection, and try again."""
    async with running(Wire.OPENAI) as run, watched():
        answer = await give(run, b"{" * 60_000_000)
    assert (answer.status, answer.headers["x-shiftwork-refused"]) == (413, "too-large")


async def test_a_large_question_arrives_as_it_was_sent():
    """If it failed, long conversations would break, or would not be metered."""
    async with running(Wire.OPENAI) as run:
        said = "what a long story, \u00e4\u6f22 " * 100_000
        question = {"model": "m", "messages": [{"role": "user", "content": said}], "stream": True}
        assert (await give(run, json.dumps(question, ensure_ascii=False).encode())).status == 200
        assert run.model.requests[0].body == {**question, "stream_options": {"include_usage": True}}
        assert (await give(run, json.dumps(question).encode()[:-1])).status == 400
        assert (await give(run, json.dumps({**question, "background": True}).encode())).status == 403
    assert run.session._holding.held == 0


async def test_a_session_holds_no_more_than_its_share():
    """If it failed, many questions at once would fill the memory although each is within its bound."""
    async with running(Wire.OPENAI, bounds=Bounds(held=1000)) as run:
        body = json.dumps({"model": "m", "messages": ["x" * 2000]}).encode()
        answer = await send(run, post(run, CHAT, body))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert run.session._holding.held == 0


async def test_sessions_together_hold_no_more_than_the_gateway_may():
    """If it failed, many sessions would fill the memory although each keeps to its share."""
    upstream = Upstream(Wire.OPENAI, "http://127.0.0.1:9", SECRET)
    async with (
        Gateway(held=1500) as gateway,
        gateway.open(Policy(upstream=upstream)) as one,
        gateway.open(Policy()) as other,
    ):
        one._holding.take(1000)
        with pytest.raises(Refused) as refused:
            other._holding.take(1000)
        assert refused.value.status == 503
        one._holding.release(1000)
        other._holding.take(1000)


ASKS = {
    "messages": (Wire.ANTHROPIC, "/v1/messages"),
    "count_tokens": (Wire.ANTHROPIC, "/v1/messages/count_tokens"),
    "chat": (Wire.OPENAI, CHAT),
    "responses": (Wire.OPENAI, "/v1/responses"),
}


@pytest.mark.parametrize("kind", ASKS)
@pytest.mark.parametrize(
    ("told", "passes"),
    [
        ('"model": "cheap"', True),
        ('"model": "dear"', False),
        ('"model": "cheap-2"', False),
        ('"model": " cheap"', False),
        ('"model": ["cheap"]', False),
        ('"prompt": {"id": "pmpt_1"}', False),
        ('"model": "cheap", "model": "dear"', False),
        ('"model": "cheap", "MODEL": "dear"', False),
        ('"model": "cheap", "models": ["dear"]', False),
        ('"model": "cheap", "fallbacks": ["dear"]', False),
    ],
)
async def test_only_listed_models_are_asked(kind, told, passes):
    """If it failed, an agent could choose a dearer model than the person who pays."""
    wire, path = ASKS[kind]
    async with running(wire, models=("cheap", "cheaper")) as run:
        answer = await send(run, post(run, path, f'{{{told}, "messages": [], "input": ""}}'.encode()))
        assert answer.status == 200 if passes else answer.status in {400, 403}
        assert len(run.model.requests) == passes
        if answer.status == 403:
            assert "cheap, cheaper" in answer.json["error"]["message"]


@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent", "countTokens"])
async def test_only_listed_models_are_asked_by_path(action):
    """If it failed, an agent of Gemini's wire could choose its model."""
    async with running(Wire.GEMINI, models=("cheap",)) as run:
        body = json.dumps({"contents": [], "model": "cheap"}).encode()
        answer = await send(run, post(run, f"/v1beta/models/dear:{action}", body))
        assert (answer.status, answer.json["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert (await send(run, post(run, f"/v1beta/models/cheap:{action}", body))).status == 200
        assert len(run.model.requests) == 1


@pytest.mark.parametrize(
    ("charset", "passes"), [("utf-8", True), ('"UTF-8"', True), ("utf-7", False), ("utf-16", False)]
)
@pytest.mark.parametrize("kind", QUESTIONS)
async def test_a_question_is_in_no_other_encoding(kind, charset, passes):
    """If it failed, the provider could read another question than the gateway did."""
    async with running(QUESTIONS[kind][0]) as run:
        body = request(run, kind, content_type=f"application/json; Charset={charset}")
        assert (await send(run, body)).status == (200 if passes else 415)
        assert len(run.model.requests) == passes


def test_what_is_refused_is_not_held():
    """If it failed, refused questions would use up a session's share for ever."""
    whole = Holding(10)
    part = Holding(20, whole)
    with pytest.raises(Refused):
        part.take(11)
    assert (part.held, whole.held) == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"{} x",
        b'{"a": 1,}',
        b'{"a": 1 "b": 2}',
        b'{"a" 1}',
        b"{1: 2}",
        b'{"a": Infinity}',
        b'{"a": [NaN]}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"Model": "m"}',
        b'{"model": "a", "model\\u0000": "b"}',
        b'{"model": "a", "model\\u0000x": "b"}',
        b'{"model": "a", "mod\\u00adel": "b"}',
        b'{"model": "a", " model\\u001f": "b"}',
        '{"\uff4dodel": "b"}'.encode(),
        '{"\u017ftream": true}'.encode(),
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 100_000 + b"}",
    ],
)
def test_json_that_readers_may_read_differently_is_none(body):
    """If it failed, the gateway would look at another question than the provider answers."""
    with pytest.raises(ValueError):
        read_question(body)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        ' {"a" : [1, {"b": null}] ,\n"model":"m"}\r\n',
        '{"model": "m", "stream": true}',
        '{"\u00e4": "\u6f22", "stream" :1, "stream_options" :{"include_usage": false, "x": "\u00e9"} ,"b":2}',
        '{"stream": true, "stream_options": null}',
    ],
)
def test_a_chat_is_changed_in_nothing_but_its_options(body):
    """If it failed, agents' questions would reach the provider damaged."""
    told = json.loads(body)
    sent = json.loads(metered_chat(read_question(body.encode()), body.encode()))
    if told.get("stream"):
        options = told.get("stream_options") or {}
        told = {**told, "stream_options": {**options, "include_usage": True}}
    assert sent == told
