"""Ollama's own API through the gateway: it needs no key, streams lines, and tells its tokens last."""

import json

import pytest

from shiftwork.errors import InvalidInput
from shiftwork.gateway import Outcome, Policy, Tokens, Upstream, Wire
from tests.llm.script import Fault, Reply, Usage
from tests.llm.server import LlmServer
from tests.unit.gateway_support import QUESTIONS, played, post, request, running, send

CHAT = QUESTIONS["ollama chat"][2]
CALL = Reply("so", (("write", {"path": "a", "eval_count": 0}),), Usage(30, 12))


def get(run, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{run.port}\r\n"
        f"authorization: Bearer {run.session.token}\r\nconnection: close\r\n\r\n"
    ).encode()


async def test_a_server_on_loopback_is_asked_without_a_key():
    """If it failed, models on a person's own machine could not be used, or would be shown the token."""
    async with (
        LlmServer(lambda turn: CALL) as model,
        running(upstream=Upstream(Wire.OLLAMA, model.url)) as run,
    ):
        assert (await send(run, request(run, "ollama chat"))).status == 200
    (seen,) = model.requests
    assert not {"authorization", "x-api-key"} & set(seen.headers)
    assert run.calls[0].tokens == Tokens(30, 12)


@pytest.mark.parametrize(
    "base", ["http://192.168.1.5:11434", "http://[fd00::5]:11434", "http://localhost:11434"]
)
def test_a_server_may_be_in_a_private_network_unless_hosts_are_listed(base):
    """If it failed, a person's own server could not be used, or one that an operator excludes could."""
    upstream = Upstream(Wire.OLLAMA, base)
    Policy(upstream=upstream)
    Policy(upstream=upstream, model_hosts=(upstream.host,))
    with pytest.raises(InvalidInput, match="not among those allowed"):
        Policy(upstream=upstream, model_hosts=("models.example",))


@pytest.mark.parametrize("stream", [None, True, False])
async def test_calls_of_tools_pass_and_their_arguments_are_no_figures(stream):
    """If it failed, agents on Ollama could not act, or a model could write its own bill."""
    body = dict(CHAT) if stream is None else {**CHAT, "stream": stream}
    if stream is None:
        del body["stream"]  # Ollama streams unless it is told not to.
    async with running(Wire.OLLAMA, lambda turn: CALL) as run:
        answer = await send(run, post(run, "/api/chat", json.dumps(body).encode()))
        (call,) = run.calls
    parts = [json.loads(line) for line in answer.body.splitlines()]
    assert len(parts) == (1 if stream is False else 2)
    assert parts[0]["message"]["tool_calls"][0]["function"]["name"] == "write"
    assert (call.tokens, call.model, call.kind, call.estimated) == (Tokens(30, 12), "m", "chat", False)


async def test_a_stream_that_is_left_early_costs_what_was_said():
    """If it failed, an agent that hangs up before the last line would not be charged."""

    async def endless(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        line = (
            json.dumps({"model": "m", "message": {"content": "word " * 80}, "done": False}).encode() + b"\n"
        )
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n" + line * 10)

    async with (
        played(endless) as server,
        running(upstream=Upstream(Wire.OLLAMA, server.url)) as run,
    ):
        answer = await send(run, request(run, "ollama chat"))
        assert answer.status == 200
        (call,) = run.calls
    assert (call.tokens.output, call.estimated) == (1000, True)


async def test_the_other_paths_that_agents_need():
    """If it failed, clients that first look for their model would not start; or embedding would be free."""
    async with running(Wire.OLLAMA) as run:
        assert (await send(run, get(run, "/api/tags"))).json["models"][0]["name"] == "scripted"
        shown = await send(run, post(run, "/api/show", b'{"model": "m"}'))
        assert shown.json["capabilities"] == ["completion", "tools"]
        embedded = await send(run, post(run, "/api/embed", b'{"model": "m", "input": ["a", "b"]}'))
        assert len(embedded.json["embeddings"]) == 2
    assert [(call.kind, call.tokens) for call in run.calls] == [
        ("models", Tokens()),
        ("show", Tokens()),
        ("embed", Tokens(8)),
    ]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/show"])
async def test_only_listed_models_are_asked(path):
    """If it failed, a project's choice of models would not hold for Ollama, whose bodies name them."""
    async with running(Wire.OLLAMA, models=("m",)) as run:
        for body in (b'{"model": "other"}', b'{"name": "m"}', b'{"model": "m", "Model": "other"}', b"[]"):
            answer = await send(run, post(run, path, body))
            assert answer.status in {400, 403}
            assert isinstance(answer.json["error"], str)
        assert run.model.requests == []
        assert (await send(run, post(run, path, b'{"model": "m", "messages": []}'))).status == 200


@pytest.mark.parametrize(("status", "outcome"), [(503, Outcome.LIMITED), (404, Outcome.ANSWERED)])
async def test_errors_pass_in_its_own_shape(status, outcome):
    """If it failed, a busy server would look like a broken one, or the reverse."""
    async with running(Wire.OLLAMA, lambda turn: Fault(status, "server busy")) as run:
        answer = await send(run, request(run, "ollama chat"))
        assert (answer.status, answer.json) == (status, {"error": "server busy"})
        assert [(call.outcome, call.tokens) for call in run.calls] == [(outcome, Tokens())]


async def test_langchains_own_client_works_through_the_gateway():
    """If it failed, the agents that speak to Ollama by LangChain would not reach their model."""
    ollama = pytest.importorskip("langchain_ollama")
    async with running(Wire.OLLAMA, lambda turn: CALL) as run:
        # The client has no way to close its connections: the gateway does it.
        headers = {"authorization": f"Bearer {run.session.token}", "connection": "close"}
        model = ollama.ChatOllama(
            model="m",
            base_url=run.session.url,
            client_kwargs={"headers": headers, "trust_env": False},
            validate_model_on_init=False,
        )
        answer = await model.ainvoke("hi")
        assert answer.content == "so"
        assert [(call["name"], call["args"]["path"]) for call in answer.tool_calls] == [("write", "a")]
        assert answer.usage_metadata["output_tokens"] == 12
        assert run.calls[0].tokens == Tokens(30, 12)
