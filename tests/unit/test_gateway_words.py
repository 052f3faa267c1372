"""What a gateway tells of what a model says; to those who ask."""

import asyncio
import json

import pytest

from shiftwork.gateway import Upstream, Wire
from shiftwork.gateway.documents import Document
from shiftwork.gateway.words import Words
from tests.llm.script import Reply
from tests.unit.gateway_support import QUESTIONS, SECRET, played, request, running, send, until, until_end

SAID = "I looked.\nVERDICT: veto: grün"
REPLY = Reply(SAID, (("tool", {"text": "VERDICT: veto: not said"}),))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", QUESTIONS)
async def test_what_a_model_says_is_told(kind: str, *, stream: bool) -> None:
    """A verifier's veto that its program never passes on, and nobody hears."""
    heard: list[str] = []
    async with running(QUESTIONS[kind][0], lambda _: REPLY, on_words=heard.append) as run:
        answer = await send(run, request(run, kind, stream=stream))
        assert answer.status == 200
    assert heard == [SAID]


async def test_what_was_said_before_an_answer_broke_off_is_told() -> None:
    """A landing that ends its verifier at the first word of its veto."""
    heard: list[str] = []

    async def play(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAID}}
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        writer.write(f"data: {json.dumps(said)}\n\n".encode())
        await until_end(reader, seen)

    async with (
        played(play) as provider,
        running(upstream=Upstream(Wire.ANTHROPIC, provider.url, SECRET), on_words=heard.append) as run,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(request(run, stream=True))
        await reader.readuntil(b"text_delta")
        writer.close()
        await until(lambda: provider.received)
        await run.session.close()
    assert heard == [SAID]


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[[[[",
        b"[1, null]",
        b'{"content": 5, "choices": {"delta": 1}, "candidates": [7]}',
        b"[" * 9999,
    ],
)
def test_nonsense_says_nothing(wire: Wire, data: bytes) -> None:
    """An answer that its provider garbled would break the call."""
    words = Words(wire)
    list(words.hear(Document(data, len(data))))
    assert words.text() == ""


def test_thoughts_are_not_said() -> None:
    """A model that only considers a veto would have given one."""
    anthropic, gemini = Words(Wire.ANTHROPIC), Words(Wire.GEMINI)
    thought = {
        "delta": {"type": "thinking_delta", "thinking": SAID},
        "content": [{"type": "thinking", "thinking": SAID}],
    }
    for words, facts in (
        (anthropic, thought),
        (gemini, {"candidates": [{"content": {"parts": [{"text": SAID, "thought": True}]}}]}),
    ):
        data = json.dumps(facts).encode()
        list(words.hear(Document(data, len(data))))
        assert words.text() == ""
