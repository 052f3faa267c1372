"""The end of an answer that costs waits until its cost is written down, and waits for nothing else."""

import asyncio
import json
import logging
import time

import pytest

from shiftwork.gateway import Bounds, Gateway, Policy, Tokens, Upstream, Wire
from shiftwork.gateway.ends import is_end
from tests.llm.server import LlmServer
from tests.unit.gateway_support import (
    QUESTIONS,
    SECRET,
    Run,
    chunks,
    played,
    read_head,
    request,
    running,
    says,
    send,
    until,
)

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LINES = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"


def event(told: object) -> bytes:
    return f"data: {told if isinstance(told, str) else json.dumps(told)}\n\n".encode()


def line(told: object) -> bytes:
    return json.dumps(told).encode() + b"\n"


STREAMS = {
    "messages": [
        event({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}),
        event({"type": "message_delta", "usage": {"output_tokens": 2}}),
        event({"type": "message_stop"}),
    ],
    "chat": [
        event({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}),
        event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
        event("[DONE]"),
    ],
    "responses": [
        event({"type": "response.output_text.delta", "delta": "a"}),
        event({"type": "response.completed", "response": {"usage": {"input_tokens": 5, "output_tokens": 2}}}),
    ],
    "ollama chat": [
        line({"message": {"content": "a"}, "done": False}),
        line({"message": {"content": ""}, "done": True, "prompt_eval_count": 5, "eval_count": 2}),
    ],
    "generate": [
        event(
            {
                "candidates": [{"finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2},
            }
        ),
        b"",
    ],
}
"""By kind of call: the pieces of a stream; the last is its end. Gemini's is that of the body alone."""


@pytest.mark.parametrize("kind", STREAMS)
async def test_the_end_of_a_stream_waits_until_its_cost_is_written(kind):
    """If it failed, who takes over from a killed worker would go on with an answer that nobody counted."""
    pieces = STREAMS[kind]
    written = asyncio.Event()

    async def stream(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(LINES if kind.startswith("ollama") else EVENTS)
        for piece in filter(None, pieces):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0.05)  # each comes by itself
        if pieces[-1]:
            await reader.read()  # what says that a stream is over is its end, though its body may go on
        else:
            writer.write(b"0\r\n\r\n")

    async with (
        played(stream) as server,
        running(upstream=Upstream(QUESTIONS[kind][0], server.url, SECRET), settle=written.wait) as run,
        asyncio.timeout(100),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, kind, stream=True))
        await read_head(reader)
        arriving = chunks(reader)
        for piece in pieces[:-1]:  # only the end waits
            assert await anext(arriving) == piece
        ending = asyncio.ensure_future(anext(arriving, b""))
        await until(lambda: run.calls)
        await asyncio.sleep(0.1)
        assert not ending.done()
        written.set()
        assert await ending == pieces[-1]
        writer.close()
    (call,) = run.calls
    assert (call.tokens, call.estimated) == (Tokens(5, 2), False)


async def test_a_whole_answer_waits_until_its_cost_is_written():
    """If it failed, answers that are not streamed could be used uncounted."""
    written = asyncio.Event()
    async with running(settle=written.wait) as run, asyncio.timeout(100):
        answer = asyncio.ensure_future(send(run, request(run)))
        await until(lambda: run.calls)
        await asyncio.sleep(0.1)
        assert not answer.done()
        written.set()
        assert (await answer).json["content"]


async def test_an_answer_does_not_wait_for_ever():
    """If it failed, answers that were paid for would be lost while the database is away."""

    async def never() -> None:
        await asyncio.Event().wait()

    async with running(settle=never, bounds=Bounds(settle=0.3)) as run, asyncio.timeout(100):
        began = time.monotonic()
        assert (await send(run, request(run))).status == 200
        assert time.monotonic() - began >= 0.3
        assert len(run.calls) == 1


async def test_a_fault_of_who_writes_costs_nobody_an_answer(caplog):
    """If it failed, an agent would ask again, and pay again, for a fault that is not its own."""

    async def faulty() -> None:
        raise OSError("no")

    async with LlmServer(says()) as model, Gateway() as gateway:
        policy = Policy(upstream=Upstream(Wire.ANTHROPIC, model.url), settle=faulty)
        async with gateway.open(policy) as session:
            run = Run(session, model, [])
            with caplog.at_level(logging.ERROR, "shiftwork.gateway"):
                assert (await send(run, request(run))).status == 200
    assert "what writes down calls of the gateway failed" in caplog.text


async def test_what_costs_nothing_waits_for_nobody():
    """If it failed, a list of models would wait for the database."""

    async def never() -> None:
        raise AssertionError("waited for")

    async with running(settle=never) as run:
        listed = request(run).replace(b"POST /v1/messages?beta=true", b"GET /v1/models")
        head, _, body = listed.partition(b"\r\n\r\n")
        length = b"content-length: %d" % len(body)
        await send(run, head.replace(length, b"content-length: 0") + b"\r\n\r\n")
    assert [call.kind for call in run.calls] == ["models"]


@pytest.mark.parametrize(
    ("wire", "told"),
    [
        (Wire.ANTHROPIC, {"type": "content_block_delta", "delta": {"text": '{"type": "message_stop"}'}}),
        (Wire.ANTHROPIC, {"type": "x", "content": {"type": "message_stop"}}),
        (Wire.OLLAMA, {"message": {"tool_calls": [{"arguments": {"done": True}}]}, "done": False}),
        (Wire.OPENAI, {"choices": [{"delta": {"content": "[DONE]"}}]}),
        (Wire.OPENAI, ["response.completed"]),
        (Wire.OPENAI, {"type": ["response.completed"]}),
    ],
)
def test_what_a_model_says_ends_no_stream(wire, told):
    """If it failed, a model could end the counting of its own answer."""
    assert not is_end(wire, json.dumps(told).encode())
    assert not is_end(wire, json.dumps(told).encode()[:-1])
